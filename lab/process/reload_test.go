package process

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
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

// TestReloads changes routes, policies, certificates and listeners a hundred
// times in twenty seconds while 200 requests a second and 50 streams pass:
// nobody notices.
func TestReloads(t *testing.T) {
	t.Parallel() // it has its own pace
	const edits, every, rate, streams = 100 / gentle, 200 * time.Millisecond, 200 / gentle, 50 / gentle
	dir := child.Fixed(t, "            - --mode\n", "            - --max-num-seqs\n            - \"1000\"\n            - --inter-token-latency\n            - \"100\"\n            - --mode\n",
		"limit: 100000\n", "limit: 1000000000\n")
	certificates := newCertificates(t)
	child.Write(t, filepath.Join(dir, "certificate.yaml"), certificates.secret(t))
	users := newPeople(t)
	eva := users.add(t, "eva", "enterprise-group")
	g := child.Quickstart(t, "--manifests", dir, "--users", string(users), "--listen", "openshift-ingress/maas-default-gateway/extra=127.0.0.1:0")
	g.Client = child.Trusting(t, certificates.file(t))
	fresh := *g // a new connection per call, so that certificates matter
	fresh.Client = child.Trusting(t, certificates.file(t))
	fresh.Client.Transport.(*http.Transport).DisableKeepAlives = true
	token := g.Mint(t, eva)

	var failed failures
	var calls atomic.Int64
	var group sync.WaitGroup
	open := make(chan struct{}, streams)
	for range streams {
		group.Go(func() { failed.add(stream(g, token, int(edits*every/(100*time.Millisecond))+20, open)) })
	}
	for range streams {
		<-open
	}
	ctx, stop := context.WithCancel(t.Context())
	group.Go(func() {
		pace(ctx, &group, rate, func(n int) {
			from := g
			if n%10 == 0 {
				from = &fresh
			}
			calls.Add(1)
			failed.add(short(from, token))
		})
	})
	reload(t, g, dir, certificates, edits, every)
	stop()
	group.Wait()
	failed.report(t)
	if n := g.Metric(t, `egret_reloads_total{result="kept_previous"}`); n != 0 {
		t.Errorf("%v reloads were refused:\n%s", n, g.Page(t, "/status?format=table").Body)
	}
	if want := int64(rate * edits / 5 * 3 / 4); calls.Load() < want {
		t.Errorf("%d calls were made, want %d at least: the machine is too slow for this test to mean something", calls.Load(), want)
	}
	t.Logf("%d calls beside %d streams", calls.Load(), streams)
}

// pace begins so many calls a second until ctx ends, and does not wait for them.
func pace(ctx context.Context, group *sync.WaitGroup, rate int, call func(n int)) {
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			group.Go(func() { call(n) })
		}
	}
}

// reload makes the edits at their times, each when the one before is served.
func reload(t *testing.T, g *child.Gateway, dir string, c *certificates, edits int, every time.Duration) {
	t.Helper()
	gateway, policies := filepath.Join(dir, "maas/base/gateway.yaml"), filepath.Join(dir, "maas/base/policies.yaml")
	bridge := filepath.Join(dir, "openshift/maas-bridge.yaml")
	gatewayText, policiesText, bridgeText := read(t, gateway), read(t, policies), read(t, bridge)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := range edits {
		<-tick.C
		before := g.Metric(t, served)
		switch n % 4 {
		case 0:
			child.Write(t, policies, strings.Replace(policiesText, "1000000000", fmt.Sprint(1000000001+n), 1))
		case 1:
			child.Write(t, filepath.Join(dir, "certificate.yaml"), c.secret(t))
		case 2:
			extra := "    - name: extra\n      protocol: HTTP\n      port: 8090\n"
			child.Write(t, gateway, gatewayText+map[bool]string{true: extra}[n%8 == 2])
		case 3:
			rule := "  rules:\n    - matches:\n        - path:\n            value: /edit-" + fmt.Sprint(n) + "\n"
			child.Write(t, bridge, strings.Replace(bridgeText, "  rules:\n", rule, 1))
		}
		child.Until(t, "an edit is served", func() bool { return g.Metric(t, served) > before })
	}
}

const served = `egret_reloads_total{result="loaded"}`

// stream makes a call whose answer has the words, one every 100 ms.
func stream(g *child.Gateway, token string, words int, open chan<- struct{}) error {
	message := strings.TrimSpace(strings.Repeat("word ", words))
	res, err := g.Open(http.MethodPost, chat, token, ask(message, `"stream":true`))
	open <- struct{}{}
	if err != nil {
		return err
	}
	body, err := readAll(res)
	if err != nil {
		return fmt.Errorf("a stream broke off after %d bytes: %w", len(body), err)
	}
	if _, whole := streamed(body); !whole || said(body) != message {
		return fmt.Errorf("a stream (%d) is not whole: %d of %d bytes of text", res.StatusCode, len(said(body)), len(message))
	}
	return nil
}

// short makes a call of one token.
func short(g *child.Gateway, token string) error {
	a, err := g.Try(http.MethodPost, chat, token, ask("Hello", `"max_tokens":1`))
	if err != nil {
		return err
	}
	if a.Status != http.StatusOK || !strings.HasSuffix(strings.TrimSpace(a.Body), "}") {
		return fmt.Errorf("%d %s", a.Status, a.Body)
	}
	return nil
}

// failures counts errors and keeps the first ones.
type failures struct {
	mu    sync.Mutex
	n     int
	first []error
}

func (f *failures) add(err error) {
	if err == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n++; len(f.first) < 5 {
		f.first = append(f.first, err)
	}
}

func (f *failures) report(t *testing.T) {
	t.Helper()
	if f.n > 0 {
		t.Errorf("%d calls failed, the first with %v", f.n, f.first)
	}
}

// certificates issues certificates for loopback.
type certificates struct {
	root *x509.Certificate
	key  *ecdsa.PrivateKey
	n    int64
}

func newCertificates(t *testing.T) *certificates {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &certificates{key: key, root: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA of a test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, n: 1}
	return c
}

func (c *certificates) sign(t *testing.T, leaf *x509.Certificate, public any) string {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, leaf, c.root, public, c.key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func pemKey(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// file holds the CA.
func (c *certificates) file(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.crt")
	child.Write(t, path, c.sign(t, c.root, c.key.Public()))
	return path
}

// secret is a new certificate as the Secret that the gateway names.
func (c *certificates) secret(t *testing.T) string {
	t.Helper()
	c.n++
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	crt := c.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(c.n), NotBefore: c.root.NotBefore, NotAfter: c.root.NotAfter, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, key.Public())
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	return fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata:\n  name: maas-gateway-tls\n  namespace: openshift-ingress\ntype: kubernetes.io/tls\ndata:\n  tls.crt: %s\n  tls.key: %s\n",
		b64(crt), b64(string(pemKey(t, key))))
}
