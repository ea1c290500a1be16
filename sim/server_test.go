package sim

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// serveOn runs a simulator with free ports; end stops it and gives what Serve returned.
func serveOn(t *testing.T, c Config, ranks int) (addresses []string, end func() error) {
	t.Helper()
	c.DataParallelSize = ranks
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	var listeners []net.Listener
	for range ranks {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, l)
		addresses = append(addresses, l.Addr().String())
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, listeners...) }()
	return addresses, func() error {
		cancel()
		return <-done
	}
}

func config(t *testing.T) Config {
	t.Helper()
	c := Default()
	c.Model, c.Mode = "m", "echo"
	return c
}

func post(t *testing.T, client *http.Client, url, body string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	w, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Body.Close() })
	return w
}

func TestServe(t *testing.T) {
	t.Run("each rank has its port and adapters", func(t *testing.T) {
		addresses, end := serveOn(t, config(t), 2)
		client := &http.Client{}
		defer client.CloseIdleConnections()
		post(t, client, "http://"+addresses[1]+"/v1/load_lora_adapter", `{"lora_name":"tuned"}`)
		for i, want := range []int{404, 200} {
			if got := post(t, client, "http://"+addresses[i]+chatPath, `{"model":"tuned","messages":[]}`).StatusCode; got != want {
				t.Errorf("rank %d: %d, want %d", i, got, want)
			}
		}
		client.CloseIdleConnections()
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	t.Run("TLS with a certificate made at start", func(t *testing.T) {
		c := config(t)
		c.SelfSignedCerts = true
		addresses, end := serveOn(t, c, 1)
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		w := post(t, client, "https://"+addresses[0]+chatPath, hello)
		if w.StatusCode != 200 || w.TLS == nil || w.TLS.Version < tls.VersionTLS12 {
			t.Errorf("%d, %+v", w.StatusCode, w.TLS)
		}
		client.CloseIdleConnections()
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	t.Run("an open stream is played to its end", func(t *testing.T) {
		c := config(t)
		held := make(chan struct{})
		c.Wait = func(ctx context.Context, _ time.Duration) error {
			select {
			case held <- struct{}{}:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		addresses, end := serveOn(t, c, 1)
		client := &http.Client{}
		bodies := make(chan string)
		go func() {
			w := post(t, client, "http://"+addresses[0]+chatPath, `{"model":"m","stream":true,"messages":[{"role":"user","content":"a b"}]}`)
			body, _ := io.ReadAll(w.Body)
			bodies <- string(body)
		}()
		<-held // the first token
		ended := make(chan error)
		go func() { ended <- end() }()
		<-held // the second, while the server drains
		if body := <-bodies; !strings.HasSuffix(body, "data: [DONE]\n\n") {
			t.Errorf("the stream ends with %q", body)
		}
		client.CloseIdleConnections()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Run("as many listeners as ranks", func(t *testing.T) {
		s, err := New(config(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Serve(t.Context()); err == nil {
			t.Error("served without a listener")
		}
	})
	t.Run("a port that is taken is named", func(t *testing.T) {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c := config(t)
		c.Port = l.Addr().(*net.TCPAddr).Port
		s, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "simulator rank 0") {
			t.Errorf("got %v", err)
		}
	})
}
