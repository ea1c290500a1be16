package maas_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/maas"
)

func TestRoutes(t *testing.T) {
	w := newWorld(t)
	f := func(name, call string, code int, contentType, body string) {
		t.Run(name, func(t *testing.T) {
			method, path, _ := strings.Cut(call, " ")
			a := w.send(method, path, "", nil)
			if a.code != code || a.body != body || a.head.Get("Content-Type") != contentType {
				t.Errorf("%s: %d %q %q, want %d %q %q", call, a.code, a.head.Get("Content-Type"), a.body, code, contentType, body)
			}
		})
	}
	const missing = "404 page not found"
	f("maas-120 health", "GET /health", 200, "application/json; charset=utf-8", `{"status":"healthy"}`)
	f("maas-120 no metrics", "GET /metrics", 404, "text/plain", missing)
	f("the root", "GET /", 404, "text/plain", missing)
	f("a model by its name", "GET /v1/models/x", 404, "text/plain", missing)
	f("a method that is not there", "PUT /v1/tokens", 404, "text/plain", missing)
	f("HEAD", "HEAD /health", 404, "text/plain", missing)
	f("a path that goes on", "GET /v1/api-keys/a/b", 404, "text/plain", missing)
	f("no clean-up of paths", "GET //health", 404, "text/plain", missing)
	f("a slash too many and no such path", "GET /v2/", 404, "text/plain", missing)
	f("OPTIONS on a path", "OPTIONS /v1/tokens", 204, "", "")
	f("OPTIONS on no path", "OPTIONS /nothing", 204, "", "")

	redirect := func(call string, code int, to string) {
		t.Run("a slash too many: "+call, func(t *testing.T) {
			method, path, _ := strings.Cut(call, " ")
			a := w.send(method, path, "", nil)
			if a.code != code || a.head.Get("Location") != to {
				t.Errorf("%d to %q, want %d to %q", a.code, a.head.Get("Location"), code, to)
			}
		})
	}
	redirect("GET /v1/models/?a=b", 301, "/v1/models?a=b")
	redirect("POST /v1/tokens/", 307, "/v1/tokens")
	redirect("GET /v1/api-keys/", 301, "/v1/api-keys")
	redirect("DELETE /v1/api-keys/a/", 307, "/v1/api-keys/a")
}

func TestBodyLimit(t *testing.T) {
	w := newWorld(t)
	body := `{"name":"` + strings.Repeat("x", 1<<20) + `"}`
	for _, path := range []string{"/v1/tokens", "/v1/api-keys"} {
		if a := w.as(alice, "POST", path, body); a.code != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %d %s", path, a.code, a.body)
		}
	}
}

func TestBrowsers(t *testing.T) {
	w := newWorld(t)
	cors := func(method string) map[string]string {
		a := w.send(method, "/health", "", map[string]string{"Origin": "https://page.example"})
		got := map[string]string{}
		for name := range a.head {
			if strings.HasPrefix(name, "Access-Control-") {
				got[strings.TrimPrefix(name, "Access-Control-")] = a.head.Get(name)
			}
		}
		return got
	}
	if got := cors("OPTIONS"); len(got) > 0 {
		t.Errorf("without debug a page gets %v", got)
	}
	w.server.Config.Debug = true
	want := map[string]string{
		"Allow-Origin": "https://page.example", "Allow-Credentials": "true", "Max-Age": "43200",
		"Allow-Methods": "GET,POST,PUT,PATCH,DELETE,OPTIONS", "Allow-Headers": "Authorization,Content-Type,Accept",
	}
	if diff := cmp.Diff(want, cors("OPTIONS")); diff != "" {
		t.Errorf("preflight (-want +got):\n%s", diff)
	}
	want = map[string]string{
		"Allow-Origin": "https://page.example", "Allow-Credentials": "true", "Expose-Headers": "Content-Type",
	}
	if diff := cmp.Diff(want, cors("GET")); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

// A mistake of ours ends one request and not the process.
func TestPanic(t *testing.T) {
	w := newWorld(t)
	w.server.Keys = nil
	a := w.as(alice, "GET", "/v1/api-keys", "")
	if a.code != http.StatusInternalServerError || a.body != "" || !strings.Contains(w.log.String(), "BUG: ") {
		t.Errorf("answer %d %q, log %s", a.code, a.body, w.log)
	}
}

func TestListenerLimits(t *testing.T) {
	h := maas.NewHTTPServer(http.NotFoundHandler())
	got := []time.Duration{h.ReadHeaderTimeout, h.ReadTimeout, h.WriteTimeout, h.IdleTimeout}
	want := []time.Duration{5 * time.Second, 15 * time.Second, 30 * time.Second, 60 * time.Second}
	if diff := cmp.Diff(want, got); diff != "" || h.MaxHeaderBytes != 1<<20 {
		t.Errorf("time-outs (-want +got):\n%s header bytes %d", diff, h.MaxHeaderBytes)
	}
}

func TestShutdown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := maas.NewHTTPServer(http.NotFoundHandler())
	done := make(chan error)
	go func() { done <- h.Serve(l) }()
	ended, cancel := context.WithCancel(t.Context())
	cancel() // what ends a server must not cut its requests off
	if err := maas.Shutdown(ended, h); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Serve ended with %v", err)
	}
}
