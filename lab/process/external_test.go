package process

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/egret-gateway/egret/lab/child"
)

// outside is a stand-in for hosts outside: it says over TLS what arrived.
func outside(t *testing.T, ca *certificates, names ...string) (address string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca.n++
	crt := ca.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(ca.n), NotBefore: ca.root.NotBefore, NotAfter: ca.root.NotAfter, DNSNames: names,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, key.Public())
	pair, err := tls.X509KeyPair([]byte(crt), pemKey(t, key))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/status/418" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"host": r.Host, "sni": r.TLS.ServerName, "path": r.URL.Path, "headers": r.Header, "data": string(body)})
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestExternalHost(t *testing.T) {
	ca := newCertificates(t)
	trusted := outside(t, ca, "httpbin.org", "api.openai.com", "api.anthropic.com")
	t.Setenv("SSL_CERT_FILE", ca.file(t))
	const gateway = "external-model-demo/external-model-gateway"
	serve := func(at string) func(t *testing.T, method, path, body string, fields ...string) (int, string) {
		flags := []string{"-f", "../../examples/external-host", "--listen", gateway + "/http=127.0.0.1:0"}
		for _, host := range []string{"httpbin.org", "api.openai.com", "api.anthropic.com"} {
			_, port, _ := net.SplitHostPort(at)
			flags = append(flags, "--resolve", host+":443:127.0.0.1:"+port)
		}
		g := child.Run(t, flags...)
		url := g.Address(t, gateway, 80)
		return func(t *testing.T, method, path, body string, fields ...string) (int, string) {
			return send(t, g, method, url+path, "", body, append(fields, "Host: ai-gateway.example.com")...)
		}
	}
	call := serve(trusted)
	f := func(name, method, path, body string, want ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			status, said := call(t, method, path, body)
			for _, w := range want {
				if status != http.StatusOK || !strings.Contains(said, w) {
					t.Errorf("%s %s: %d %s, want %s", method, path, status, said, w)
				}
			}
		})
	}
	f("gateway-147 gateway-148 GET reaches the host over TLS, by its own name", http.MethodGet, "/get", "", `"host":"httpbin.org"`, `"sni":"httpbin.org"`)
	f("gateway-148 what is posted is echoed", http.MethodPost, "/post", `{"a":1}`, `"data":"{\"a\":1}"`)
	f("gateway-148 headers are echoed", http.MethodGet, "/headers", "", `"path":"/headers"`)
	f("gateway-149 OpenAI gets its key", http.MethodPost, "/v1/chat/completions", to("gpt-4o-mini"), `"host":"api.openai.com"`, `"Authorization":["Bearer OPENAI_API_KEY"]`)
	f("gateway-149 Anthropic gets its key and version", http.MethodPost, "/v1/messages", to("claude-sonnet-4"), `"host":"api.anthropic.com"`, `"X-Api-Key":["ANTHROPIC_API_KEY"]`, `"Anthropic-Version":["2023-06-01"]`)
	t.Run("gateway-148 a status passes", func(t *testing.T) {
		if status, _ := call(t, http.MethodGet, "/status/418", ""); status != http.StatusTeapot {
			t.Errorf("%d, want 418", status)
		}
	})
	t.Run("gateway-149 the provider's key wins over a client's", func(t *testing.T) {
		if _, said := call(t, http.MethodPost, "/v1/chat/completions", to("m"), "Authorization: Bearer mine"); strings.Contains(said, "mine") {
			t.Errorf("the provider sees %s", said)
		}
	})
	t.Run("gateway-147 a host with another's certificate gets nothing", func(t *testing.T) {
		if status, said := serve(outside(t, ca, "elsewhere.example.com"))(t, http.MethodGet, "/get", ""); status != http.StatusBadGateway {
			t.Errorf("%d %s, want 502", status, said)
		}
	})
}
