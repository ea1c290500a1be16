//go:build cluster

package gateway

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/egret-gateway/egret/lab/cluster"
	"github.com/egret-gateway/egret/lab/fake"
	"github.com/egret-gateway/egret/lab/stage"
)

// TestMain lets parts wait side by side, however few processors there are.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", "24"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// Limits of waits.
const (
	soon = 2 * time.Minute // bounds what only takes long where the machine is busy
	late = 4 * time.Minute
)

// swift is how long a change may take to count: 5 s (acceptance gateway 34),
// and more where others leave this machine no processor.
func swift(t testing.TB) time.Duration {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 5 * time.Second
	}
	var load float64
	if _, err := fmt.Sscan(string(b), &load); err != nil {
		t.Fatal(err)
	}
	if share := load / float64(runtime.NumCPU()); share > 4 {
		return time.Duration(share * float64(5*time.Second) / 2)
	}
	return 5 * time.Second
}

// world is the cluster with both controllers, what routes lead to, and per
// plane three Gateways that run.
type world struct {
	*stage.Stage
	site   string // namespace of what routes lead to
	planes []*plane
	ca     *fake.CA // of what speaks TLS there

	mu    sync.Mutex
	hosts map[string]string // addresses of names outside the cluster
}

// plane is one of the two, with Gateways of its class.
type plane struct {
	name, class, controller, word string
	system, deployment            string // of its controller
	ns                            string // of shared, spare and the odd one
	url                           string // of shared
}

// odd is the name of the Gateway with listeners that cannot serve. It is too
// long for a label, and so for what is called after it.
const odd = "the-odd-one-whose-name-is-long-enough-to-be-no-label-of-any-object"

// TestGateway runs every part on one installation.
func TestGateway(t *testing.T) {
	w := &world{Stage: stage.Quickstart(t, cluster.Open(t)), planes: []*plane{
		{name: "native", class: "egret", controller: "egret.dev/gateway-controller", word: "egret", system: "egret-system", deployment: "egret-controller"},
		{name: "envoy", class: "wg-ai-gateway", controller: "sigs.k8s.io/wg-ai-gateway-envoy-controller", word: "envoy", system: "ai-gateway-system", deployment: "ai-gateway-controller"},
	}}
	w.build(t)
	t.Run("resource", w.resource) // changes a definition that all others use
	t.Run("parts", func(t *testing.T) {
		for name, part := range map[string]func(*testing.T, *plane){
			"references": w.references, "weights": w.weights, "listeners": w.listeners, "attachment": w.attachment,
			"changes": w.changes, "foreign": w.foreign, "classes": w.classes, "objects": w.objects, "parameters": w.parameters,
			"ghosts": w.ghosts, "pods": w.pods, "identity": w.identity, "refusals": w.refusals, "backends": w.backends,
			"controller": w.running, "streams": w.streams, "clusters": w.clusters, "partner": w.partner,
		} {
			for _, p := range w.planes {
				t.Run(name+" on "+p.name, func(t *testing.T) { t.Parallel(); part(t, p) })
			}
		}
		for name, part := range map[string]func(*testing.T){"samples": w.samples, "provider": w.provider, "registry": w.registry, "flags": w.flags} {
			t.Run(name, func(t *testing.T) { t.Parallel(); part(t) })
		}
	})
	t.Run("nothing was restarted by all that", w.unharmed)
	t.Run("restart", w.restart)
}

// build makes what the parts share.
func (w *world) build(t *testing.T) {
	w.site = w.Namespace(t)
	w.Put(t, w.site, w.authority(t)+"---"+site)
	for _, p := range w.planes {
		p.ns = w.Namespace(t)
		// gateway 42: nothing but the restricted profile may run there.
		w.Put(t, "", "apiVersion: v1\nkind: Namespace\nmetadata: {name: "+p.ns+", labels: {pod-security.kubernetes.io/enforce: restricted}}")
		w.Put(t, p.ns, certificate(t, "a", "a.test")+certificate(t, "b", "b.test"))
		w.Put(t, p.ns, strings.NewReplacer("CLASS", p.class, "ODD", odd, "SITE", w.site).Replace(gateways))
	}
	w.Rolled(t, w.site, "answer")
	for _, p := range w.planes {
		for _, name := range []string{"shared", "spare"} {
			w.Programmed(t, p.ns, name)
		}
		p.url = w.Reach(t, p.ns, p.service(p.ns, "shared"), 80)
	}
}

// service is the name of what runs for a Gateway of the plane.
func (p *plane) service(namespace, name string) string {
	return p.word + "-" + namespace + "-" + name
}

// place is a namespace of a part, whose routes hang on the plane's Gateway
// shared, each with a host name of its own.
type place struct {
	*world
	*plane
	ns     string
	client *http.Client
}

func (w *world) place(t *testing.T, p *plane) *place {
	tr := w.Transport()
	tr.DisableKeepAlives, tr.MaxIdleConnsPerHost = false, 4
	t.Cleanup(tr.CloseIdleConnections)
	return &place{w, p, w.Namespace(t), &http.Client{Transport: tr, Timeout: soon, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// host is where a route of the place is called.
func (l *place) host(route string) string { return route + "." + l.ns + ".test" }

// put applies documents in which SITE and NS are namespaces.
func (l *place) put(t *testing.T, text string) {
	t.Helper()
	l.Put(t, l.ns, strings.NewReplacer("SITE", l.site, "NS", l.ns, "CLASS", l.class).Replace(text))
}

// route makes an HTTPRoute with the rules given, as YAML without indent.
func (l *place) route(t *testing.T, name, rules string) {
	t.Helper()
	l.attach(t, name, "{name: shared, namespace: "+l.plane.ns+", sectionName: http}", l.host(name), rules)
}

func (l *place) attach(t *testing.T, name, parents, hosts, rules string) {
	t.Helper()
	if hosts != "" {
		hosts = "  hostnames: [" + hosts + "]\n"
	}
	l.put(t, "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: "+name+"}\nspec:\n  parentRefs: ["+parents+"]\n"+hosts+
		"  rules:\n    "+strings.ReplaceAll(strings.TrimSpace(rules), "\n", "\n    ")+"\n")
}

// backend is the rule that leads to an XBackendDestination of the place.
func backend(name string, port int) string {
	return fmt.Sprintf("- backendRefs: [{group: ainetworking.prototype.x-k8s.io, kind: Backend, name: %s, port: %d}]", name, port)
}

// fqdn is an XBackendDestination.
func fqdn(name, host string, port int) string {
	return fmt.Sprintf("apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0\nkind: XBackendDestination\nmetadata: {name: %s}\n"+
		"spec: {destination: {type: Fqdn, fqdn: {hostname: %q}, ports: [{number: %d, protocol: HTTP}]}}\n---\n", name, host, port)
}

// call sends a GET request for a path of a route of the place.
func (l *place) call(route, path string) (cluster.Answer, error) {
	return ask(l.client, l.url+path, l.host(route))
}

// answers waits until a call of a route answers with the status, and returns
// the answer.
func (l *place) answers(t *testing.T, route string, status int) (a cluster.Answer) {
	t.Helper()
	l.Eventually(t, soon, fmt.Sprintf("route %s answers %d", route, status), func() (err error) {
		a, err = l.call(route, "/")
		return a.Want(status, err)
	})
	return a
}
