//go:build cluster

package gateway

import (
	"fmt"
	"net"
	"sync"
	"testing"
)

// references is about what a route's backendRefs lead to.
func (w *world) references(t *testing.T, p *plane) {
	l := w.place(t, p)
	l.put(t, fqdn("answer", "red.SITE.svc.cluster.local", 80))
	t.Run("gateway-12 gateway-13 kind Backend leads to the destination, whatever legacy object has its name", func(t *testing.T) {
		t.Parallel()
		l.put(t, `
apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0
kind: Backend
metadata: {name: answer}
spec: {destination: {type: Fqdn, fqdn: {hostname: legacy.invalid}, ports: [{number: 80, protocol: HTTP}]}}`)
		l.route(t, "alias", backend("answer", 80))
		if e := heard(t, l.answers(t, "alias", 200)); e.Host != "red."+l.site+".svc.cluster.local" {
			t.Errorf("asked as %s", e.Host)
		}
		l.routeHas(t, soon, "alias", "", "Accepted=True Accepted", "ResolvedRefs=True ResolvedRefs")
	})
	t.Run("gateway-14 so does its own kind", func(t *testing.T) {
		t.Parallel()
		l.route(t, "kind", "- backendRefs: [{group: ainetworking.prototype.x-k8s.io, kind: XBackendDestination, name: answer, port: 80}]")
		l.answers(t, "kind", 200)
		l.routeHas(t, soon, "kind", "", "ResolvedRefs=True ResolvedRefs")
	})
	broken := func(name, route, rules string, want string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l.route(t, route, rules)
			l.answers(t, route, 500)
			l.routeHas(t, soon, route, "", "Accepted=True Accepted", want)
		})
	}
	broken("gateway-15 B-17 a port that is not declared", "port", backend("answer", 81), "ResolvedRefs=False BackendNotFound|81")
	broken("gateway-16 a missing backend", "gone", backend("gone", 80), "ResolvedRefs=False BackendNotFound|gone")
	broken("gateway-16 a missing Service", "goneservice", "- backendRefs: [{name: gone, port: 80}]", "ResolvedRefs=False BackendNotFound|gone")
	broken("gateway-17 kind Foo", "foo", "- backendRefs: [{group: example.com, kind: Foo, name: answer, port: 80}]", "ResolvedRefs=False InvalidKind|Foo")
	broken("gateway-24 no weight above 0", "weightless", "- backendRefs: [{group: ainetworking.prototype.x-k8s.io, kind: Backend, name: answer, port: 80, weight: 0}]", "ResolvedRefs=True ResolvedRefs")
	broken("gateway-24 no backend at all", "none", "- matches: [{path: {type: PathPrefix, value: /}}]", "ResolvedRefs=True ResolvedRefs")
	t.Run("gateway-76 an extension that cannot be resolved", func(t *testing.T) {
		t.Parallel()
		l.route(t, "extension", "- filters: [{type: ExtensionRef, extensionRef: {group: example.com, kind: Foo, name: f}}]\n  backendRefs: [{group: ainetworking.prototype.x-k8s.io, kind: Backend, name: answer, port: 80}]")
		l.answers(t, "extension", 500)
		l.routeHas(t, soon, "extension", "", "Accepted=False UnsupportedValue|Foo")
	})
	t.Run("gateway-18 B-32 across namespaces a grant is needed, and counts at once", func(t *testing.T) { t.Parallel(); l.grants(t) })
	t.Run("gateway-20 B-10 a Service of another name and namespace, without a grant", func(t *testing.T) {
		t.Parallel()
		l.put(t, "apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0\nkind: XBackendDestination\nmetadata: {name: other}\n"+
			"spec: {destination: {type: Service, service: {name: blue, namespace: SITE}, ports: [{number: 80, protocol: HTTP}]}}")
		l.route(t, "other", backend("other", 80))
		if e := heard(t, l.answers(t, "other", 200)); e.Host != l.host("other") {
			t.Errorf("asked as %s, not as the client did", e.Host)
		}
		l.routeHas(t, soon, "other", "", "ResolvedRefs=True ResolvedRefs")
	})
	t.Run("gateway-19 gateway-21 B-10 a Service of the namespace, its target port by number and by name", func(t *testing.T) {
		t.Parallel()
		l.put(t, own)
		l.Rolled(t, l.ns, "own")
		l.route(t, "plain", "- matches: [{path: {type: PathPrefix, value: /number}}]\n  backendRefs: [{name: own, port: 80}]\n"+
			"- backendRefs: [{name: own, port: 81}]")
		l.answers(t, "plain", 200)
		l.Eventually(t, soon, "the numbered port answers", func() error {
			a, err := l.call("plain", "/number")
			return a.Want(200, err)
		})
	})
	t.Run("a Service without ready pods is 503, and says so", func(t *testing.T) {
		t.Parallel()
		l.put(t, "apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0\nkind: XBackendDestination\nmetadata: {name: empty}\n"+
			"spec: {destination: {type: Service, service: {name: empty, namespace: SITE}, ports: [{number: 80, protocol: HTTP}]}}")
		l.route(t, "empty", backend("empty", 80))
		l.answers(t, "empty", 503)
		l.backendHas(t, soon, "empty", "Available=False NoEndpoints")
	})
	t.Run("gateway-84 B-43 an address as hostname", func(t *testing.T) {
		t.Parallel()
		ip := ""
		l.Eventually(t, soon, "an address of Service outside", func() error {
			if ip, _ = at(l.Object(t, "services", l.site, "outside"), "status.loadBalancer.ingress.0.ip").(string); net.ParseIP(ip) == nil {
				return fmt.Errorf("%q", ip)
			}
			return nil
		})
		l.put(t, fqdn("literal", ip, 80))
		l.route(t, "literal", backend("literal", 80))
		if e := heard(t, l.answers(t, "literal", 200)); e.Host != ip {
			t.Errorf("asked as %s", e.Host)
		}
	})
}

// own is a program of a place's own.
const own = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: own}
spec:
  selector: {matchLabels: {app: own}}
  template:
    metadata: {labels: {app: own}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: answer
          image: localhost/answer:dev
          ports: [{name: web, containerPort: 8080}]
          readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
          resources: {requests: {cpu: 5m, memory: 16Mi}}
---
apiVersion: v1
kind: Service
metadata: {name: own}
spec: {selector: {app: own}, ports: [{name: number, port: 80, targetPort: 8080}, {name: name, port: 81, targetPort: web}]}
`

// grants makes, takes back and makes ReferenceGrants to a Service and to a
// destination of another namespace.
func (l *place) grants(t *testing.T) {
	far := l.Namespace(t)
	l.Put(t, far, fqdn("far", "red."+l.site+".svc.cluster.local", 80))
	grant := func(kind string) string {
		return "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {name: grant}\nspec:\n" +
			"  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: " + l.ns + "}]\n" +
			"  to: [{group: ainetworking.prototype.x-k8s.io, kind: " + kind + "}]\n"
	}
	l.route(t, "granted", "- backendRefs: [{group: ainetworking.prototype.x-k8s.io, kind: Backend, name: far, namespace: "+far+", port: 80}]")
	l.answers(t, "granted", 500)
	l.routeHas(t, soon, "granted", "", "ResolvedRefs=False RefNotPermitted|far")
	for _, kind := range []string{"XBackendDestination", "Backend"} {
		l.Put(t, far, grant(kind))
		l.answers(t, "granted", 200)
		l.routeHas(t, soon, "granted", "", "ResolvedRefs=True ResolvedRefs")
		l.Delete(t, "referencegrants", far, "grant")
		l.answers(t, "granted", 500)
	}
	l.routeHas(t, soon, "granted", "", "ResolvedRefs=False RefNotPermitted|far")
}

// weights counts who answers many calls.
func (w *world) weights(t *testing.T, p *plane) {
	l := w.place(t, p)
	l.put(t, fqdn("red", "red.SITE.svc.cluster.local", 80)+fqdn("blue", "blue.SITE.svc.cluster.local", 80))
	ref := func(name string, weight int) string {
		return fmt.Sprintf("{group: ainetworking.prototype.x-k8s.io, kind: Backend, name: %s, port: 80, weight: %d}", name, weight)
	}
	f := func(name, route string, calls int, left, right string, low, high float64) {
		t.Run(name, func(t *testing.T) {
			l.route(t, route, "- backendRefs: ["+left+", "+right+"]")
			l.Eventually(t, soon, "the route and its backends are there", func() error {
				a, err := l.call(route, "/")
				return a.Want(200, err)
			})
			if share := l.share(t, route, calls); share < low || share > high {
				t.Errorf("red has %.3f of the calls, want %.2f to %.2f", share, low, high)
			}
		})
	}
	f("gateway-22 90 and 10", "tenth", 1000, ref("red", 90), ref("blue", 10), .85, .95)
	f("gateway-22 weight 0 gets none", "zero", 100, ref("red", 0), ref("blue", 1), 0, 0)
	f("gateway-23 a broken half", "half", 300, ref("red", 50), ref("gone", 50), .37, .63)
}

// share is the part of calls that the backend red answers. Others are blue's,
// or 500.
func (l *place) share(t *testing.T, route string, calls int) float64 {
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		red   int
	)
	for range 4 {
		group.Go(func() {
			for range calls / 4 {
				a, err := l.call(route, "/")
				switch {
				case err != nil || a.Status != 200 && a.Status != 500:
					t.Errorf("%d %v", a.Status, err)
					return
				case a.Status == 200 && heard(t, a).Host == "red."+l.site+".svc.cluster.local":
					mu.Lock()
					red++
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	return float64(red) / float64(calls)
}
