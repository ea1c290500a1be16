//go:build cluster

package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/feed/token"
	"github.com/egret-gateway/egret/lab/apiserver"
	"github.com/egret-gateway/egret/lab/apiserver/pods"
	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/xds"
	"github.com/egret-gateway/egret/xds/xdstest"
)

// TestController runs the tests of the controller of class egret one after the
// other, as there is one of a name, and beside those of TestReference.
func TestController(t *testing.T) {
	t.Run("programmed", testProgrammed)
	t.Run("refused", testRefused)
	t.Run("strangers", testStrangers)
	t.Run("foreign", testForeign)
	t.Run("addresses", testAddresses)
	t.Run("restart", testRestart)
	t.Run("swap", testSwap)
	t.Run("apart", testApart)
	t.Run("events", testEvents)
	t.Run("sights", testSights)
	t.Run("self", testSelf)
	t.Run("reviews", testReviews)
	t.Run("unbound", testUnbound)
	t.Run("unread", testUnread)
	t.Run("delivered", testDelivered)
	t.Run("takeover", testTakeover)
}

func testProgrammed(t *testing.T) {
	w := newWorld(t, source.ControllerEgret)
	w.gateway("one", "second", source.PlaneNative)
	w.route("a", "one", "example.com")
	c := w.run()
	t.Run("gateway-51 without a pod nothing is programmed", func(*testing.T) { w.awaitProgrammed("one", "False", "Pending") })
	c.join(w.pod("one", source.PlaneNative))
	t.Run("gateway-30 gateway-51 B-25 a Gateway of a second class is programmed once its pod has acknowledged", func(*testing.T) {
		w.awaitProgrammed("one", "True", "Programmed")
	})
}

func testRefused(t *testing.T) {
	w := newWorld(t, source.ControllerEgret)
	c := w.run()
	f := func(name, gateway, plane, typ string) {
		t.Run(name, func(t *testing.T) {
			w.gateway(gateway, "egret", plane)
			w.route(gateway+"-a", gateway, "a.example.com")
			var refuse atomic.Bool
			no := func(r xdstest.Response) string {
				if refuse.Load() && r.Type == typ {
					return "out of cheese"
				}
				return ""
			}
			p := w.pod(gateway, plane)
			p.Engine.Refuse = no
			peer := p.Engine
			if p.Envoy != nil {
				p.Envoy.Refuse = no
				peer = p.Envoy
			}
			c.join(p)
			w.awaitProgrammed(gateway, "True", "Programmed")
			had := maps.Clone(peer.Have(typ))
			refuse.Store(true)
			w.route(gateway+"-b", gateway, "b.example.com")
			w.awaitProgrammed(gateway, "False", "Invalid")
			if m := w.programmed(gateway).Message; !strings.Contains(m, "out of cheese") {
				t.Errorf("message is %q", m)
			}
			if n := c.xds.Counts()[typ].Nacks; n == 0 {
				t.Error("no refusal is counted")
			}
			if diff := cmp.Diff(had, peer.Have(typ)); diff != "" {
				t.Errorf("what it serves is another: %s", diff)
			}
			refuse.Store(false)
			w.do("DELETE", w.api("httproutes")+"/"+gateway+"-b", "")
			w.awaitProgrammed(gateway, "True", "Programmed")
		})
	}
	f("gateway-61 what a native pod refuses is told and counted, and it serves on", "native", source.PlaneNative, feed.TypeHead)
	f("gateway-61 what an Envoy refuses is told and counted, and it serves on", "envoy", source.PlaneEnvoy, xds.TypeRoute)
}

func testStrangers(t *testing.T) {
	w := newWorld(t, source.ControllerEgret)
	w.gateway("one", "egret", source.PlaneNative)
	w.gateway("two", "egret", source.PlaneNative)
	w.route("a", "one", "example.com")
	c := w.run()
	own := w.pod("one", source.PlaneNative)
	c.join(own)
	c.join(w.pod("two", source.PlaneNative))
	w.awaitProgrammed("one", "True", "Programmed")
	w.awaitProgrammed("two", "True", "Programmed")
	w.do("POST", w.core("serviceaccounts"), "{apiVersion: v1, kind: ServiceAccount, metadata: {name: nobody}}")

	// sign returns the credentials of a ServiceAccount with a token for an audience.
	sign := func(t *testing.T, account, audience string) []grpc.DialOption {
		raw := w.do("POST", w.core("serviceaccounts")+"/"+account+"/token",
			`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"audiences":["`+audience+`"]}}`)
		_, rest, _ := strings.Cut(string(raw), `"token":"`)
		word, _, _ := strings.Cut(rest, `"`)
		file := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(file, []byte(word), 0o600); err != nil {
			t.Fatal(err)
		}
		return []grpc.DialOption{grpc.WithPerRPCCredentials(token.File(file))}
	}
	trust := grpc.WithTransportCredentials(token.TLS(filepath.Join(own.Dir, "ca.crt")))
	f := func(name, gateway string, delta bool, want codes.Code, credentials func(*testing.T) []grpc.DialOption) {
		t.Run(name, func(t *testing.T) {
			conn, err := grpc.NewClient("passthrough:///"+c.address, append(credentials(t), trust)...)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			p := &xdstest.Peer{Node: w.node(gateway), Delta: delta}
			err = p.Open(t.Context(), conn)
			for _, typ := range feed.Types {
				if err == nil {
					err = p.Subscribe(typ)
				}
			}
			if err == nil || errors.Is(err, context.Canceled) || status.Code(err) == codes.Unknown { // how it ended is told when receiving
				err = p.Run()
			}
			if status.Code(err) != want {
				t.Errorf("ended with %v", err)
			}
			if n, _ := p.Received(); n != 0 {
				t.Errorf("it got %d responses", n)
			}
		})
	}
	none := func(*testing.T) []grpc.DialOption { return nil }
	for _, delta := range []bool{true, false} {
		kind := map[bool]string{true: ", incremental", false: ", state of the world"}[delta]
		f("gateway-101 B-30 who shows no token gets nothing"+kind, "one", delta, codes.Unauthenticated, none)
		f("gateway-101 B-30 a token for the API server is none for us"+kind, "one", delta, codes.Unauthenticated,
			func(t *testing.T) []grpc.DialOption { return sign(t, w.fleet("one"), "https://kubernetes.default.svc") })
		f("gateway-101 B-30 the token of another Gateway's pod is refused"+kind, "one", delta, codes.PermissionDenied,
			func(t *testing.T) []grpc.DialOption { return sign(t, w.fleet("two"), feed.Audience) })
		f("gateway-101 B-30 the token of a ServiceAccount that is no fleet's is refused"+kind, "one", delta, codes.PermissionDenied,
			func(t *testing.T) []grpc.DialOption { return sign(t, "nobody", feed.Audience) })
		f("gateway-101 B-30 nobody speaks for a Gateway that is not there"+kind, "none", delta, codes.PermissionDenied,
			func(t *testing.T) []grpc.DialOption { return sign(t, w.fleet("one"), feed.Audience) })
	}
	t.Run("gateway-101 B-30 a pod whose ServiceAccount is another object of the name is still known by its name alone", func(t *testing.T) {
		if got := own.Engine.Have(feed.TypeHead); len(got) != 1 {
			t.Errorf("the pod itself has %d heads", len(got))
		}
	})
}

func testForeign(t *testing.T) {
	w := newWorld(t, source.ControllerEgret)
	foreign := w.api("gateways") + "/foreign"
	w.gateway("foreign", "theirs", source.PlaneNative)
	w.gateway("one", "egret", source.PlaneNative)
	was := apiserver.Read[metav1.PartialObjectMetadata](t, server, foreign)
	w.route("f", "foreign", "example.com")
	c := w.run()
	c.join(w.pod("one", source.PlaneNative))
	w.awaitProgrammed("one", "True", "Programmed")
	w.do("PATCH", w.api("httproutes")+"/f", `{"spec":{"hostnames":["a.example.com"]}}`)
	w.route("a", "one", "example.com") // once this is told, all that came before was seen
	w.await("route a that is accepted", func() bool { return w.accepted("a", "one").Status == "True" })
	t.Run("gateway-31 B-23 a foreign Gateway and its route are untouched", func(t *testing.T) {
		if now := apiserver.Read[metav1.PartialObjectMetadata](t, server, foreign); was.ResourceVersion != now.ResourceVersion || was.ResourceVersion == "" {
			t.Error("the Gateway was written")
		}
		if r := apiserver.Read[gwv1.HTTPRoute](t, server, w.api("httproutes")+"/f"); len(r.Status.Parents) != 0 {
			t.Errorf("the route's status is %+v", r.Status)
		}
		if server.Has(w.deployment("foreign")) {
			t.Error("it has a fleet")
		}
	})
}

func testAddresses(t *testing.T) {
	w := newWorld(t, source.ControllerEgret)
	w.do("POST", w.core("configmaps"), "{apiVersion: v1, kind: ConfigMap, metadata: {name: balanced}, data: {fleet.yaml: 'service: {type: LoadBalancer}'}}")
	w.gateway("one", "egret", "balanced")
	c := w.run()
	c.join(w.pod("one", source.PlaneNative))
	service := w.core("services") + "/" + w.fleet("one") + "/status"
	f := func(name, ingress, reason string, want ...string) {
		t.Run(name, func(t *testing.T) {
			w.do("PATCH", service, `{"status":{"loadBalancer":{"ingress":[`+ingress+`]}}}`)
			w.await("status with "+fmt.Sprint(want), func() bool {
				g := apiserver.Read[gwv1.Gateway](t, server, w.api("gateways")+"/one")
				var got []string
				for _, a := range g.Status.Addresses {
					got = append(got, string(*a.Type)+" "+a.Value)
				}
				return slices.Equal(got, want) && w.programmed("one").Reason == reason
			})
		})
	}
	w.awaitProgrammed("one", "False", "AddressNotAssigned")
	f("gateway-52 B-06 the balancer's addresses come", `{"ip":"192.0.2.1"},{"hostname":"lb.example.com"}`, "Programmed", "IPAddress 192.0.2.1", "Hostname lb.example.com")
	w.do("PATCH", w.api("gateways")+"/one", `{"spec":{"addresses":[{"value":"192.0.2.9"}]}}`)
	f("another than the one asked for", `{"ip":"192.0.2.1"}`, "AddressNotUsable", "IPAddress 192.0.2.1")
	f("the one asked for", `{"ip":"192.0.2.9"}`, "Programmed", "IPAddress 192.0.2.9")
	f("gateway-52 B-06 and go", "", "AddressNotAssigned")
}

// received collects the names of what comes for a peer.
type received struct {
	mu    sync.Mutex
	names []string
}

func (r *received) note(m xdstest.Response) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range append(m.Names(), m.Removed...) {
		r.names = append(r.names, m.Type[strings.LastIndexAny(m.Type, "./")+1:]+" "+name)
	}
}

func (r *received) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := slices.Compact(slices.Sorted(slices.Values(r.names)))
	r.names = nil
	return out
}

func testRestart(t *testing.T) {
	w := newWorld(t, source.ControllerEgret)
	w.gateway("native", "egret", source.PlaneNative)
	w.gateway("envoy", "egret", source.PlaneEnvoy)
	for i := range 20 {
		w.route(fmt.Sprintf("n%02d", i), "native", "a.example.com")
		w.route(fmt.Sprintf("e%02d", i), "envoy", "a.example.com")
	}
	c := w.run()
	native, envoy := w.pod("native", source.PlaneNative), w.pod("envoy", source.PlaneEnvoy)
	var engine, beside, proxy received
	native.Engine.Heard, envoy.Engine.Heard, envoy.Envoy.Heard = engine.note, beside.note, proxy.note
	ends := []<-chan error{c.join(native), c.join(envoy)}
	w.awaitProgrammed("native", "True", "Programmed")
	w.awaitProgrammed("envoy", "True", "Programmed")
	uid := func() string {
		return string(apiserver.Read[metav1.PartialObjectMetadata](t, server, w.deployment("native")).UID)
	}
	was := uid()
	restart := func() {
		c.stop()
		for _, ended := range ends {
			<-ended
		}
		engine.take()
		beside.take()
		proxy.take()
	}
	again := func() {
		c = w.run(func(o *Options) { o.XDSAddress, o.XDSListen = c.address, c.address })
		ends = []<-chan error{c.join(native), c.join(envoy)}
	}
	t.Run("gateway-100 B-29 after a restart planes that have everything get nothing", func(t *testing.T) {
		restart()
		again()
		for gateway, pod := range map[string]*pods.Pod{"native": native, "envoy": envoy} {
			w.await("acknowledgement of "+gateway, func() bool { return c.has(w.node(gateway), pod) })
		}
		for name, r := range map[string]*received{"the native pod": &engine, "the engine beside Envoy": &beside, "Envoy": &proxy} {
			if got := r.take(); len(got) != 0 {
				t.Errorf("%s got %v", name, got)
			}
		}
	})
	t.Run("gateway-100 B-29 what changed meanwhile is all that is sent, whatever the old version was", func(t *testing.T) {
		restart()
		for _, route := range []string{"n07", "e07"} {
			w.do("PATCH", w.api("httproutes")+"/"+route, `{"spec":{"rules":[{"matches":[{"path":{"type":"PathPrefix","value":"/`+route+`"}}],`+
				`"filters":[{"type":"RequestRedirect","requestRedirect":{"hostname":"b.example.com","statusCode":302}}]}]}}`)
		}
		again()
		for gateway, pod := range map[string]*pods.Pod{"native": native, "envoy": envoy} {
			w.await("acknowledgement of "+gateway, func() bool { return c.has(w.node(gateway), pod) })
		}
		if diff := cmp.Diff([]string{"Head head", "Rule " + w.ns + "/n07/0"}, engine.take()); diff != "" {
			t.Errorf("the native pod (-want +got): %s", diff)
		}
		if diff := cmp.Diff([]string{"Head head", "Rule " + w.ns + "/e07/0"}, beside.take()); diff != "" {
			t.Errorf("the engine beside Envoy (-want +got): %s", diff)
		}
		if got := proxy.take(); len(got) != 1 || !strings.HasPrefix(got[0], "RouteConfiguration ") {
			t.Errorf("Envoy got %v", got)
		}
	})
	t.Run("gateway-100 a fleet whose parameters became unreadable stays", func(t *testing.T) {
		restart()
		w.do("PATCH", w.core("configmaps")+"/native", `{"data":{"fleet.yaml":"replicas: many"}}`)
		c = w.run(func(o *Options) { o.XDSAddress, o.XDSListen = c.address, c.address })
		w.await("refusal", func() bool { return w.programmed("native").Status == "False" })
		w.do("PATCH", w.core("configmaps")+"/native", `{"data":{"fleet.yaml":"service: {type: ClusterIP}"}}`)
		w.await("owner of the node", func() bool { return (*c.owners.Load())[w.node("native")] != "" })
		c.join(native)
		c.join(envoy)
		w.awaitProgrammed("native", "True", "Programmed")
		if uid() != was {
			t.Error("the fleet was removed and made anew")
		}
	})
}

// has reports whether the one pod of a node is there with all its streams, and
// has all of what its Gateway may have.
func (r *replica) has(node string, pod *pods.Pod) bool {
	streams := r.xds.Streams(node)
	if pod.Envoy != nil && len(streams) < 2 {
		return false
	}
	ids := map[string]bool{}
	for _, s := range streams {
		for _, sub := range s.Types {
			ids[sub.Acked] = true
		}
	}
	return len(ids) == 1 && !ids[""]
}

func testApart(t *testing.T) {
	w := newWorld(t, source.ControllerEgret)
	w.gateway("slow", "egret", source.PlaneNative)
	w.gateway("quick", "egret", source.PlaneNative)
	w.route("s", "slow", "example.com")
	w.route("q", "quick", "example.com")
	w.do("POST", w.api("httproutes"), fmt.Sprintf(objects, "HTTPRoute", "both", "parentRefs: [{name: slow}, {name: quick}], rules: [{matches: [{path: {value: /both}}], "+
		"filters: [{type: RequestRedirect, requestRedirect: {hostname: example.com, statusCode: 302}}]}]"))
	w.authenticate("s")
	first := w.run()
	w.await("Deployment", func() bool { return server.Has(w.deployment("slow")) })
	first.stop()
	// A pod of slow runs and is on its way to the next leader, for which that
	// one waits longest.
	if err := w.pod("slow", source.PlaneNative).Ready(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for _, o := range []string{"gateways/slow", "gateways/quick", "httproutes/s", "httproutes/q", "httproutes/both"} {
		plural, _, _ := strings.Cut(o, "/")
		reset := `{"status":null}`
		if plural == "httproutes" {
			reset = `{"status":{"parents":[]}}`
		}
		w.do("PATCH", w.api(o)+"/status", reset)
	}
	c := w.run()
	c.join(w.pod("quick", source.PlaneNative))
	t.Run("gateway-37 B-34 a Gateway whose planes are waited for does not delay what is told of others", func(t *testing.T) {
		w.awaitProgrammed("quick", "True", "Programmed")
		w.await("status of q", func() bool { return w.accepted("q", "quick").Status == "True" })
		w.await("status of both", func() bool { return w.accepted("both", "quick").Status == "True" })
		if c := w.programmed("slow"); c.Reason != "" && c.ObservedGeneration != 0 {
			t.Errorf("of the Gateway that is waited for is told %+v", c)
		}
		for _, route := range []string{"s", "both"} {
			if c := w.accepted(route, "slow"); c.Status != "" {
				t.Errorf("of route %s and slow is told %+v", route, c)
			}
		}
	})
	c.join(w.pod("slow", source.PlaneNative))
	t.Run("gateway-51 its own is told when its planes are there", func(t *testing.T) {
		w.awaitProgrammed("slow", "True", "Programmed")
		w.await("status of both", func() bool {
			return w.accepted("both", "slow").Status == "True" && w.accepted("both", "quick").Status == "True"
		})
	})
}

func testEvents(t *testing.T) {
	w := newWorld(t, source.ControllerEgret)
	w.gateway("one", "egret", source.PlaneNative)
	c := w.run()
	c.join(w.pod("one", source.PlaneNative))
	w.do("POST", w.api("httproutes"), fmt.Sprintf(objects, "HTTPRoute", "a", "parentRefs: [{name: one}], rules: [{backendRefs: [{name: nowhere, port: 80}]}]"))
	uid := string(apiserver.Read[metav1.PartialObjectMetadata](t, server, w.api("httproutes")+"/a").UID)
	// as kubectl describe asks for them
	path := w.core("events") + "?fieldSelector=involvedObject.name%3Da,involvedObject.namespace%3D" + w.ns + ",involvedObject.kind%3DHTTPRoute,involvedObject.uid%3D" + uid
	events := func() []corev1.Event { return apiserver.Read[corev1.EventList](t, server, path).Items }
	t.Run("gateway-118 what is refused is an Event of the very object, said once", func(t *testing.T) {
		w.await("Event", func() bool { return len(events()) > 0 })
		for i := range 3 { // rounds in which it is refused still
			w.route(fmt.Sprintf("more%d", i), "one", "example.com")
			w.await("status", func() bool { return w.accepted(fmt.Sprintf("more%d", i), "one").Status == "True" })
		}
		got := events()
		if len(got) != 1 || got[0].Count != 1 || got[0].Type != corev1.EventTypeWarning || got[0].Reason != "BackendNotFound" ||
			!strings.Contains(got[0].Message, "nowhere") || got[0].Source.Component != source.ControllerEgret || got[0].InvolvedObject.APIVersion != "gateway.networking.k8s.io/v1" {
			t.Errorf("Events are %+v", got)
		}
	})
}

// bindings are the ClusterRoleBindings of a Gateway's pods.
func (w *world) bindings(gateway string) (n int) {
	for _, b := range apiserver.Read[metav1.PartialObjectMetadataList](w.T, server, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings").Items {
		if b.Annotations[source.AnnotationGateway] == w.ns+"/"+gateway {
			n++
		}
	}
	return n
}

func (w *world) enforced(policy string) metav1.Condition {
	p := apiserver.Read[struct {
		metav1.ObjectMeta `json:"metadata"`
		Status            struct{ Conditions []metav1.Condition }
	}](w.T, server, w.policies("authpolicies")+"/"+policy)
	return conditionIn(p.Status.Conditions, "Enforced", p.Generation)
}

func testReviews(t *testing.T) {
	w := newWorld(t, source.ControllerEgret)
	w.gateway("guarded", "egret", source.PlaneNative)
	w.gateway("open", "egret", source.PlaneNative)
	w.route("g", "guarded", "example.com")
	w.route("o", "open", "example.com")
	c := w.run()
	c.join(w.pod("guarded", source.PlaneNative))
	c.join(w.pod("open", source.PlaneNative))
	w.awaitProgrammed("guarded", "True", "Programmed")
	w.awaitProgrammed("open", "True", "Programmed")
	t.Run("only pods whose policies have tokens reviewed may have them reviewed", func(t *testing.T) {
		if n := w.bindings("guarded") + w.bindings("open"); n != 0 {
			t.Errorf("%d bindings without a policy", n)
		}
		w.authenticate("g")
		w.await("policy that is enforced", func() bool {
			e := w.enforced("g")
			if e.Status == "True" && w.bindings("guarded") != 1 {
				t.Fatal("it is said to be enforced before it can be")
			}
			return e.Status == "True"
		})
		if n := w.bindings("open"); n != 0 {
			t.Errorf("the other Gateway has %d", n)
		}
	})
	t.Run("the permission goes with the policy", func(t *testing.T) {
		w.do("DELETE", w.policies("authpolicies")+"/g", "")
		w.await("end of the binding", func() bool { return w.bindings("guarded") == 0 })
	})
}

func testDelivered(t *testing.T) {
	w := newWorld(t, source.ControllerEgret)
	w.gateway("one", "egret", source.PlaneNative)
	c := w.run()
	pod := w.pod("one", source.PlaneNative)
	ended := c.join(pod)
	w.awaitProgrammed("one", "True", "Programmed")
	const list = "/api/v1/namespaces/maas-api/configmaps"
	w.do("POST", list, "{apiVersion: v1, kind: ConfigMap, metadata: {name: maas-denials, labels: {egret.dev/denials: 'true'}}, data: {denials: ''}}")
	t.Cleanup(func() { w.do("DELETE", list+"/maas-denials", "") })
	said := func() bool {
		m := apiserver.Read[corev1.ConfigMap](t, server, list+"/maas-denials")
		_, version := source.Denials(m)
		return m.Annotations[source.DeliveredAnnotation(source.ControllerEgret)] == version
	}
	revoke := func(id string) {
		w.do("PATCH", list+"/maas-denials", `{"data":{"denials":"jti:`+id+` 2099-01-01T00:00:00Z\n"}}`)
	}
	has := func(id string) bool { return len(pod.Engine.Have(feed.TypeDenial)["jti:"+id].Value) > 0 }
	// round waits until a change that came after all others has gone all the way.
	n := 0
	round := func() {
		n++
		w.gateway(fmt.Sprintf("mark%d", n), "egret", source.PlaneNative)
		w.awaitProgrammed(fmt.Sprintf("mark%d", n), "False", "Pending")
	}
	t.Run("maas-42 maas-56 what was revoked is confirmed once the pod has it", func(t *testing.T) {
		revoke("first")
		w.await("confirmation", said)
		if !has("first") {
			t.Error("it was confirmed before the pod had it")
		}
	})
	t.Run("maas-42 maas-56 and not while a pod that serves is away", func(t *testing.T) {
		if err := pod.Ready(t.Context(), 2); err != nil { // of which one is not connected
			t.Fatal(err)
		}
		w.noticed("one")
		revoke("second")
		w.await("denial in the pod that is connected", func() bool { return has("second") })
		round()
		if said() {
			t.Error("it was confirmed though a second pod holds the old list")
		}
		if err := pod.Ready(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		w.await("confirmation", said)
	})
	t.Run("maas-42 maas-56 nor while the Gateway of a pod that serves cannot be read, also after a restart", func(t *testing.T) {
		c.stop()
		<-ended
		w.do("PATCH", w.core("configmaps")+"/native", `{"data":{"fleet.yaml":"replicas: many"}}`)
		revoke("third")
		c = w.run(func(o *Options) { o.XDSAddress, o.XDSListen = c.address, c.address })
		w.await("refusal", func() bool { return w.programmed("one").Status == "False" })
		w.await("leader", func() bool { return c.serving() == nil })
		w.do("POST", w.core("configmaps"), "{apiVersion: v1, kind: ConfigMap, metadata: {name: other}, data: {fleet.yaml: 'service: {type: ClusterIP}'}}")
		w.gateway("last", "egret", "other")
		w.awaitProgrammed("last", "False", "Pending")
		if said() {
			t.Error("it was confirmed though a pod holds the old list")
		}
		w.do("PATCH", w.core("configmaps")+"/native", `{"data":{"fleet.yaml":"service: {type: ClusterIP}"}}`)
		w.await("owner of the node", func() bool { return (*c.owners.Load())[w.node("one")] != "" })
		c.join(pod)
		w.await("confirmation", said)
		if !has("third") {
			t.Error("it was confirmed before the pod had it")
		}
	})
}

func testTakeover(t *testing.T) {
	w := newWorld(t, source.ControllerEgret)
	w.gateway("one", "egret", source.PlaneNative)
	w.gateway("two", "egret", source.PlaneEnvoy)
	w.route("a", "one", "a.example.com")
	w.route("b", "two", "a.example.com")
	leader := w.run()
	pods := map[string]<-chan error{}
	one, two := w.pod("one", source.PlaneNative), w.pod("two", source.PlaneEnvoy)
	pods["one"], pods["two"] = leader.join(one), leader.join(two)
	w.awaitProgrammed("one", "True", "Programmed")
	w.awaitProgrammed("two", "True", "Programmed")

	follower := w.run(func(o *Options) { o.Self.Pod = "controller-1" })
	w.await("follower that has read the cluster", follower.synced.Load)
	t.Run("gateway-27 of two replicas one leads: the other writes nothing and serves nobody", func(t *testing.T) {
		w.route("c", "one", "a.example.com")
		w.await("status of c", func() bool { return w.accepted("c", "one").Status == "True" })
		if n := follower.writes.Load(); n != 0 || follower.listens() || follower.lead.leading.Load() {
			t.Errorf("the follower made %d writes; listens: %v", n, follower.listens())
		}
	})
	t.Run("gateway-27 when the leader dies the other takes over within the lease time, and planes serve on", func(t *testing.T) {
		had := one.Engine.Have(feed.TypeRule)
		began := time.Now()
		leader.cut.Store(true) // it cannot renew its Lease, nor say that it is gone
		<-pods["one"]          // it knows that it is cut off, and serves no more
		<-pods["two"]
		if diff := cmp.Diff(had, one.Engine.Have(feed.TypeRule)); diff != "" {
			t.Errorf("without a controller a pod has something else: %s", diff)
		}
		apiserver.Await(t, leaseDuration+3*retryPeriod, "new leader", follower.lead.leading.Load)
		if d := time.Since(began); d > leaseDuration+2*retryPeriod+2*time.Second {
			t.Errorf("it took %s", d)
		}
		var came received
		one.Engine.Heard = came.note
		follower.join(one)
		follower.join(two)
		w.route("d", "one", "a.example.com")
		w.await("status of d by the new leader", func() bool { return w.accepted("d", "one").Status == "True" })
		w.await("route d in the pod", func() bool { return len(one.Engine.Have(feed.TypeRule)) == len(had)+1 })
		if got := slices.DeleteFunc(came.take(), func(name string) bool { return !strings.HasPrefix(name, "Rule ") }); !slices.Equal(got, []string{"Rule " + w.ns + "/d/0"}) {
			t.Errorf("of rules came %v", got)
		}
		w.awaitProgrammed("two", "True", "Programmed")
		if leader.lead.leading.Load() || leader.listens() {
			t.Error("the one that was cut off leads still")
		}
	})
}
