//go:build cluster

package gateway

import (
	"fmt"
	"testing"
	"time"
)

// backendHas waits until the plane's controller says something about a
// destination of the place.
func (l *place) backendHas(t *testing.T, within time.Duration, name string, wishes ...string) {
	t.Helper()
	l.Eventually(t, within, "conditions of XBackendDestination "+name, func() error {
		o, err := l.Find("xbackenddestinations", l.ns, name)
		if err != nil {
			return err
		}
		e := element(o, "status.controllers", "name", l.controller)
		if e == nil {
			return fmt.Errorf("no entry of %s in %v", l.controller, o.Object["status"])
		}
		return expect(o, e, wishes...)
	})
}

// backends is about the status of destinations.
func (w *world) backends(t *testing.T, p *plane) {
	l := w.place(t, p)
	f := func(name, backendName, spec string, wishes ...string) {
		t.Run(name, func(t *testing.T) {
			l.put(t, "apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0\nkind: XBackendDestination\nmetadata: {name: "+backendName+"}\nspec: "+spec)
			l.route(t, backendName, backend(backendName, 80))
			l.backendHas(t, soon, backendName, wishes...)
		})
	}
	const port = "ports: [{number: 80, protocol: HTTP}]"
	f("gateway-103 B-04 a healthy one", "good", "{destination: {type: Service, service: {name: answer, namespace: SITE}, "+port+"}}",
		"Available=True Available", "Progressing=False Reconciled", "Degraded=False AsExpected")
	f("gateway-105 B-03 a name of the cluster is served and reported", "local", "{destination: {type: Fqdn, fqdn: {hostname: answer.SITE.svc.cluster.local}, "+port+"}}",
		"Available=True Available", "Degraded=True ClusterLocalHostname|answer."+l.site)
	f("gateway-106 an unknown extension", "extended", "{destination: {type: Service, service: {name: answer, namespace: SITE}, "+port+"}, extensions: [{name: e, type: example.com/Any}]}",
		"Available=False Invalid", "Degraded=True UnsupportedExtension")
	f("a Service that is not there", "noservice", "{destination: {type: Service, service: {name: gone, namespace: SITE}, "+port+"}}", "Available=False ServiceNotFound|gone")
	f("a Service without the port", "noport", "{destination: {type: Service, service: {name: slow, namespace: SITE}, "+port+"}}", "Available=False PortNotFound|80")
	f("a protocol that routes do not speak", "tcp", "{destination: {type: Fqdn, fqdn: {hostname: a.example.com}, ports: [{number: 80, protocol: TCP}]}}", "Available=False UnsupportedProtocol")
	f("a CA that is not there", "noca", "{destination: {type: Fqdn, fqdn: {hostname: a.example.com}, ports: [{number: 80, protocol: HTTP, tls: {mode: Simple, caBundleRef: [{group: '', kind: Secret, name: gone}]}}]}}",
		"Available=False InvalidCACertificateRef|gone")
	f("verification that was switched off", "unverified", "{destination: {type: Fqdn, fqdn: {hostname: a.example.com}, ports: [{number: 80, protocol: HTTP, tls: {mode: Simple, insecureSkipVerify: true}}]}}",
		"Available=True Available", "Degraded=True InsecureTLS")
	t.Run("gateway-105 traffic to the name of the cluster flows", func(t *testing.T) { l.answers(t, "local", 200) })
	t.Run("gateway-106 the unknown extension closes its backend", func(t *testing.T) { l.answers(t, "extended", 500) })
	t.Run("gateway-104 B-04 the last reference goes, the entries of others stay", func(t *testing.T) { l.unreferenced(t) })
}

func (l *place) unreferenced(t *testing.T) {
	o := l.Object(t, "xbackenddestinations", l.ns, "good")
	mine := elements(o, "status.controllers")
	if len(mine) != 1 || mine[0]["name"] != l.controller {
		t.Fatalf("entries %v, want one of %s", mine, l.controller)
	}
	l.Kubectl(t, "patch", "xbd", "good", "-n", l.ns, "--subresource=status", "--type=json", "-p",
		`[{"op": "add", "path": "/status/controllers/-", "value": {"name": "example.com/other", "conditions": []}}]`)
	l.Delete(t, "httproutes", l.ns, "good")
	l.Eventually(t, soon, "the entry goes or says NotReferenced", func() error {
		o := l.Object(t, "xbackenddestinations", l.ns, "good")
		if element(o, "status.controllers", "name", "example.com/other") == nil {
			t.Fatal("the entry of the other controller is gone")
		}
		if e := element(o, "status.controllers", "name", l.controller); e != nil {
			return expect(o, e, "Available=Unknown NotReferenced")
		}
		return nil
	})
}
