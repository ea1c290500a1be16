//go:build scale

package scale

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/lab/apiserver"
	"github.com/egret-gateway/egret/lab/apiserver/pods"
	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/xds"
	"github.com/egret-gateway/egret/xds/xdstest"
)

// How much there is.
const (
	gateways  = 20 // each in a namespace of its own, planes in turns
	perRoutes = 150
	routes    = gateways * perRoutes
	backends  = routes / 2
	guarded   = 10 // every so many routes have an AuthPolicy and a TokenRateLimitPolicy
	changes   = 50
)

// Goals, on two cores.
const (
	goalSettle = time.Minute
	goalChange = 2 * time.Second // the median; 99 of 100 within twice that
	goalMemory = 500 << 20
	patience   = 3 * time.Minute // of whatever is waited for
)

var class = source.Class{Name: "egret", Controller: source.ControllerEgret}

func space(i int) string     { return fmt.Sprintf("team-%02d", i) }
func plane(i int) string     { return []string{source.PlaneNative, source.PlaneEnvoy}[i%2] }
func routeName(j int) string { return fmt.Sprintf("model-%03d", j) }
func api(group, version, ns, plural string) string {
	return "/apis/" + group + "/" + version + "/namespaces/" + ns + "/" + plural
}

func prepared() (out []object) {
	add := func(path, text string, args ...any) { out = append(out, object{path, fmt.Sprintf(text, args...)}) }
	add("/api/v1/namespaces", `{apiVersion: v1, kind: Namespace, metadata: {name: egret-system}}`)
	add("/apis/gateway.networking.k8s.io/v1/gatewayclasses", `{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: egret}, spec: {controllerName: %s}}`, source.ControllerEgret)
	for i := range gateways {
		add("/api/v1/namespaces", `{apiVersion: v1, kind: Namespace, metadata: {name: %s}}`, space(i))
	}
	return out
}

func configured() (out []object) {
	add := func(path, text string, args ...any) { out = append(out, object{path, fmt.Sprintf(text, args...)}) }
	for i := range gateways {
		ns := space(i)
		add("/api/v1/namespaces/"+ns+"/configmaps", `{apiVersion: v1, kind: ConfigMap, metadata: {name: fleet}, data: {fleet.yaml: '{plane: %s, service: {type: ClusterIP}}'}}`, plane(i))
		for j := range backends / gateways {
			add(api("ainetworking.prototype.x-k8s.io", "v0alpha0", ns, "xbackenddestinations"), `{apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0, kind: XBackendDestination, metadata: {name: provider-%03d}, `+
				`spec: {destination: {type: Fqdn, fqdn: {hostname: p%03d.%s.example.com}, ports: [{number: 443, protocol: HTTP, tls: {mode: Simple}}]}}}`, j, j, ns)
		}
		for j := range perRoutes {
			add(api("gateway.networking.k8s.io", "v1", ns, "httproutes"), `{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: %s}, spec: {parentRefs: [{name: egress}], `+
				`rules: [{matches: [{path: {value: /%[1]s}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}], `+
				`backendRefs: [{group: ainetworking.prototype.x-k8s.io, kind: XBackendDestination, name: provider-%03d, port: 443}]}]}}`, routeName(j), j/2)
			if j%guarded > 0 {
				continue
			}
			target := `targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: ` + routeName(j) + `}`
			add(api("kuadrant.io", "v1", ns, "authpolicies"), `{apiVersion: kuadrant.io/v1, kind: AuthPolicy, metadata: {name: %s}, spec: {%s, rules: {authentication: {tokens: {kubernetesTokenReview: {audiences: [models]}}}}}}`, routeName(j), target)
			add(api("kuadrant.io", "v1alpha1", ns, "tokenratelimitpolicies"), `{apiVersion: kuadrant.io/v1alpha1, kind: TokenRateLimitPolicy, metadata: {name: %s}, spec: {%s, limits: {budget: {rates: [{limit: %d, window: 1m}], counters: [{expression: auth.identity.userid}]}}}}`, routeName(j), target, 1000+j)
		}
	}
	return out
}

func theGateways() (out []object) {
	for i := range gateways {
		out = append(out, object{api("gateway.networking.k8s.io", "v1", space(i), "gateways"), `{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: egress}, spec: {gatewayClassName: egret, ` +
			`listeners: [{name: web, port: 80, protocol: HTTP}], infrastructure: {parametersRef: {group: '', kind: ConfigMap, name: fleet}}}}`})
	}
	return out
}

// heard is a response that a Gateway's pod has acknowledged.
type heard struct {
	gateway int
	xdstest.Response
}

// play plays the pod of every Gateway until the test ends, and connects again
// when its stream does.
func (w *world) play(came chan<- heard) (all []*pods.Pod) {
	for i := range gateways {
		note := func(r xdstest.Response) {
			select {
			case came <- heard{i, r}:
			default: // nobody is waiting
			}
		}
		p := &pods.Pod{
			Server: w.server, Namespace: space(i), Fleet: source.ResourceName(class, space(i), "egress"), Node: source.NodeID(class, space(i), "egress"),
			Address: w.xds, Dir: w.TempDir(), Engine: &xdstest.Peer{Heard: note},
		}
		if plane(i) == source.PlaneEnvoy {
			p.Envoy = &xdstest.Peer{Heard: note}
		}
		all = append(all, p)
		go func() {
			ready := false
			for w.Context().Err() == nil {
				ctx, stop := context.WithCancel(w.Context())
				if w.server.Has("/apis/apps/v1/namespaces/" + p.Namespace + "/deployments/" + p.Fleet) {
					if !ready {
						w.writes.Add(1)
						ready = p.Ready(ctx, 1) == nil
					}
					_ = p.Run(ctx)
				}
				stop()
				select {
				case <-w.Context().Done():
				case <-time.After(100 * time.Millisecond):
				}
			}
		}()
	}
	return all
}

// fed reports whether every pod has all of its Gateway's routes.
func fed(all []*pods.Pod) bool {
	for _, p := range all {
		if len(p.Engine.Have(feed.TypeRule)) != perRoutes || p.Envoy != nil && len(p.Envoy.Have(xds.TypeRoute)) == 0 {
			return false
		}
	}
	return true
}

func (w *world) programmed() (n int) {
	for _, g := range apiserver.Read[gwv1.GatewayList](w.T, w.server, "/apis/gateway.networking.k8s.io/v1/gateways").Items {
		n += trueIn(g.Status.Conditions, "Programmed", g.Generation)
	}
	return n
}

func (w *world) accepted() (n int) {
	for _, r := range apiserver.Read[gwv1.HTTPRouteList](w.T, w.server, "/apis/gateway.networking.k8s.io/v1/httproutes").Items {
		for _, p := range r.Status.Parents {
			n += trueIn(p.Conditions, "Accepted", r.Generation)
		}
	}
	return n
}

func trueIn(cs []metav1.Condition, typ string, generation int64) int {
	if slices.ContainsFunc(cs, func(c metav1.Condition) bool {
		return c.Type == typ && c.Status == metav1.ConditionTrue && c.ObservedGeneration == generation
	}) {
		return 1
	}
	return 0
}

// change changes a backend of a Gateway and returns how long it took until its
// planes had acknowledged that.
func (w *world) change(n int, came <-chan heard) time.Duration {
	w.Helper()
	for len(came) > 0 {
		<-came
	}
	i := n % gateways
	want := []string{feed.TypeBackend, feed.TypeHead} // in this order
	if plane(i) == source.PlaneEnvoy {
		want = append(want, xds.TypeRoute)
	}
	host, began := fmt.Sprintf("new-%d.example.com", n), time.Now()
	if err := w.do(w.Context(), http.MethodPatch, api("ainetworking.prototype.x-k8s.io", "v0alpha0", space(i), "xbackenddestinations")+fmt.Sprintf("/provider-%03d", n),
		`{"spec":{"destination":{"fqdn":{"hostname":"`+host+`"}}}}`); err != nil {
		w.Fatal(err)
	}
	timeout := time.After(patience)
	for len(want) > 0 {
		select {
		case h := <-came:
			if h.gateway == i && h.Type == want[0] && (h.Type != feed.TypeBackend || strings.Contains(string(h.Changed[0].Value), host)) {
				want = want[1:]
			}
		case <-timeout:
			w.Fatalf("change %d has not arrived: %v", n, want)
		}
	}
	return time.Since(began)
}

func TestScale(t *testing.T) {
	w := newWorld(t)
	figures := &figures{}
	w.create(prepared())
	w.before = w.controllerWrites()
	stop := w.start()
	w.await("controller", func() bool { return w.metric("egret_controller_leading") == 1 })
	came := make(chan heard, 1<<14)
	began := time.Now()
	w.create(configured())
	figures.Created = time.Since(began)
	all := w.play(came)
	w.create(theGateways())
	last := time.Now()
	w.await("Gateway that is Programmed, of every one", func() bool { return w.programmed() == gateways })
	figures.Programmed = time.Since(last)
	w.await("pod of every Gateway with all its routes", func() bool { return fed(all) })
	w.await("route that was told, of all", func() bool { return w.accepted() == routes })
	figures.Settled = time.Since(last)
	w.calm()
	figures.Writes = w.controllerWrites()
	figures.remember(w, "after settling")

	for n := range changes {
		figures.Changes = append(figures.Changes, w.change(n, came))
	}
	slices.Sort(figures.Changes)
	w.calm()
	figures.ChangeWrites = w.controllerWrites() - figures.Writes
	figures.remember(w, "after the changes")
	before := w.controllerWrites()

	stop()
	began = time.Now()
	w.start()
	w.await("pod of every Gateway that is fed again", func() bool {
		return w.metric("egret_xds_subscriptions", `"`+feed.TypeHead+`"`) == gateways
	})
	figures.Restarted = time.Since(began)
	w.calm()
	figures.RestartWrites = w.controllerWrites() - before
	figures.remember(w, "after a restart")

	t.Log("\n" + strings.Join(figures.lines(), "\n"))
	figures.write(w)
	figures.hold(t)
}

// calm waits until the controller has written nothing for two seconds.
func (w *world) calm() {
	w.Helper()
	before, since := w.controllerWrites(), time.Now()
	w.await("calm", func() bool {
		if n := w.controllerWrites(); n != before {
			before, since = n, time.Now()
		}
		return time.Since(since) > 2*time.Second
	})
}
