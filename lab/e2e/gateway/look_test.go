//go:build cluster

package gateway

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/egret-gateway/egret/lab/cluster"
)

func ask(client *http.Client, url, host string, headers ...string) (cluster.Answer, error) {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return cluster.Answer{}, err
	}
	r.Host = host
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := client.Do(r)
	if err != nil {
		return cluster.Answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return cluster.Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(b)}, err
}

// echo is what image answer says of a request.
type echo struct {
	Pod, Host, Path string
	Headers         http.Header
}

func heard(t *testing.T, a cluster.Answer) (e echo) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.Body), &e); err != nil {
		t.Fatalf("%v in %q", err, a.Body)
	}
	return e
}

// at reads a field by a path such as "status.parents.0.conditions"; nil when
// it is not there.
func at(o any, path string) any {
	if u, ok := o.(*unstructured.Unstructured); ok {
		if u == nil {
			return nil
		}
		o = u.Object
	}
	for part := range strings.SplitSeq(path, ".") {
		switch v := o.(type) {
		case map[string]any:
			o = v[part]
		case []any:
			var i int
			if _, err := fmt.Sscan(part, &i); err != nil || i >= len(v) {
				return nil
			}
			o = v[i]
		default:
			return nil
		}
	}
	return o
}

// elements are the maps of a list field.
func elements(o any, path string) (out []map[string]any) {
	list, _ := at(o, path).([]any)
	for _, e := range list {
		if m, ok := e.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// element is the one with that value in a field.
func element(o any, path, field, value string) map[string]any {
	for _, e := range elements(o, path) {
		if fmt.Sprint(at(e, field)) == value {
			return e
		}
	}
	return nil
}

// condition says "Type=Status Reason: message"; "" when there is none of the
// type, and when it is about an earlier generation of the object.
func condition(o *unstructured.Unstructured, within any, typ string) string {
	c := element(within, "conditions", "type", typ)
	if c == nil || fmt.Sprint(c["observedGeneration"]) != fmt.Sprint(o.GetGeneration()) {
		return ""
	}
	return fmt.Sprintf("%s=%s %s: %s", typ, c["status"], c["reason"], c["message"])
}

// expect says which of the wishes, prefixes such as "Accepted=False Invalid",
// no condition fulfils. A wish may demand parts of the message: "Accepted=True … |part|part".
func expect(o *unstructured.Unstructured, within any, wishes ...string) error {
	for _, wish := range wishes {
		parts := strings.Split(wish, "|")
		typ, _, _ := strings.Cut(wish, "=")
		got := condition(o, within, typ)
		if !strings.HasPrefix(got, parts[0]) {
			return fmt.Errorf("%s %s has %q, want %q; all: %v", o.GetKind(), o.GetName(), got, wish, at(within, "conditions"))
		}
		for _, part := range parts[1:] {
			if !strings.Contains(got, part) {
				return fmt.Errorf("%s %s has %q without %q", o.GetKind(), o.GetName(), got, part)
			}
		}
	}
	return nil
}

// routeHas waits until the entry that the plane's controller keeps for a
// parent of a route has conditions. Parent "" is the only one.
func (l *place) routeHas(t *testing.T, within time.Duration, route, parent string, wishes ...string) {
	t.Helper()
	l.Eventually(t, within, "conditions of route "+route, func() error {
		o, err := l.Find("httproutes", l.ns, route)
		if err != nil {
			return err
		}
		for _, e := range elements(o, "status.parents") {
			if e["controllerName"] == l.controller && (parent == "" || at(e, "parentRef.name") == parent || at(e, "parentRef.sectionName") == parent) {
				return expect(o, e, wishes...)
			}
		}
		return fmt.Errorf("no entry of %s for %q in %v", l.controller, parent, at(o, "status"))
	})
}

// gatewayHas waits until a Gateway has conditions.
func (w *world) gatewayHas(t *testing.T, within time.Duration, namespace, name string, wishes ...string) {
	t.Helper()
	w.Eventually(t, within, "conditions of Gateway "+name, func() error {
		o, err := w.Find("gateways", namespace, name)
		if err != nil {
			return err
		}
		return expect(o, o.Object["status"], wishes...)
	})
}

// listenerHas waits until a listener of a Gateway has conditions, and returns
// its status.
func (w *world) listenerHas(t *testing.T, namespace, gateway, listener string, wishes ...string) (status map[string]any) {
	t.Helper()
	w.Eventually(t, soon, "conditions of listener "+listener, func() error {
		o, err := w.Find("gateways", namespace, gateway)
		if err != nil {
			return err
		}
		if status = element(o, "status.listeners", "name", listener); status == nil {
			return fmt.Errorf("no status of it in %v", at(o, "status"))
		}
		return expect(o, status, wishes...)
	})
	return status
}

// metric reads the values of a metric of a pod of a Deployment, by its labels.
func (w *world) metrics(t *testing.T, namespace, pod string, port int) map[string]string {
	t.Helper()
	out := map[string]string{}
	a, err := w.Get(fmt.Sprintf("http://%s:%d/metrics", at(w.Object(t, "pods", namespace, pod), "status.podIP"), port))
	if err := a.Want(200, err); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(a.Body) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			out[name] = value
		}
	}
	return out
}

// podsOf are the names of the pods with a label that run and are to stay.
func (w *world) podsOf(t *testing.T, namespace, label, value string) (names []string) {
	t.Helper()
	var pods corev1.PodList
	if err := w.Client().List(t.Context(), &pods, client.InNamespace(namespace), client.MatchingLabels{label: value}); err != nil {
		t.Fatal(err)
	}
	for _, p := range pods.Items {
		if p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil {
			names = append(names, p.Name)
		}
	}
	return names
}

// certificate is a Secret with a self-signed certificate for a host.
func certificate(t *testing.T, name, host string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return keyPair(t, name, host, key, &key.PublicKey)
}

func keyPair(t *testing.T, name, host string, key, public any) string {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, b []byte) string {
		var out bytes.Buffer
		if err := pem.Encode(&out, &pem.Block{Type: kind, Bytes: b}); err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(out.Bytes())
	}
	return fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s}\ntype: kubernetes.io/tls\ndata: {tls.crt: %s, tls.key: %s}\n---\n",
		name, encode("CERTIFICATE", der), encode("PRIVATE KEY", private))
}
