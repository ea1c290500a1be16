package badinput

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/egret-gateway/egret/admin"
	"github.com/egret-gateway/egret/lab/child"
	"github.com/egret-gateway/egret/standalone"
)

func TestMain(m *testing.M) { child.Main(m) }

// edit is a row about the configuration: a file beside good ones.
type edit struct {
	input string
	text  string
	// object and verdict are the condition that tells of it; "" means that the
	// edit is refused as a whole.
	object, verdict string
	says            string // on the status page and in the log, and by egret check
	unchecked       bool   // egret check cannot know, since it contacts nothing
	path            string // of a request that the broken part would serve; "" = there is none
	answer          string // to it
}

const (
	route = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: broken, namespace: lab}
spec:
  parentRefs: [{name: edge}]
  rules:
`
	toEcho = `    backendRefs: [{group: ainetworking.prototype.x-k8s.io, kind: XBackendDestination, name: echo, port: 80}]
`
	other = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: other, namespace: lab}
spec:
  gatewayClassName: egret
  listeners:
`
	secure = other + "  - {name: https, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: certificate}]}}\n"
)

// broken is a destination, at /broken, with TLS and perhaps its extension.
func broken(tls, config string) string {
	out := route + "  - matches: [{path: {value: /broken}}]\n" + strings.Replace(toEcho, "name: echo, port: 80", "name: broken, port: 443", 1) + `---
apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0
kind: XBackendDestination
metadata: {name: broken, namespace: lab}
spec:
  destination: {type: Fqdn, fqdn: {hostname: broken.upstream.example}, ports: [{number: 443, protocol: HTTP, tls: ` + tls + `}]}
`
	if config != "" {
		out += "  extensions: [{name: tls, type: 'egret.dev/TLS:v1', rawConfig: " + config + "}]\n"
	}
	return out
}

var edits = []edit{
	{input: "text that is not YAML", text: "kind: [", says: "is not valid YAML"},
	{input: "unknown field", text: route + "  - matchez: []\n", says: "is not a known field"},
	{input: "wrong type", text: other + "  - {name: http, protocol: HTTP, port: '80'}\n", says: "must be an integer, not a string"},
	{input: "duplicate object", text: gateway, says: "is declared twice, first at"},
	{input: "missing Secret", text: secure, object: "Gateway lab/other", verdict: "ResolvedRefs=False InvalidCertificateRef", says: "Secret lab/certificate not found; create it"},
	{input: "missing Secret with a backend's CA", text: route + "  - matches: [{path: {value: /broken}}]\n" + strings.Replace(toEcho, "name: echo, port: 80", "name: broken, port: 443", 1) + `---
apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0
kind: XBackendDestination
metadata: {name: broken, namespace: lab}
spec:
  destination:
    type: Fqdn
    fqdn: {hostname: broken.upstream.example}
    ports: [{number: 443, protocol: HTTP, tls: {mode: Simple, caBundleRef: [{group: "", kind: Secret, name: ca}]}}]
`, object: "XBackendDestination lab/broken", verdict: "Available=False InvalidCACertificateRef", says: "Secret lab/ca not found; create it", path: "/broken", answer: "500"},
	{input: "damaged CA bundle", text: broken("{mode: Simple, caBundleRef: [{group: '', kind: ConfigMap, name: ca}]}", "") + `---
apiVersion: v1
kind: ConfigMap
metadata: {name: ca, namespace: lab}
data: {ca.crt: "-----BEGIN CERTIFICATE-----\nMIIB\n"}
`, object: "XBackendDestination lab/broken", verdict: "Available=False InvalidCACertificateRef", says: "ConfigMap lab/ca: ca.crt has damaged PEM: of 1 blocks that begin, 0 can be read", path: "/broken", answer: "500"},
	{input: "unknown field of the extension for TLS", text: broken("{mode: Simple}", "{crlRef: []}"),
		object: "XBackendDestination lab/broken", verdict: "Available=False Invalid", says: "rawConfig: unknown field", path: "/broken", answer: "500"},
	{input: "missing revocation list", text: broken("{mode: Simple}", "{crlRefs: [{kind: ConfigMap, name: lists}]}"),
		object: "XBackendDestination lab/broken", verdict: "Available=False InvalidCRLRef", says: "ConfigMap lab/lists not found; create it", path: "/broken", answer: "500"},
	{input: "BackendTLSPolicy without an authority", text: route + "  - matches: [{path: {value: /broken}}]\n    backendRefs: [{name: secure, port: 443}]\n" + `---
apiVersion: v1
kind: Service
metadata: {name: secure, namespace: lab}
spec: {ports: [{port: 443}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: broken, namespace: lab}
spec: {targetRefs: [{group: "", kind: Service, name: secure}], validation: {hostname: secure.example.com, caCertificateRefs: [{group: "", kind: ConfigMap, name: gone}]}}
`, object: "BackendTLSPolicy lab/broken", verdict: "Accepted=False NoValidCACertificate", says: "ConfigMap lab/gone not found; create it", path: "/broken", answer: "500"},
	{input: "unreadable certificate", text: secure + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: certificate, namespace: lab}\nstringData: {tls.crt: x, tls.key: x}\n",
		object: "Gateway lab/other", verdict: "ResolvedRefs=False InvalidCertificateRef", says: "Secret lab/certificate holds no usable key pair"},
	{input: "listener conflict", text: secure + "  - {name: http, port: 8443, protocol: HTTP}\n", object: "Gateway lab/other", verdict: "Conflicted=True ProtocolConflict",
		says: "speaks another protocol on port 8443; neither serves until one is changed"},
	{input: "dangling reference to a backend", text: route + "  - matches: [{path: {value: /broken}}]\n" + strings.Replace(toEcho, "name: echo", "name: gone", 1),
		object: "HTTPRoute lab/broken", verdict: "ResolvedRefs=False BackendNotFound", says: "lab/gone not found", path: "/broken", answer: "500"},
	{input: "reference to a backend in another namespace, not granted", text: route + "  - matches: [{path: {value: /broken}}]\n" + strings.Replace(toEcho, "name: echo", "namespace: far, name: echo", 1),
		object: "HTTPRoute lab/broken", verdict: "ResolvedRefs=False RefNotPermitted", says: "is in another namespace, and no ReferenceGrant there lets HTTPRoute in lab use it", path: "/broken", answer: "500"},
	{input: "invalid regular expression", text: route + "  - matches: [{path: {type: RegularExpression, value: '/broken('}}]\n" + toEcho,
		object: "HTTPRoute lab/broken", verdict: "Accepted=False UnsupportedValue", says: "is not valid RE2: error parsing regexp: missing closing )", path: "/broken", answer: "404"},
	{input: "invalid CEL", text: route + "  - matches: [{path: {value: /broken}}]\n" + toEcho + `---
apiVersion: kuadrant.io/v1
kind: AuthPolicy
metadata: {name: broken, namespace: lab}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: broken}
  rules: {authorization: {a: {patternMatching: {patterns: [{predicate: "1 +"}]}}}}
`, object: "AuthPolicy lab/broken", verdict: "Enforced=False InvalidCelExpression", says: "column 4: Syntax error", path: "/broken", answer: "500"},
	{input: "port in use", text: strings.Replace(other, "other", "taken", 1) + "  - {name: http, port: 8001, protocol: HTTP}\n", unchecked: true,
		says: "listener lab/taken/http: listen tcp"},
}

// TestEdits puts each bad file beside good ones that are being served, and
// takes it away again.
func TestEdits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "edge.yaml", gateway+backends())
	w := start(t, dir, func(o *standalone.Options) {
		o.Listen["lab/taken/http"] = standalone.Address{At: taken(t)}
	})
	good := w.status(t, "the good plan", func(*admin.Status) bool { return true }).Plan
	for i, row := range edits {
		t.Run(row.input, func(t *testing.T) {
			defer func() {
				if err := os.Remove(filepath.Join(dir, "edit.yaml")); err != nil {
					t.Fatal(err)
				}
				w.status(t, "the good plan again", func(s *admin.Status) bool { return s.Plan == good && s.Refused == nil })
			}()
			row.check(t, w, i)
		})
	}
}

func (row *edit) check(t *testing.T, w *world, i int) {
	ctx, cancel := context.WithTimeout(t.Context(), atOnce)
	defer cancel()
	mark := w.log.mark()
	write(t, w.dir, "edit.yaml", row.text)
	w.status(t, row.says, row.told)
	if !w.log.find(ctx, mark, row.says) {
		t.Errorf("the log does not say %q:\n%s", row.says, w.log.since(mark))
	}
	w.answers(t, ctx, "/echo", "200", fmt.Sprintf("good-%d", i))
	if row.path != "" {
		w.answers(t, ctx, row.path, row.answer, fmt.Sprintf("bad-%d", i))
	}
	check := child.Start(t, "", "check", "-f", w.dir)
	exit := check.Wait(t)
	if out := check.Stdout.String(); !row.unchecked && (exit != 1 || !strings.Contains(out, row.says)) || row.unchecked && exit != 0 {
		t.Errorf("egret check: exit %d\n%s", exit, out)
	}
}

// told reports whether a status page tells of the edit.
func (row *edit) told(s *admin.Status) bool {
	if row.verdict == "" {
		if s.Refused == nil {
			return false
		}
		text := s.Refused.Error
		for _, p := range s.Refused.Problems {
			text += p.String() + "\n"
		}
		return strings.Contains(text, row.says)
	}
	for _, c := range s.Conditions {
		if c.Kind+" "+c.Namespace+"/"+c.Name == row.object && c.Type+"="+c.Status+" "+c.Reason == row.verdict && strings.Contains(c.Message, row.says) {
			return true
		}
	}
	return false
}

func (w *world) answers(t *testing.T, ctx context.Context, path, want, id string) {
	t.Helper()
	if got := send(ctx, w.address["lab/edge"], get(path, "X-Request-Id: "+id), nil); got.answer != want {
		t.Errorf("%s answers %s %q, want %s", path, got.answer, got.body, want)
	}
}

// status asks for the status page until it is as it should be.
func (w *world) status(t *testing.T, what string, ok func(*admin.Status) bool) *admin.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), atOnce)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	last := &admin.Status{}
	for {
		var s admin.Status
		err := w.page(ctx, "/status", &s)
		if err == nil {
			if last = &s; ok(last) {
				return last
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			text, _ := json.MarshalIndent(last, "", " ")
			t.Fatalf("/status has not told of %q within %s (%v):\n%s", what, atOnce, err, text)
		}
	}
}

// taken is an address that somebody else listens at.
func taken(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}
