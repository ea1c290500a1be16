package process

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/egret-gateway/egret/lab/child"
)

// outward is a gateway to a partner, by HTTP/1.1 and by HTTP/2; %d is his port.
const outward = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {namespace: default, name: out}
spec: {gatewayClassName: egret, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0
kind: XBackendDestination
metadata: {namespace: default, name: one}
spec:
  destination: {type: Fqdn, fqdn: {hostname: partner.example.com}, ports: [{number: %[1]d, protocol: HTTP, tls: {mode: Mutual, clientCertificateRef: {name: me}, caBundleRef: [{group: "", kind: ConfigMap, name: ca}]}}]}
  extensions: [{name: key, type: "gateway.networking.k8s.io/CredentialInjector:v1", rawConfig: {secretRef: {name: key, key: key}}}]
---
apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0
kind: XBackendDestination
metadata: {namespace: default, name: two}
spec:
  destination: {type: Fqdn, fqdn: {hostname: partner.example.com}, ports: [{number: %[1]d, protocol: HTTP2, tls: {mode: Mutual, clientCertificateRef: {name: me}, caBundleRef: [{group: "", kind: ConfigMap, name: ca}]}}]}
  extensions: [{name: key, type: "gateway.networking.k8s.io/CredentialInjector:v1", rawConfig: {secretRef: {name: key, key: key}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: default, name: r}
spec:
  parentRefs: [{name: out}]
  rules:
  - backendRefs:
    - {group: ainetworking.prototype.x-k8s.io, kind: Backend, name: one, port: %[1]d, weight: 1}
    - {group: ainetworking.prototype.x-k8s.io, kind: Backend, name: two, port: %[1]d, weight: 1}
`

// object is a Secret or ConfigMap; fields are pairs of key and text.
func object(t *testing.T, kind, name string, fields ...string) string {
	t.Helper()
	data := map[string]string{}
	for i := 0; i < len(fields); i += 2 {
		data[fields[i]] = fields[i+1]
	}
	o := map[string]any{"apiVersion": "v1", "kind": kind, "metadata": map[string]string{"namespace": "default", "name": name}}
	o[map[string]string{"Secret": "stringData", "ConfigMap": "data"}[kind]] = data
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestRotation changes all that a way out depends on while 300 requests a
// second and 50 streams pass, half of them by HTTP/2: nobody notices.
func TestRotation(t *testing.T) {
	const rate, streams, enough = 300 / gentle, 50 / gentle, 100 / gentle
	first, second := newCertificates(t), newCertificates(t)
	second.n = 100
	p := newPartner()
	p.show(t, first, "partner.example.com")
	p.trust(first.bundle(t))
	p.take("sk-one")
	old := p.listen(t, "127.0.0.1:0")
	next := p.listen(t, fmt.Sprint("127.0.0.2:", old.port))
	names := newZone(t)
	names.set("partner.example.com", "127.0.0.1")

	dir := t.TempDir()
	write := func(name, text string) { child.Write(t, filepath.Join(dir, name+".yaml"), text) }
	client := func(ca *certificates, name string) string {
		crt, key := ca.pair(t, name)
		return object(t, "Secret", "me", "tls.crt", crt, "tls.key", key)
	}
	write("out", fmt.Sprintf(outward, old.port))
	write("key", object(t, "Secret", "key", "key", "sk-one"))
	write("me", client(first, "one"))
	write("ca", object(t, "ConfigMap", "ca", "ca.crt", first.bundle(t)))
	log := filepath.Join(t.TempDir(), "access.log")
	g := child.Run(t, "-f", dir, "--listen", "default/out/http=127.0.0.1:0", "--admin", "127.0.0.1:0", "--access-log", log)
	g.URL = g.Address(t, "default/out", 80)

	var failed failures
	var group sync.WaitGroup
	open := make(chan struct{}, streams)
	for range streams {
		group.Go(func() { failed.add(flow(g, open)) })
	}
	for range streams {
		<-open
	}
	var calls atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	begun := time.Now()
	group.Go(func() {
		pace(ctx, &group, rate, func(int) {
			calls.Add(1)
			failed.add(call(g))
		})
	})
	// more waits until enough further calls came with something.
	more := func(what string) {
		t.Helper()
		before := p.seen(what)
		child.Until(t, "calls come with "+what, func() bool { return p.seen(what) >= before+enough })
	}
	edit := func(name, text string) {
		t.Helper()
		before := g.Metric(t, served)
		write(name, text)
		child.Until(t, "the edit of "+name+" is served", func() bool { return g.Metric(t, served) > before })
	}
	more("key sk-one")

	t.Run("gateway-108 a key is rotated", func(t *testing.T) {
		p.take("sk-one", "sk-two")
		edit("key", object(t, "Secret", "key", "key", "sk-two"))
		more("key sk-two")
		p.take("sk-two")
		more("key sk-two")
	})
	t.Run("gateway-90 gateway-96 the client's certificate is renewed, by another authority", func(t *testing.T) {
		p.trust(first.bundle(t), second.bundle(t))
		edit("me", client(second, "two"))
		more("client two")
		p.trust(second.bundle(t))
		more("client two")
	})
	t.Run("gateway-96 the server's certificate is renewed, and its authority replaced", func(t *testing.T) {
		edit("ca", object(t, "ConfigMap", "ca", "ca.crt", first.bundle(t)+second.bundle(t)))
		p.show(t, second, "partner.example.com")
		edit("ca", object(t, "ConfigMap", "ca", "ca.crt", second.bundle(t)))
		more("server " + fmt.Sprint(second.n))
	})
	t.Run("the name leads elsewhere, and the server that was there goes away", func(t *testing.T) {
		names.set("partner.example.com", "127.0.0.2")
		p.draining.Store(old.at, true)
		more("at " + next.at)
		before := p.seen("at " + old.at)
		child.Until(t, "the old address is left", func() bool {
			was := before
			more("at " + next.at)
			before = p.seen("at " + old.at)
			return was == before
		})
		gone := make(chan error, 1)
		go func() { gone <- old.Shutdown(t.Context()) }() // ends what is idle at once, and with the last stream
		more("at " + next.at)
		if c, err := net.Dial("tcp", old.at); err == nil {
			c.Close()
			t.Error("the old server accepts connections")
		}
		close(p.end)
		if err := <-gone; err != nil {
			t.Errorf("the old server has not ended: %v", err)
		}
		more("at " + next.at)
	})
	took := time.Since(begun)
	stop()
	group.Wait()
	failed.report(t)
	if failed.n > 0 {
		t.Logf("the records of what failed:\n%s", reasons(t, log))
	}
	if n := g.Metric(t, `egret_reloads_total{result="kept_previous"}`); n != 0 {
		t.Errorf("%v reloads were refused:\n%s", n, g.Page(t, "/status?format=table").Body)
	}
	if want := int64(float64(rate) * took.Seconds() * 3 / 4); calls.Load() < want {
		t.Errorf("%d calls in %v, want %d at least: the machine is too slow for this test to mean something", calls.Load(), took, want)
	}
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		if p.seen("by "+protocol) < int(calls.Load()/3) {
			t.Errorf("%d of %d calls by %s", p.seen("by "+protocol), calls.Load(), protocol)
		}
	}
	t.Logf("%d calls in %v beside %d streams", calls.Load(), took, streams)
}

// reasons are the first records of calls that failed.
func reasons(t *testing.T, log string) string {
	var out []string
	for line := range strings.Lines(read(t, log)) {
		if !strings.Contains(line, `"status":200`) && len(out) < 5 {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// call asks the partner for a little.
func call(g *child.Gateway) error {
	a, err := g.Try(http.MethodPost, "/v1/chat/completions", "", to("m"))
	if err == nil && (a.Status != http.StatusOK || !strings.HasSuffix(a.Body, "}}")) {
		err = fmt.Errorf("%d %s", a.Status, a.Body)
	}
	return err
}

// flow reads a stream of the partner to its end, of which nothing may be missing.
func flow(g *child.Gateway, open chan<- struct{}) error {
	g = &child.Gateway{Process: g.Process, URL: g.URL, Client: &http.Client{Transport: g.Client.Transport}} // without a limit to a call's time
	res, err := g.Open(http.MethodGet, "/stream", "", "")
	open <- struct{}{}
	if err != nil {
		return err
	}
	defer res.Body.Close()
	n := 0
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		switch line := lines.Text(); line {
		case "":
		case fmt.Sprintf(`data: {"n":%d}`, n):
			n++
		case "data: [DONE]":
			return nil
		default:
			return fmt.Errorf("piece %d of a stream (%d) is %q", n, res.StatusCode, line)
		}
	}
	return fmt.Errorf("a stream (%d) broke off after %d pieces", res.StatusCode, n)
}
