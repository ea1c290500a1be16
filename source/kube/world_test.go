//go:build cluster

package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/compile"
	"github.com/egret-gateway/egret/lab/apiserver"
	"github.com/egret-gateway/egret/source"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	os.Exit(apiserver.Main(m, func(s *apiserver.Server) error {
		server = s
		return s.Install(context.Background(), apiserver.Resources()...)
	}))
}

const limit = 15 * time.Second // of whatever a test waits for

// world is a controller that does nothing but compile and write status.
type world struct {
	t      *testing.T
	source *Source
	stop   func()

	mu       sync.Mutex
	cond     chan struct{} // closed and made anew at each snapshot
	snapshot source.Snapshot
	problems source.Problems
	unread   []string
	emitted  int
	written  error
	status   Status                 // what is asked besides conditions
	watch    func(*source.Snapshot) // called with every snapshot
}

// start runs a source with the given changes to its options until the test ends.
func start(t *testing.T, with ...func(*Options)) *world {
	t.Helper()
	o := Options{
		Config:     server.Config(),
		Controller: source.ControllerEgret,
		Retry:      50 * time.Millisecond,
		Log:        slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, f := range with {
		f(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &world{t: t, source: s, cond: make(chan struct{})}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, func(snap source.Snapshot, ps source.Problems) { w.take(ctx, snap, ps) }) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(w.stop)
	return w
}

func (w *world) take(ctx context.Context, snap source.Snapshot, ps source.Problems) {
	unread := w.source.Unread()
	w.mu.Lock()
	st := w.status
	w.mu.Unlock()
	_, st.Conditions = compile.Compile(snap, compile.Options{Controllers: []string{source.ControllerEgret}})
	err := w.source.Write(ctx, st)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.snapshot, w.problems, w.unread, w.written = snap, ps, unread, err
	w.emitted++
	if w.watch != nil {
		w.watch(&snap)
	}
	close(w.cond)
	w.cond = make(chan struct{})
}

// sees waits for a snapshot that has what is looked for.
func (w *world) sees(what string, has func(*source.Snapshot) bool) {
	w.t.Helper()
	timeout := time.After(limit)
	for {
		w.mu.Lock()
		ok, next := w.emitted > 0 && has(&w.snapshot), w.cond
		w.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-next:
		case <-timeout:
			w.t.Fatalf("no snapshot with %s", what)
		}
	}
}

// last returns what the last snapshot was.
func (w *world) last() (source.Snapshot, source.Problems) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.snapshot, w.problems
}

// unknown returns the kinds that have not answered.
func (w *world) unknown() (out []string) {
	for _, k := range w.source.watched {
		if _, known := k.state(); !known {
			out = append(out, k.kind.name)
		}
	}
	return out
}

// lastUnread returns the policies that the last snapshot knows nothing of.
func (w *world) lastUnread() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unread
}

// round returns how many snapshots there were, after a change that compile
// does not care about has gone all the way.
func (w *world) round(ns string) int {
	w.t.Helper()
	mark := fmt.Sprint(time.Now().UnixNano())
	do(w.t, "PATCH", "/api/v1/namespaces/"+ns, `{"metadata":{"labels":{"round":"`+mark+`"}}}`)
	w.sees("namespace "+ns+" of round "+mark, func(s *source.Snapshot) bool {
		for _, n := range s.Namespaces {
			if n.Name == ns {
				return n.Labels["round"] == mark
			}
		}
		return false
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.emitted
}

func do(t *testing.T, method, path, body string) []byte {
	t.Helper()
	return server.Must(t, method, path, body)
}

// paths of the kinds that the tests create.
var paths = map[string]string{
	"Namespace":            "/api/v1/namespaces",
	"Secret":               "/api/v1/namespaces/%s/secrets",
	"Service":              "/api/v1/namespaces/%s/services",
	"ConfigMap":            "/api/v1/namespaces/%s/configmaps",
	"EndpointSlice":        "/apis/discovery.k8s.io/v1/namespaces/%s/endpointslices",
	"GatewayClass":         "/apis/gateway.networking.k8s.io/v1/gatewayclasses",
	"Gateway":              "/apis/gateway.networking.k8s.io/v1/namespaces/%s/gateways",
	"HTTPRoute":            "/apis/gateway.networking.k8s.io/v1/namespaces/%s/httproutes",
	"ReferenceGrant":       "/apis/gateway.networking.k8s.io/v1/namespaces/%s/referencegrants",
	"BackendTLSPolicy":     "/apis/gateway.networking.k8s.io/v1/namespaces/%s/backendtlspolicies",
	"XBackend":             "/apis/gateway.networking.x-k8s.io/v1alpha1/namespaces/%s/xbackends",
	"XBackendDestination":  "/apis/ainetworking.prototype.x-k8s.io/v0alpha0/namespaces/%s/xbackenddestinations",
	"AuthPolicy":           "/apis/kuadrant.io/v1/namespaces/%s/authpolicies",
	"RateLimitPolicy":      "/apis/kuadrant.io/v1/namespaces/%s/ratelimitpolicies",
	"TokenRateLimitPolicy": "/apis/kuadrant.io/v1alpha1/namespaces/%s/tokenratelimitpolicies",
	"ClusterRole":          "/apis/rbac.authorization.k8s.io/v1/clusterroles",
	"Role":                 "/apis/rbac.authorization.k8s.io/v1/namespaces/%s/roles",
	"RoleBinding":          "/apis/rbac.authorization.k8s.io/v1/namespaces/%s/rolebindings",
	"ClusterRoleBinding":   "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}

func collection(kind, ns string) string {
	if strings.Contains(paths[kind], "%s") {
		return fmt.Sprintf(paths[kind], ns)
	}
	return paths[kind]
}

// apply creates the objects of a text, in the namespace, and deletes them when
// the test ends.
func apply(t *testing.T, ns, text string) {
	t.Helper()
	for doc := range strings.SplitSeq(text, "\n---\n") {
		raw := do(t, "POST", collection(kindOf(doc), ns), doc)
		var o metav1.PartialObjectMetadata
		if err := json.Unmarshal(raw, &o); err != nil {
			t.Fatal(err)
		}
		path := collection(kindOf(doc), ns) + "/" + o.Name
		if kindOf(doc) != "Namespace" { // which nobody here would sweep
			t.Cleanup(func() { server.Do(context.Background(), http.MethodDelete, path, nil) })
		}
	}
}

func kindOf(doc string) string {
	for line := range strings.SplitSeq(doc, "\n") {
		if k, ok := strings.CutPrefix(strings.TrimSpace(line), "kind: "); ok {
			return k
		}
	}
	return ""
}

// namespace creates the test's own namespace.
func namespace(t *testing.T) string {
	t.Helper()
	ns := strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-"))
	apply(t, "", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: "+ns)
	return ns
}

// until reads an object again and again until ok, and returns it.
func until[T any](t *testing.T, kind, ns, name, what string, ok func(*T) bool) (o *T) {
	t.Helper()
	await(t, fmt.Sprintf("%s %s/%s that is %s", kind, ns, name, what), func() bool {
		o = apiserver.Read[T](t, server, collection(kind, ns)+"/"+name)
		return ok(o)
	})
	return o
}

// await waits for something that is not in a snapshot.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	apiserver.Await(t, limit, what, ok)
}

func find(cs []metav1.Condition, typ string) metav1.Condition {
	for _, c := range cs {
		if c.Type == typ {
			return c
		}
	}
	return metav1.Condition{}
}

// is reports whether a condition has a status and reason.
func is(cs []metav1.Condition, typ, status, reason string) bool {
	c := find(cs, typ)
	return string(c.Status) == status && c.Reason == reason
}

func parentOf(r *gwv1.HTTPRoute, controller, gateway string) *gwv1.RouteParentStatus {
	for i, p := range r.Status.Parents {
		if string(p.ControllerName) == controller && string(p.ParentRef.Name) == gateway {
			return &r.Status.Parents[i]
		}
	}
	return nil
}

// tripper sees every request of a source.
type tripper struct {
	next http.RoundTripper
	see  func(*http.Request)
}

func (t tripper) RoundTrip(r *http.Request) (*http.Response, error) {
	t.see(r)
	return t.next.RoundTrip(r)
}

// seeing calls see with every request before it is made.
func seeing(see func(*http.Request)) func(*Options) {
	return func(o *Options) {
		o.Config = rest.CopyConfig(o.Config)
		o.Config.Wrap(func(next http.RoundTripper) http.RoundTripper { return tripper{next, see} })
	}
}

// keeping keeps the body of the last watch of a resource.
func keeping(resource string, body *atomic.Pointer[io.ReadCloser]) func(*Options) {
	return func(o *Options) {
		o.Config = rest.CopyConfig(o.Config)
		o.Config.Wrap(func(next http.RoundTripper) http.RoundTripper { return keeper{next, resource, body} })
	}
}

type keeper struct {
	next     http.RoundTripper
	resource string
	body     *atomic.Pointer[io.ReadCloser]
}

func (k keeper) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := k.next.RoundTrip(r)
	if err == nil && r.URL.Query().Get("watch") != "" && strings.Contains(r.URL.Path, k.resource) {
		k.body.Store(&resp.Body)
	}
	return resp, err
}

const foreign = "example.com/somebody-else"
