//go:build cluster

package gateway

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// attachment is about which routes hang on which listeners.
func (w *world) attachment(t *testing.T, p *plane) {
	l := w.place(t, p)
	l.put(t, fqdn("answer", "answer.SITE.svc.cluster.local", 80))
	shared := func(section string) string {
		return "{name: shared, namespace: " + p.ns + ", sectionName: " + section + "}"
	}
	f := func(name, route, section, hosts string, wishes ...string) {
		t.Run(name, func(t *testing.T) {
			l.attach(t, route, shared(section), hosts, backend("answer", 80))
			l.routeHas(t, soon, route, "", wishes...)
		})
	}
	f("gateway-54 allowedRoutes unset: another namespace's route", "outside", "same", "", "Accepted=False NotAllowedByListeners", "ResolvedRefs=True ResolvedRefs")
	f("gateway-55 from All", "inside", "http", l.host("inside"), "Accepted=True Accepted", "ResolvedRefs=True ResolvedRefs")
	f("gateway-56 B-18 a sectionName that does not exist", "section", "nowhere", "", "Accepted=False NoMatchingParent|nowhere", "ResolvedRefs=True ResolvedRefs")
	f("gateway-57 disjoint hostnames", "disjoint", "bare", "other.example.org", "Accepted=False NoMatchingListenerHostname", "ResolvedRefs=True ResolvedRefs")
	f("gateway-58 B-19 a wildcard and the bare host", "wildbare", "bare", `"*.example.com"`, "Accepted=False NoMatchingListenerHostname")
	f("gateway-58 a wildcard and a host under it", "wildsub", "sub", `"*.example.com"`, "Accepted=True Accepted")
	t.Run("gateway-56 a port that no listener has", func(t *testing.T) {
		l.attach(t, "port", "{name: shared, namespace: "+p.ns+", port: 81}", "", backend("answer", 80))
		l.routeHas(t, soon, "port", "", "Accepted=False NoMatchingParent|81")
	})
	t.Run("gateway-55 gateway-34 B-01 a namespace is let in by its label, and out without it", func(t *testing.T) {
		l.attach(t, "team", shared("team"), "team.test", backend("answer", 80))
		l.routeHas(t, soon, "team", "", "Accepted=False NotAllowedByListeners")
		url := l.Reach(t, p.ns, p.service(p.ns, "shared"), 8081)
		status := func(want int) {
			t.Helper()
			l.Eventually(t, swift(t), fmt.Sprint("the port answers ", want), func() error {
				a, err := ask(l.client, url, "team.test")
				return a.Want(want, err)
			})
		}
		l.Kubectl(t, "label", "namespace", l.ns, "team=blue")
		status(200)
		l.routeHas(t, swift(t), "team", "", "Accepted=True Accepted")
		l.Kubectl(t, "label", "namespace", l.ns, "team-")
		status(404)
		l.routeHas(t, swift(t), "team", "", "Accepted=False NotAllowedByListeners")
	})
	t.Run("B-45 a parentRef to a Service of the Gateway's name", func(t *testing.T) {
		l.attach(t, "mesh", `{group: "", kind: Service, name: shared, namespace: `+p.ns+"}", l.host("mesh"), backend("answer", 80))
		l.answers(t, "inside", 200) // made before, so the controller has seen both
		if a, err := l.call("mesh", "/"); a.Want(404, err) != nil {
			t.Errorf("%d, %v", a.Status, err)
		}
		if s := at(l.Object(t, "httproutes", l.ns, "mesh"), "status.parents"); s != nil && len(s.([]any)) > 0 {
			t.Errorf("status %v", s)
		}
	})
	t.Run("gateway-77 gateway-78 B-26 B-27 two listeners on one port serve their own routes, whatever port the client names", func(t *testing.T) { l.twoHosts(t) })
	t.Run("gateway-97 B-11 each name has its certificate, and a changed Secret counts", func(t *testing.T) { l.handshakes(t) })
}

// twoHosts calls listeners bare and sub, which share port 8082.
func (l *place) twoHosts(t *testing.T) {
	l.put(t, fqdn("red", "red.SITE.svc.cluster.local", 80)+fqdn("blue", "blue.SITE.svc.cluster.local", 80))
	parent := func(section string) string {
		return "{name: shared, namespace: " + l.plane.ns + ", sectionName: " + section + "}"
	}
	l.attach(t, "bare", parent("bare"), "", backend("red", 80))
	l.attach(t, "sub", parent("sub"), "", "- matches: [{path: {type: PathPrefix, value: /sub}}]\n  "+backend("blue", 80)[2:])
	url := l.Reach(t, l.plane.ns, l.service(l.plane.ns, "shared"), 8082)
	f := func(host, path string, status int, by string) {
		t.Helper()
		l.Eventually(t, soon, host+path, func() error {
			a, err := ask(l.client, url+path, host)
			if err := a.Want(status, err); err != nil {
				return err
			}
			if by != "" && !strings.HasPrefix(heard(t, a).Host, by) {
				return fmt.Errorf("answered by %s", heard(t, a).Host)
			}
			return nil
		})
	}
	f("example.com", "/", 200, "red")
	f("a.example.com", "/sub", 200, "blue")
	f("a.example.com:8082", "/sub", 200, "blue")
	f("a.example.com:80", "/sub", 200, "blue")
	f("example.com:80", "/sub", 200, "red")
	f("b.example.com", "/", 404, "")
}

// handshakes calls port 443 by two names, then changes one's certificate.
func (l *place) handshakes(t *testing.T) {
	l.attach(t, "tls", "{name: shared, namespace: "+l.plane.ns+", port: 443}", "", backend("answer", 80))
	url := strings.Replace(l.Reach(t, l.plane.ns, l.service(l.plane.ns, "shared"), 443), "http:", "https:", 1)
	serial := func(name string) (string, error) {
		tr := l.Transport()
		tr.TLSClientConfig = &tls.Config{ServerName: name, InsecureSkipVerify: true} // what is looked at is which it is
		defer tr.CloseIdleConnections()
		r, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			return "", err
		}
		r.Host = name
		resp, err := (&http.Client{Transport: tr, Timeout: soon}).Do(r)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		if cert := resp.TLS.PeerCertificates[0]; resp.StatusCode != 200 || cert.VerifyHostname(name) != nil {
			return "", fmt.Errorf("status %d, certificate of %v", resp.StatusCode, cert.DNSNames)
		}
		return resp.TLS.PeerCertificates[0].SerialNumber.String(), nil
	}
	was := map[string]string{}
	for _, name := range []string{"a.test", "b.test"} {
		l.Eventually(t, soon, name+" is served by its certificate", func() (err error) {
			was[name], err = serial(name)
			return err
		})
	}
	l.Put(t, l.plane.ns, certificate(t, "b", "b.test"))
	l.Eventually(t, swift(t), "the new certificate", func() error {
		if now, err := serial("b.test"); err != nil || now == was["b.test"] {
			return fmt.Errorf("still %s, error %v", now, err)
		}
		return nil
	})
	if now, err := serial("a.test"); err != nil || now != was["a.test"] {
		t.Errorf("the other name has %s, error %v; had %s", now, err, was["a.test"])
	}
}

// listeners is about the status of listeners, and what broken ones cost.
func (w *world) listeners(t *testing.T, p *plane) {
	l := w.place(t, p)
	l.put(t, fqdn("answer", "answer.SITE.svc.cluster.local", 80))
	f := func(name, listener string, wishes ...string) {
		t.Run(name, func(t *testing.T) { w.listenerHas(t, p.ns, odd, listener, wishes...) })
	}
	f("gateway-35 B-22 one host on one port in two protocols, one", "conflict-http", "Accepted=False", "Conflicted=True", "Programmed=False", "ResolvedRefs=True")
	f("gateway-35 B-22 one host on one port in two protocols, the other", "conflict-https", "Accepted=False", "Conflicted=True", "Programmed=False")
	f("gateway-36 B-22 kinds that an HTTP listener has not", "kinds", "ResolvedRefs=False InvalidRouteKinds", "Programmed=False")
	f("gateway-59 a TCP listener", "tcp", "Accepted=False UnsupportedProtocol", "Programmed=False Invalid")
	f("gateway-60 a certificate that is missing", "missing", "ResolvedRefs=False InvalidCertificateRef|missing", "Programmed=False Invalid")
	f("gateway-60 a certificate that is malformed", "malformed", "ResolvedRefs=False InvalidCertificateRef|malformed", "Programmed=False Invalid")
	f("gateway-60 B-32 a certificate of another namespace", "ungranted", "ResolvedRefs=False RefNotPermitted", "Programmed=False Invalid")
	t.Run("gateway-35 two HTTP listeners with one host on one port are refused by the API server", func(t *testing.T) {
		err := w.Send(l.ns, "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: twice}\nspec:\n  gatewayClassName: "+p.class+
			"\n  listeners: [{name: a, port: 80, protocol: HTTP, hostname: a.test}, {name: b, port: 80, protocol: HTTP, hostname: a.test}]")
		if err == nil || !strings.Contains(err.Error(), "hostname must be unique") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("gateway-46 gateway-38 B-36 the good listener beside them serves, under a name that fits", func(t *testing.T) {
		w.gatewayHas(t, late, p.ns, odd, "Accepted=True", "Programmed=True Programmed")
		l.attach(t, "good", "{name: "+odd+", namespace: "+p.ns+"}", "", backend("answer", 80))
		w.Eventually(t, soon, "a route on it", func() error {
			a, err := w.Get("http://" + w.address(t, p.ns, odd))
			return a.Want(200, err)
		})
		services := strings.Fields(w.Kubectl(t, "get", "services,deployments", "-n", p.ns, "-o", "name", "-l", "gateway.networking.k8s.io/gateway-name,gateway.networking.k8s.io/gateway-name notin (shared,spare)"))
		if len(services) != 2 {
			t.Fatalf("objects %v", services)
		}
		for _, name := range services {
			_, name, _ = strings.Cut(name, "/")
			if prefix := p.service(p.ns, odd)[:50]; len(name) > 63 || !strings.HasPrefix(name, prefix) {
				t.Errorf("%s has %d characters, or does not begin with %s", name, len(name), prefix)
			}
		}
	})
	t.Run("gateway-60 the grant is given and taken", func(t *testing.T) {
		w.Put(t, w.site, strings.NewReplacer("NAME", p.name, "NS", p.ns).Replace(certificateGrant)+certificate(t, "far", "ungranted.test"))
		w.listenerHas(t, p.ns, odd, "ungranted", "ResolvedRefs=True ResolvedRefs", "Programmed=True Programmed")
		w.Delete(t, "referencegrants", w.site, p.name)
		w.listenerHas(t, p.ns, odd, "ungranted", "ResolvedRefs=False RefNotPermitted", "Programmed=False Invalid")
	})
	t.Run("gateway-53 B-05 every listener says its kinds, routes and conditions", func(t *testing.T) {
		l.attach(t, "one", "{name: shared, namespace: "+p.ns+", sectionName: bare}", "", "- matches: [{path: {type: PathPrefix, value: /one}}]\n  "+backend("answer", 80)[2:])
		l.routeHas(t, soon, "one", "", "Accepted=True")
		for _, name := range []string{"http", "same", "team", "bare", "sub", "a", "b"} {
			s := w.listenerHas(t, p.ns, "shared", name, "Accepted=True Accepted", "Programmed=True Programmed", "ResolvedRefs=True ResolvedRefs", "Conflicted=False NoConflicts")
			if element(s, "supportedKinds", "kind", "HTTPRoute") == nil {
				t.Errorf("%s: kinds %v", name, s["supportedKinds"])
			}
		}
		w.Eventually(t, soon, "the counts of routes", func() error {
			o := w.Object(t, "gateways", p.ns, "shared")
			if n, _ := element(o, "status.listeners", "name", "bare")["attachedRoutes"].(int64); n < 1 {
				return fmt.Errorf("listener bare has %d", n)
			}
			if n, _ := element(o, "status.listeners", "name", "same")["attachedRoutes"].(int64); n != 0 {
				return fmt.Errorf("listener same has %d", n)
			}
			return nil
		})
	})
	t.Run("gateway-51 a working Gateway", func(t *testing.T) {
		w.gatewayHas(t, soon, p.ns, "shared", "Accepted=True Accepted", "Programmed=True Programmed")
	})
}

// address is the first of a Gateway's status.
func (w *world) address(t *testing.T, namespace, name string) string {
	t.Helper()
	a, _ := at(w.Object(t, "gateways", namespace, name), "status.addresses.0.value").(string)
	return a
}

const certificateGrant = `
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: NAME}
spec:
  from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: NS}]
  to: [{group: "", kind: Secret, name: far}]
---
`
