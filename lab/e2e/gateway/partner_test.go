//go:build cluster

package gateway

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/egret-gateway/egret/lab/fake"
)

// partners are names outside the cluster of a partner who speaks TLS, a name for
// each plane; the certificate holds for these and not for the last.
const (
	partner  = "models.%s.partner.example"
	stranger = "stranger.partner.example"
)

// authority makes the partner's authority, and the Secret of its certificate.
func (w *world) authority(t *testing.T) (secret string) {
	t.Helper()
	var err error
	if w.ca, err = fake.NewCA(); err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, p := range w.planes {
		names = append(names, fmt.Sprintf(partner, p.name))
	}
	crt, err := w.ca.Issue(nil, names...)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(crt.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		b, err := json.Marshal(string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	return "apiVersion: v1\nkind: Secret\nmetadata: {name: answer-tls}\ntype: kubernetes.io/tls\nstringData: {tls.crt: " + text("CERTIFICATE", crt.Certificate[0]) + ", tls.key: " + text("PRIVATE KEY", key) + "}\n"
}

// bundle is a ConfigMap with an authority's certificate.
func bundle(t *testing.T, name string, ca *fake.CA) string {
	t.Helper()
	text, err := json.Marshal(string(ca.PEM))
	if err != nil {
		t.Fatal(err)
	}
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\ndata: {ca.crt: " + string(text) + "}\n---\n"
}

// partner calls one over verified TLS with the platform's credential, and follows
// what the gateway says of it.
func (w *world) partner(t *testing.T, p *plane) {
	host := fmt.Sprintf(partner, p.name)
	w.external(t, w.outside(t), host, stranger)
	l := w.place(t, p)
	destination := func(name, host, ca string) string {
		return fmt.Sprintf(`apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0
kind: XBackendDestination
metadata: {name: %s}
spec:
  destination: {type: Fqdn, fqdn: {hostname: %s}, ports: [{number: 443, protocol: HTTP, tls: {mode: Simple, caBundleRef: [{group: "", kind: ConfigMap, name: %s}]}}]}
  extensions:
  - name: key
    type: gateway.networking.k8s.io/CredentialInjector:v1
    rawConfig: {secretRef: {name: partner}}
---
`, name, host, ca)
	}
	l.Put(t, l.ns, bundle(t, "ca", w.ca)) // not put, which reads words of its own into it
	l.put(t, "apiVersion: v1\nkind: Secret\nmetadata: {name: partner}\nstringData: {key: sk-partner}\n---\n"+destination("partner", host, "ca")+destination("stranger", stranger, "ca"))
	l.route(t, "partner", backend("partner", 443))
	l.route(t, "stranger", backend("stranger", 443))

	t.Run("gateway-88 gateway-108 a partner outside is called over verified TLS, with the platform's credential", func(t *testing.T) {
		a := l.answers(t, "partner", 200)
		for _, want := range []string{`"url":"https://` + host + "/", `"Authorization":["Bearer sk-partner"]`} {
			if !strings.Contains(a.Body, want) {
				t.Errorf("no %q in %s", want, a.Body)
			}
		}
	})
	t.Run("gateway-107 a pod calls it by the Gateway's address in the cluster", func(t *testing.T) {
		url := "http://" + l.service(l.plane.ns, "shared") + "." + l.plane.ns + ".svc/"
		l.put(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: caller}\nspec:\n  restartPolicy: OnFailure\n  containers:\n"+
			"  - {name: curl, image: 'localhost/busybox:dev', command: [curl, -sSf, --max-time, '30', -H, 'Host: "+l.host("partner")+"', '"+url+"']}\n")
		w.Kubectl(t, "wait", "-n", l.ns, "pod/caller", "--for=jsonpath={.status.phase}=Succeeded", "--timeout="+soon.String())
		if out := w.Kubectl(t, "logs", "-n", l.ns, "caller"); !strings.Contains(out, `"host":"`+host+`"`) {
			t.Errorf("it got %s", out)
		}
	})
	t.Run("what was seen of it is in its status", func(t *testing.T) {
		l.backendHas(t, soon, "partner", "Available=True", "egret.dev/Resolved=True Found|"+host, "egret.dev/Connected=True Answers|proved who it is|certificate ends at 20",
			"egret.dev/Authenticated=True CredentialTaken")
	})
	t.Run("gateway-87 a server of another name gets nothing, and the status says why within seconds", func(t *testing.T) {
		l.answers(t, "stranger", 502)
		l.backendHas(t, 5*time.Second, "stranger", "Available=True", "egret.dev/Connected=False NoConnection|")
		l.eventOf(t, "stranger", "NoConnection")
	})
	t.Run("a name that leads nowhere is told, and its neighbour serves", func(t *testing.T) {
		l.put(t, destination("nowhere", "nowhere.partner.example", "ca"))
		l.route(t, "nowhere", backend("nowhere", 443))
		l.answers(t, "nowhere", 502)
		l.backendHas(t, 5*time.Second, "nowhere", "Available=True", "egret.dev/Resolved=False NotFound|nowhere.partner.example", "egret.dev/Connected=False NoConnection|")
		l.answers(t, "partner", 200)
	})
	t.Run("a provider that refuses the platform's credential shows", func(t *testing.T) {
		a, err := l.call("partner", "/status/401")
		if err := a.Want(401, err); err != nil {
			t.Fatal(err)
		}
		l.backendHas(t, 5*time.Second, "partner", "egret.dev/Connected=True", "egret.dev/Authenticated=False CredentialRefused|401")
		l.eventOf(t, "partner", "CredentialRefused")
	})
	t.Run("gateway-111 an authority that is not the partner's: nothing is sent, and it shows; with the right one it answers", func(t *testing.T) {
		other, err := fake.NewCA()
		if err != nil {
			t.Fatal(err)
		}
		l.Put(t, l.ns, bundle(t, "other", other))
		l.put(t, destination("distrusted", host, "other"))
		l.route(t, "distrusted", backend("distrusted", 443))
		l.answers(t, "distrusted", 502)
		l.backendHas(t, 5*time.Second, "distrusted", "egret.dev/Resolved=True", "egret.dev/Connected=False NoConnection|")
		l.Put(t, l.ns, bundle(t, "other", w.ca))
		l.answers(t, "distrusted", 200)
		l.backendHas(t, soon, "distrusted", "egret.dev/Connected=True Answers", "egret.dev/Authenticated=True CredentialTaken")
	})
}

// eventOf waits for an Event about a destination.
func (l *place) eventOf(t *testing.T, name, reason string) {
	t.Helper()
	l.Eventually(t, soon, "an Event", func() error {
		out := l.Kubectl(t, "get", "events", "-n", l.ns, "--field-selector", "involvedObject.name="+name+",reason="+reason, "-o", "name")
		if out == "" {
			return fmt.Errorf("none %s about %s", reason, name)
		}
		return nil
	})
}
