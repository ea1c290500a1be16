//go:build cluster

package kube

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/api/ainetworking/v0alpha0"
	kuadrantv1 "github.com/egret-gateway/egret/api/kuadrant/v1"
	"github.com/egret-gateway/egret/source"
)

const class = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: %s}
spec: {controllerName: %s}`

const webGateway = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: %s}
spec: {gatewayClassName: %s, listeners: [{name: web, port: 80, protocol: HTTP}]}`

const chatRoute = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: chat}
spec:
  parentRefs: %s
  rules: [{backendRefs: [{group: ainetworking.prototype.x-k8s.io, kind: Backend, name: model, port: 443}]}]`

const model = `
apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0
kind: XBackendDestination
metadata: {name: model}
spec: {destination: {type: Fqdn, fqdn: {hostname: models.example.com}, ports: [{number: 443, protocol: HTTP, tls: {mode: Simple}}]}}`

func TestClassStatus(t *testing.T) {
	apply(t, "", fmt.Sprintf(class, "ours", source.ControllerEgret)+"\n---\n"+fmt.Sprintf(class, "theirs", foreign))
	before := until(t, "GatewayClass", "", "theirs", "there", func(*gwv1.GatewayClass) bool { return true })
	w := start(t, func(o *Options) {})
	w.mu.Lock()
	w.status.Features = []gwv1.FeatureName{"HTTPRoute", "Gateway", "HTTPRoute"}
	w.mu.Unlock()
	w.sees("the class", func(s *source.Snapshot) bool { _, ok := s.Class("ours"); return ok })
	w.round(namespace(t))
	t.Run("gateway-29 our class is accepted, with observedGeneration", func(t *testing.T) {
		c := until(t, "GatewayClass", "", "ours", "accepted", func(c *gwv1.GatewayClass) bool {
			return is(c.Status.Conditions, "Accepted", "True", "Accepted") && find(c.Status.Conditions, "Accepted").ObservedGeneration == c.Generation
		})
		if f := c.Status.SupportedFeatures; len(f) != 2 || f[0].Name != "Gateway" || f[1].Name != "HTTPRoute" {
			t.Errorf("supportedFeatures are not sorted and single: %v", f)
		}
	})
	t.Run("gateway-29 a class of another controller is untouched", func(t *testing.T) {
		after := until(t, "GatewayClass", "", "theirs", "there", func(*gwv1.GatewayClass) bool { return true })
		if after.ResourceVersion != before.ResourceVersion {
			t.Errorf("its status is now %v", after.Status)
		}
	})
}

func TestGatewayStatus(t *testing.T) {
	ns := namespace(t)
	apply(t, "", fmt.Sprintf(class, "second", source.ControllerEgret))
	apply(t, ns, `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g}
spec:
  gatewayClassName: second
  listeners:
  - {name: c, port: 80, protocol: HTTP, hostname: c.example.com}
  - {name: a, port: 80, protocol: HTTP, hostname: a.example.com}
  - {name: b, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: missing}]}}
---
`+fmt.Sprintf(chatRoute, "[{name: g, sectionName: a}]")+"\n---\n"+model)
	key := source.Key{Kind: "Gateway", Namespace: ns, Name: "g"}
	ip, host := gwv1.IPAddressType, gwv1.HostnameAddressType
	w := start(t)
	w.mu.Lock()
	w.status.Addresses = map[source.Key][]gwv1.GatewayStatusAddress{key: {{Type: &ip, Value: "192.0.2.7"}, {Type: &host, Value: "lb.example.com"}}}
	w.mu.Unlock()
	w.round(ns)
	t.Run("gateway-53 B-05 every listener has its status", func(t *testing.T) {
		g := until(t, "Gateway", ns, "g", "of three listeners", func(g *gwv1.Gateway) bool { return len(g.Status.Listeners) == 3 })
		for i, name := range []string{"c", "a", "b"} {
			l := g.Status.Listeners[i]
			if string(l.Name) != name || len(l.SupportedKinds) != 1 || l.SupportedKinds[0].Kind != "HTTPRoute" {
				t.Errorf("listener %d is %s, of kinds %v", i, l.Name, l.SupportedKinds)
			}
			for _, typ := range []string{"Accepted", "Programmed", "ResolvedRefs", "Conflicted"} {
				if c := find(l.Conditions, typ); c.Status == "" || c.ObservedGeneration != g.Generation {
					t.Errorf("listener %s: %s is %+v", name, typ, c)
				}
			}
		}
		if l := g.Status.Listeners[1]; l.AttachedRoutes != 1 || !is(l.Conditions, "Conflicted", "False", "NoConflicts") {
			t.Errorf("listener a has %d routes and conditions %v", l.AttachedRoutes, l.Conditions)
		}
		if l := g.Status.Listeners[2]; !is(l.Conditions, "ResolvedRefs", "False", "InvalidCertificateRef") {
			t.Errorf("listener b: %v", l.Conditions)
		}
	})
	t.Run("gateway-30 B-25 a class of another name is served", func(t *testing.T) {
		g := until(t, "Gateway", ns, "g", "programmed", func(g *gwv1.Gateway) bool {
			return is(g.Status.Conditions, "Programmed", "True", "Programmed")
		})
		if c := find(g.Status.Conditions, "Accepted"); c.Status != "True" || c.ObservedGeneration != g.Generation {
			t.Errorf("Accepted is %+v", c)
		}
	})
	t.Run("gateway-52 addresses come and go", func(t *testing.T) {
		until(t, "Gateway", ns, "g", "of two addresses", func(g *gwv1.Gateway) bool {
			a := g.Status.Addresses
			return len(a) == 2 && *a[0].Type == ip && a[0].Value == "192.0.2.7" && *a[1].Type == host && a[1].Value == "lb.example.com"
		})
		w.mu.Lock()
		w.status.Addresses = map[source.Key][]gwv1.GatewayStatusAddress{}
		w.mu.Unlock()
		w.round(ns)
		until(t, "Gateway", ns, "g", "without addresses", func(g *gwv1.Gateway) bool { return len(g.Status.Addresses) == 0 })
	})
	t.Run("gateway-45 what we wrote is withdrawn after a restart, when the class is another", func(t *testing.T) {
		w.stop()
		do(t, "PATCH", collection("Gateway", ns)+"/g", `{"spec":{"gatewayClassName":"somebody"}}`)
		start(t)
		until(t, "Gateway", ns, "g", "as if new", func(g *gwv1.Gateway) bool {
			return len(g.Status.Listeners) == 0 && is(g.Status.Conditions, "Accepted", "Unknown", "Pending") && is(g.Status.Conditions, "Programmed", "Unknown", "Pending")
		})
		until(t, "HTTPRoute", ns, "chat", "without entries", func(r *gwv1.HTTPRoute) bool { return len(r.Status.Parents) == 0 })
	})
}

func TestRouteStatus(t *testing.T) {
	ns := namespace(t)
	apply(t, ns, fmt.Sprintf(webGateway, "one", "egret")+"\n---\n"+fmt.Sprintf(webGateway, "two", "egret")+"\n---\n"+
		fmt.Sprintf(webGateway, "theirs", "somebody")+"\n---\n"+model+"\n---\n"+
		fmt.Sprintf(chatRoute, `[{group: "", kind: Service, name: one}, {name: one}, {name: two, sectionName: nowhere}, {name: theirs}]`))
	const theirs = `{"status":{"parents":[{"parentRef":{"name":"theirs","group":"gateway.networking.k8s.io","kind":"Gateway"},"controllerName":"` + foreign + `",` +
		`"conditions":[{"type":"Accepted","status":"True","reason":"Accepted","message":"mine","lastTransitionTime":"2020-01-01T00:00:00Z"}]}]}}`
	do(t, "PATCH", collection("HTTPRoute", ns)+"/chat/status", theirs)
	before := until(t, "Gateway", ns, "theirs", "there", func(*gwv1.Gateway) bool { return true })
	w := start(t)
	w.round(ns)
	route := until(t, "HTTPRoute", ns, "chat", "of three entries", func(r *gwv1.HTTPRoute) bool { return len(r.Status.Parents) == 3 })
	t.Run("gateway-32 B-24 entries of other controllers stay, and two of our Gateways have two", func(t *testing.T) {
		p := parentOf(route, foreign, "theirs")
		if p == nil || p.Conditions[0].Message != "mine" || p.Conditions[0].LastTransitionTime.Year() != 2020 {
			t.Errorf("the foreign entry is %+v", p)
		}
		if p := parentOf(route, source.ControllerEgret, "one"); p == nil || !is(p.Conditions, "Accepted", "True", "Accepted") {
			t.Errorf("the entry for the first Gateway is %+v", p)
		}
	})
	t.Run("gateway-56 B-18 a section that does not exist has legal conditions", func(t *testing.T) {
		p := parentOf(route, source.ControllerEgret, "two")
		if p == nil || p.ParentRef.SectionName == nil || *p.ParentRef.SectionName != "nowhere" {
			t.Fatalf("the entry is %+v", p)
		}
		if c := find(p.Conditions, "Accepted"); c.Status != "False" || c.Reason != "NoMatchingParent" || !strings.Contains(c.Message, "no listener") {
			t.Errorf("Accepted is %+v", c)
		}
		if c := find(p.Conditions, "ResolvedRefs"); c.Status == "" || c.Reason == "" {
			t.Errorf("ResolvedRefs is %+v", c)
		}
	})
	t.Run("B-45 a Service of a Gateway's name is no parent", func(t *testing.T) {
		for _, p := range route.Status.Parents {
			if p.ParentRef.Kind != nil && *p.ParentRef.Kind == "Service" {
				t.Errorf("there is an entry %+v", p)
			}
		}
	})
	t.Run("gateway-31 B-23 a foreign Gateway is untouched, whatever its routes do", func(t *testing.T) {
		do(t, "PATCH", collection("HTTPRoute", ns)+"/chat", `{"spec":{"hostnames":["chat.example.com"]}}`)
		until(t, "HTTPRoute", ns, "chat", "observed", func(r *gwv1.HTTPRoute) bool {
			p := parentOf(r, source.ControllerEgret, "one")
			return p != nil && find(p.Conditions, "Accepted").ObservedGeneration == r.Generation
		})
		after := until(t, "Gateway", ns, "theirs", "there", func(*gwv1.Gateway) bool { return true })
		if after.ResourceVersion != before.ResourceVersion {
			t.Errorf("its status is now %+v", after.Status)
		}
	})
	t.Run("gateway-45 entries of a deleted Gateway go, those of others stay", func(t *testing.T) {
		do(t, "DELETE", collection("Gateway", ns)+"/two", "")
		until(t, "HTTPRoute", ns, "chat", "of two entries", func(r *gwv1.HTTPRoute) bool {
			return len(r.Status.Parents) == 2 && parentOf(r, foreign, "theirs") != nil && parentOf(r, source.ControllerEgret, "one") != nil
		})
	})
	t.Run("what somebody overwrites is written again", func(t *testing.T) {
		do(t, "PATCH", collection("HTTPRoute", ns)+"/chat/status", theirs)
		until(t, "HTTPRoute", ns, "chat", "of two entries", func(r *gwv1.HTTPRoute) bool { return len(r.Status.Parents) == 2 })
	})
}

func TestSettled(t *testing.T) {
	ns := namespace(t)
	apply(t, ns, fmt.Sprintf(webGateway, "g", "egret")+"\n---\n"+model+"\n---\n"+fmt.Sprintf(chatRoute, "[{name: g}]"))
	var writes atomic.Int64
	w := start(t, seeing(func(r *http.Request) {
		if r.Method != http.MethodGet {
			writes.Add(1)
		}
	}))
	until(t, "HTTPRoute", ns, "chat", "accepted", func(r *gwv1.HTTPRoute) bool { return len(r.Status.Parents) == 1 })
	t.Run("gateway-33 B-15 in a settled cluster nothing is written", func(t *testing.T) {
		w.round(ns) // the first may still write
		settled := writes.Load()
		if settled == 0 {
			t.Fatal("nothing was written at all")
		}
		emitted := w.round(ns)
		for range 5 {
			w.round(ns)
		}
		if n := writes.Load() - settled; n != 0 {
			t.Errorf("%d requests wrote", n)
		}
		if again := w.round(ns); again > emitted+6 {
			t.Errorf("6 changes made %d snapshots", again-emitted)
		}
	})
	t.Run("gateway-33 a change of status alone makes no snapshot", func(t *testing.T) {
		emitted := w.round(ns)
		do(t, "PATCH", collection("HTTPRoute", ns)+"/chat/status", `{"status":{"parents":[]}}`)
		until(t, "HTTPRoute", ns, "chat", "repaired", func(r *gwv1.HTTPRoute) bool { return len(r.Status.Parents) == 1 })
		if again := w.round(ns); again != emitted+1 {
			t.Errorf("%d snapshots", again-emitted)
		}
	})
}

func TestDestinationStatus(t *testing.T) {
	ns := namespace(t)
	apply(t, ns, fmt.Sprintf(webGateway, "g", "egret")+"\n---\n"+model+"\n---\n"+fmt.Sprintf(chatRoute, "[{name: g}]"))
	do(t, "PATCH", collection("XBackendDestination", ns)+"/model/status", `{"status":{"controllers":[{"name":"`+foreign+`"}]}}`)
	w := start(t)
	w.round(ns)
	t.Run("gateway-103 B-04 a destination in use has one entry of ours", func(t *testing.T) {
		d := until(t, "XBackendDestination", ns, "model", "of two entries", func(d *v0alpha0.XBackendDestination) bool {
			return len(d.Status.Controllers) == 2
		})
		ours := d.Status.Controllers[1]
		if ours.Name != source.ControllerEgret || !is(ours.Conditions, "Available", "True", "Available") || find(ours.Conditions, "Available").ObservedGeneration != d.Generation {
			t.Errorf("our entry is %+v", ours)
		}
	})
	t.Run("gateway-104 B-04 without a reference our entry goes, and others stay", func(t *testing.T) {
		do(t, "DELETE", collection("HTTPRoute", ns)+"/chat", "")
		until(t, "XBackendDestination", ns, "model", "of one entry", func(d *v0alpha0.XBackendDestination) bool {
			return len(d.Status.Controllers) == 1 && d.Status.Controllers[0].Name == foreign
		})
	})
}

const policy = `
apiVersion: kuadrant.io/v1
kind: AuthPolicy
metadata: {name: guard}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: g}
  rules: {authentication: {cluster: {kubernetesTokenReview: {audiences: [a]}}}}`

func TestPolicyStatus(t *testing.T) {
	ns := namespace(t)
	apply(t, ns, fmt.Sprintf(webGateway, "g", "egret")+"\n---\n"+model+"\n---\n"+fmt.Sprintf(chatRoute, "[{name: g}]")+"\n---\n"+policy)
	do(t, "PATCH", collection("AuthPolicy", ns)+"/guard/status",
		`{"status":{"conditions":[{"type":"example.com/Seen","status":"True","reason":"Seen","message":"","lastTransitionTime":"2020-01-01T00:00:00Z"}]}}`)
	w := start(t)
	w.round(ns)
	p := until(t, "AuthPolicy", ns, "guard", "enforced", func(p *kuadrantv1.AuthPolicy) bool {
		return is(p.Status.Conditions, "Accepted", "True", "Accepted") && is(p.Status.Conditions, "Enforced", "True", "Enforced")
	})
	if p.Status.ObservedGeneration != p.Generation || len(p.Status.Conditions) != 3 {
		t.Errorf("the status is %+v", p.Status)
	}
	t.Run("conditions go when the target is another's, and others' stay", func(t *testing.T) {
		do(t, "PATCH", collection("Gateway", ns)+"/g", `{"spec":{"gatewayClassName":"somebody"}}`)
		until(t, "AuthPolicy", ns, "guard", "without our conditions", func(p *kuadrantv1.AuthPolicy) bool {
			return len(p.Status.Conditions) == 1 && p.Status.Conditions[0].Type == "example.com/Seen"
		})
	})
}

func TestOvertake(t *testing.T) {
	ns := namespace(t)
	apply(t, ns, policy)
	var armed atomic.Bool
	held := make(chan struct{}, 1)
	w := start(t, seeing(func(r *http.Request) {
		if r.Method == http.MethodPatch && armed.Swap(false) {
			held <- struct{}{}
			<-r.Context().Done()
		}
	}))
	w.round(ns)
	say := func(reason string) error {
		return w.source.Report(t.Context(), []source.Condition{{Kind: "AuthPolicy", Namespace: ns, Name: "guard",
			Type: "Accepted", Status: "False", Reason: reason, Generation: 1}})
	}
	armed.Store(true)
	first := make(chan error)
	go func() { first <- say("Old") }()
	<-held
	if err := say("New"); err != nil {
		t.Errorf("the newer status: %v", err)
	}
	if err := <-first; err != nil {
		t.Errorf("the older status: %v", err)
	}
	until(t, "AuthPolicy", ns, "guard", "as said last", func(p *kuadrantv1.AuthPolicy) bool { return is(p.Status.Conditions, "Accepted", "False", "New") })
	w.source.Rest()
	do(t, "PATCH", collection("AuthPolicy", ns)+"/guard/status", `{"status":{"conditions":[]}}`)
	t.Run("what is at rest repairs nothing", func(t *testing.T) {
		w.source.writer.mu.Lock()
		defer w.source.writer.mu.Unlock()
		if w.source.writer.repair(t.Context()); len(w.source.writer.attempts) > 0 {
			t.Errorf("attempts: %v", w.source.writer.attempts)
		}
	})
}
