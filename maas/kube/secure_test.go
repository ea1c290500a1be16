package kube

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/egret-gateway/egret/maas"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/ident"
)

// reviewer knows tokens by heart; all others get its error or a no.
type reviewer struct {
	known map[string]string // token → username
	err   error
	asked atomic.Int64
}

func (r *reviewer) Review(_ context.Context, token string, audiences []string) (ident.Review, error) {
	r.asked.Add(1)
	if user, ok := r.known[token]; ok && len(audiences) == 1 && audiences[0] == "maas-api" {
		return ident.Review{Authenticated: true, Audiences: audiences, User: ident.User{Username: user}, Expires: time.Now().Add(time.Hour)}, nil
	}
	return ident.Review{Error: "not known"}, r.err
}

func TestHopDecides(t *testing.T) {
	gateway := "system:serviceaccount:openshift-ingress:egret-openshift-ingress-maas-default-gateway"
	known := &reviewer{known: map[string]string{
		"good": gateway, "envoy": strings.Replace(gateway, "egret-", "envoy-", 1),
		"elsewhere": strings.Replace(gateway, ":openshift-ingress:", ":default:", 1), "person": "egret-openshift-ingress-maas-default-gateway",
	}}
	f := func(name string, from *reviewer, method, path string, proofs []string, want int) {
		t.Run(name, func(t *testing.T) {
			next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get(plan.ProofHeader) != "" {
					t.Error("the proof is passed on")
				}
			})
			h := newHop(next, maas.DefaultConfig(), ident.Source{Reviewer: from, Now: time.Now}, slog.New(slog.DiscardHandler))
			r, w := httptest.NewRequest(method, path, nil), httptest.NewRecorder()
			r.Header["X-Maas-Proof"] = proofs
			h.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("status %d, body %s", w.Code, w.Body)
			}
		})
	}
	f("the probe", known, "GET", "/health", nil, 200)
	f("the probe's path with another method", known, "POST", "/health", nil, 401)
	f("no proof", known, "GET", "/v1/models", nil, 401)
	f("no proof, tier lookup", known, "POST", "/v1/tiers/lookup", nil, 401)
	f("no proof, OPTIONS", known, "OPTIONS", "/v1/tokens", nil, 401)
	f("the gateway of class egret", known, "GET", "/v1/models", []string{"good"}, 200)
	f("the gateway of class wg-ai-gateway", known, "GET", "/v1/models", []string{"envoy"}, 200)
	f("two proofs", known, "GET", "/v1/models", []string{"good", "good"}, 401)
	f("an account of that name elsewhere", known, "GET", "/v1/models", []string{"elsewhere"}, 401)
	f("a person of that name", known, "GET", "/v1/models", []string{"person"}, 401)
	f("an unknown token", known, "GET", "/v1/models", []string{"bad"}, 401)
	f("a proof without end", known, "GET", "/v1/models", []string{strings.Repeat("x", 1<<20)}, 401)
	f("maas-94 nobody can be asked: closed", &reviewer{err: context.DeadlineExceeded}, "GET", "/v1/models", []string{"good"}, 500)
	t.Run("a proof is reviewed once a minute", func(t *testing.T) {
		from := &reviewer{known: known.known}
		h := newHop(http.NotFoundHandler(), maas.DefaultConfig(), ident.Source{Reviewer: from, Now: time.Now}, slog.New(slog.DiscardHandler))
		for range 10 {
			r := httptest.NewRequest("GET", "/v1/models", nil)
			r.Header.Set(plan.ProofHeader, "good")
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
		if n := from.asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// TestCertificateFiles: a renewed certificate is served without a restart, and
// files that are half written keep the old one.
func TestCertificateFiles(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	stamp := time.Now().Add(-time.Hour)
	write := func(host string) []byte {
		t.Helper()
		c := maas.DefaultConfig()
		c.GatewayHost = host
		s, err := gatewaySecret(c, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		stamp = stamp.Add(time.Second)
		for name, data := range map[string][]byte{cert: s.Data[corev1.TLSCertKey], key: s.Data[corev1.TLSPrivateKeyKey]} {
			if err := os.WriteFile(name, data, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(name, stamp, stamp); err != nil {
				t.Fatal(err)
			}
		}
		block, _ := pem.Decode(s.Data[corev1.TLSCertKey])
		return block.Bytes
	}
	served := func(c *tls.Config) string {
		t.Helper()
		pair, err := c.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(pair.Certificate[0])
	}
	files := maas.TLS{Cert: cert, Key: key, MinVersion: "1.3"}
	if _, err := serverTLS(files, "x"); err == nil {
		t.Error("no certificate, and no error")
	}
	first := write("a.example.com")
	config, err := serverTLS(files, "x")
	if err != nil || config.MinVersion != tls.VersionTLS13 || served(config) != string(first) {
		t.Fatalf("config %+v, error %v", config, err)
	}
	if second := write("b.example.com"); served(config) != string(second) {
		t.Error("the old certificate is served")
	} else if err := os.WriteFile(cert, second[:10], 0o600); err != nil || served(config) != string(second) {
		t.Errorf("half a file: error %v", err)
	}
}
