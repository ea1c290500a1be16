//go:build cluster

package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/lab/apiserver"
	"github.com/egret-gateway/egret/lab/apiserver/pods"
	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/xds/xdstest"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	os.Exit(apiserver.Main(m, func(s *apiserver.Server) error {
		server = s
		klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // what client-go has to say
		log.SetLogger(logr.Discard())
		if err := s.Install(context.Background(), apiserver.Resources()...); err != nil {
			return err
		}
		for _, body := range []string{
			"{apiVersion: v1, kind: Namespace, metadata: {name: egret-system}}",
			"{apiVersion: v1, kind: Namespace, metadata: {name: maas-api}}",
		} {
			if _, err := s.Do(context.Background(), "POST", "/api/v1/namespaces", []byte(body)); err != nil {
				return err
			}
		}
		for name, controller := range map[string]string{"egret": source.ControllerEgret, "second": source.ControllerEgret, "wg": source.ControllerWG, "theirs": "example.com/theirs"} {
			if _, err := s.Do(context.Background(), "POST", classes, fmt.Appendf(nil, objects, "GatewayClass", name, "controllerName: "+controller)); err != nil {
				return err
			}
		}
		return nil
	}))
}

const (
	limit   = 15 * time.Second // of whatever a test waits for
	classes = "/apis/gateway.networking.k8s.io/v1/gatewayclasses"
	objects = `{apiVersion: gateway.networking.k8s.io/v1, kind: %s, metadata: {name: %s}, spec: {%s}}`
)

// world is a namespace with Gateways of one controller and their pods.
type world struct {
	*testing.T
	ns   string
	name string // of the controller
}

// newWorld makes the namespace; what is in it is nobody's when the test ends.
func newWorld(t *testing.T, controller string) *world {
	t.Helper()
	w := &world{T: t, ns: strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name())), name: controller}
	w.do("POST", "/api/v1/namespaces", "{apiVersion: v1, kind: Namespace, metadata: {name: "+w.ns+"}}")
	for _, plane := range []string{source.PlaneEnvoy, source.PlaneNative} {
		w.do("POST", w.core("configmaps"), "{apiVersion: v1, kind: ConfigMap, metadata: {name: "+plane+"}, data: {fleet.yaml: '{plane: "+plane+", service: {type: ClusterIP}}'}}")
	}
	t.Cleanup(func() {
		for _, plural := range []string{"gateways", "httproutes"} {
			w.do("DELETE", w.api(plural), "")
		}
	})
	return w
}

func (w *world) core(plural string) string { return "/api/v1/namespaces/" + w.ns + "/" + plural }
func (w *world) api(plural string) string {
	return "/apis/gateway.networking.k8s.io/v1/namespaces/" + w.ns + "/" + plural
}
func (w *world) policies(plural string) string {
	return "/apis/kuadrant.io/v1/namespaces/" + w.ns + "/" + plural
}
func (w *world) deployment(gateway string) string {
	return "/apis/apps/v1/namespaces/" + w.ns + "/deployments/" + w.fleet(gateway)
}

func (w *world) do(method, path, body string) []byte {
	w.Helper()
	return server.Must(w.T, method, path, body)
}

func (w *world) await(what string, ok func() bool) {
	w.Helper()
	apiserver.Await(w.T, limit, what, ok)
}

func (w *world) class() source.Class { return source.Class{Controller: w.name} }

// fleet is the name of a Gateway's objects.
func (w *world) fleet(gateway string) string { return source.ResourceName(w.class(), w.ns, gateway) }
func (w *world) node(gateway string) string  { return source.NodeID(w.class(), w.ns, gateway) }

// gateway creates a Gateway of the class on the plane.
func (w *world) gateway(name, class, plane string) {
	w.Helper()
	w.do("POST", w.api("gateways"), fmt.Sprintf(objects, "Gateway", name, "gatewayClassName: "+class+", listeners: [{name: web, port: 80, protocol: HTTP}], "+
		"infrastructure: {parametersRef: {group: '', kind: ConfigMap, name: "+plane+"}}"))
}

// route creates a route of a Gateway, a redirect to a host.
func (w *world) route(name, parent, host string) {
	w.Helper()
	w.do("POST", w.api("httproutes"), fmt.Sprintf(objects, "HTTPRoute", name, "parentRefs: [{name: "+parent+"}], rules: [{matches: [{path: {value: /"+name+"}}], "+
		"filters: [{type: RequestRedirect, requestRedirect: {hostname: "+host+", statusCode: 302}}]}]"))
}

// authenticate creates an AuthPolicy that has a route's callers show a token.
func (w *world) authenticate(route string) {
	w.Helper()
	w.do("POST", w.policies("authpolicies"), "{apiVersion: kuadrant.io/v1, kind: AuthPolicy, metadata: {name: "+route+"}, spec: {targetRef: "+
		"{group: gateway.networking.k8s.io, kind: HTTPRoute, name: "+route+"}, rules: {authentication: {tokens: {kubernetesTokenReview: {audiences: [here]}}}}}}")
}

func conditionIn(cs []metav1.Condition, typ string, generation int64) metav1.Condition {
	for _, c := range cs {
		if c.Type == typ && c.ObservedGeneration == generation {
			return c
		}
	}
	return metav1.Condition{}
}

// programmed is the condition of a Gateway as it is now.
func (w *world) programmed(gateway string) metav1.Condition {
	w.Helper()
	g := apiserver.Read[gwv1.Gateway](w.T, server, w.api("gateways")+"/"+gateway)
	return conditionIn(g.Status.Conditions, "Programmed", g.Generation)
}

func (w *world) awaitProgrammed(gateway, status, reason string) {
	w.Helper()
	w.await("Gateway "+gateway+" that is "+status+" "+reason, func() bool {
		c := w.programmed(gateway)
		return string(c.Status) == status && c.Reason == reason
	})
}

// accepted says what a route's status says of a parent.
func (w *world) accepted(route, parent string) metav1.Condition {
	w.Helper()
	r := apiserver.Read[gwv1.HTTPRoute](w.T, server, w.api("httproutes")+"/"+route)
	for _, p := range r.Status.Parents {
		if string(p.ParentRef.Name) == parent {
			return conditionIn(p.Conditions, "Accepted", r.Generation)
		}
	}
	return metav1.Condition{}
}

// replica is a running controller.
type replica struct {
	*Controller
	w       *world
	address string
	writes  atomic.Int64 // its requests that change something, but for its Lease
	cut     atomic.Bool  // from the API server
	stop    func()
}

// run runs a controller until stop or the end of the test.
func (w *world) run(with ...func(*Options)) *replica {
	w.Helper()
	r := &replica{w: w, address: free(w.T)}
	o := Options{
		Config: server.Config(), Name: w.name, Self: Self{Namespace: "egret-system", Pod: "controller-0", Image: "egret:test"}, EnvoyImage: "envoy:test",
		XDSAddress: r.address, XDSListen: r.address, HealthListen: "127.0.0.1:0", MaaSNamespace: "maas-api", Log: slog.New(slog.NewTextHandler(w.Output(), nil)), // shown when the test fails
	}
	for _, f := range with {
		f(&o)
	}
	o.Config = rest.CopyConfig(o.Config)
	o.Config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return tripper(func(q *http.Request) (*http.Response, error) {
			if r.cut.Load() {
				return nil, errors.New("the network is down")
			}
			if q.Method != http.MethodGet && !strings.Contains(q.URL.Path, "/leases") && !strings.Contains(q.URL.Path, "subjectaccessreviews") {
				r.writes.Add(1)
			}
			return next.RoundTrip(q)
		})
	})
	ctx, cancel := context.WithCancel(context.Background())
	c, err := New(ctx, o)
	if err != nil {
		cancel()
		w.Fatal(err)
	}
	r.Controller, r.address = c, o.XDSListen
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.Errorf("Run: %v", err)
		}
	})
	w.Cleanup(r.stop)
	return r
}

func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// listens reports whether a replica can be connected to.
func (r *replica) listens() bool {
	conn, err := net.Dial("tcp", r.address)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// pod is one of a Gateway's pods, which has asked for nothing yet.
func (w *world) pod(gateway, plane string) *pods.Pod {
	p := &pods.Pod{Server: server, Namespace: w.ns, Fleet: w.fleet(gateway), Node: w.node(gateway), Dir: w.TempDir(), Engine: &xdstest.Peer{}}
	if plane == source.PlaneEnvoy {
		p.Envoy = &xdstest.Peer{}
	}
	return p
}

// join connects a pod to a replica. The channel gets what its stream ends with.
func (r *replica) join(p *pods.Pod) <-chan error {
	r.w.Helper()
	return r.joinUntil(r.w.Context(), p)
}

// joinUntil is join of a pod that ends with ctx.
func (r *replica) joinUntil(ctx context.Context, p *pods.Pod) <-chan error {
	r.w.Helper()
	r.w.await("fleet "+p.Fleet, func() bool {
		return server.Has("/apis/apps/v1/namespaces/" + p.Namespace + "/deployments/" + p.Fleet) // the last of it
	})
	r.w.await("controller that listens", r.listens)
	p.Address = r.address
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	return ended
}

// containers are those of a fleet's pods.
func (w *world) containers(gateway string) []corev1.Container {
	w.Helper()
	return apiserver.Read[appsv1.Deployment](w.T, server, w.deployment(gateway)).Spec.Template.Spec.Containers
}

// noticed waits until the controller knows all that was done to a fleet's
// Deployment: it undoes a change that comes after.
func (w *world) noticed(gateway string) {
	w.Helper()
	of := func() int64 {
		return *apiserver.Read[appsv1.Deployment](w.T, server, w.deployment(gateway)).Spec.Template.Spec.TerminationGracePeriodSeconds
	}
	was := of()
	w.do("PATCH", w.deployment(gateway), fmt.Sprintf(`{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":%d}}}}`, was+1))
	w.await("grace period of fleet "+gateway+" as it was", func() bool { return of() == was })
}
