package serve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// files writes a certificate and its key as PEM.
func files(t *testing.T, c tls.Certificate) (cert, key string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	err = errors.Join(
		os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func TestRun(t *testing.T) {
	made, err := selfSigned(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(made.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	var fromFiles TLS
	fromFiles.CertFile, fromFiles.KeyFile = files(t, made)

	f := func(name string, site TLS, scheme string, client func(*http.Protocols), want string) {
		t.Run(name, func(t *testing.T) {
			config, err := site.Config()
			if err != nil {
				t.Fatal(err)
			}
			l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprintf(w, "%s %t", r.Proto, r.TLS != nil)
			})
			go func() { done <- Run(ctx, config, Site{l, handler}) }()

			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, Protocols: new(http.Protocols)}
			client(transport.Protocols)
			if got := get(t, transport, scheme+"://"+l.Addr().String()); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			transport.CloseIdleConnections()
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	f("HTTP/1.1", TLS{}, "http", func(p *http.Protocols) { p.SetHTTP1(true) }, "HTTP/1.1 false")
	f("HTTP/2 with prior knowledge", TLS{}, "http", func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }, "HTTP/2.0 false")
	f("HTTP/1.1 over TLS", fromFiles, "https", func(p *http.Protocols) { p.SetHTTP1(true) }, "HTTP/1.1 true")
	f("HTTP/2 over TLS", fromFiles, "https", func(p *http.Protocols) { p.SetHTTP2(true) }, "HTTP/2.0 true")

	t.Run("a broken listener is named", func(t *testing.T) {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := Run(t.Context(), nil, Site{l, http.NotFoundHandler()}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a certificate that is not there is an error", func(t *testing.T) {
		if _, err := (TLS{CertFile: "nowhere.crt", KeyFile: "nowhere.key"}).Config(); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	})
}

func get(t *testing.T, transport http.RoundTripper, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	w, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	body := make([]byte, 64)
	n, _ := w.Body.Read(body) // the body is shorter and comes in one piece
	return string(body[:n])
}
