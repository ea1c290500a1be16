package conform

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/lab/envoybin"
	"github.com/egret-gateway/egret/plan"
)

// route leads everything on the shared gateway to backend a, and a second host
// to two backends by weight.
const route = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: default, name: all}
spec:
  parentRefs: [{name: gw}]
  rules:
  - backendRefs: [{group: ainetworking.prototype.x-k8s.io, kind: Backend, name: a, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: default, name: shares}
spec:
  parentRefs: [{name: gw}]
  hostnames: [shares.example.com]
  rules:
  - backendRefs:
    - {group: ainetworking.prototype.x-k8s.io, kind: Backend, name: a, port: 80, weight: 90}
    - {group: ainetworking.prototype.x-k8s.io, kind: Backend, name: b, port: 80, weight: 10}
`

// wire is a real Envoy whose backends are h. The plan is changed before it is
// served.
func wire(t *testing.T, version string, h http.HandlerFunc, change ...func(*plan.Plan)) (*World, *pair) {
	t.Helper()
	s := &Scenario{Manifests: []byte(route)}
	for _, share := range []string{"gateway", "backends"} {
		if err := s.include("with: "+share, "testdata"); err != nil {
			t.Fatal(err)
		}
	}
	stage := newStage(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := stage.compile(t, s)
	for _, do := range change {
		do(p)
	}
	w := newWorld(p, stage.realm, &clock{stands: true}, l)
	w.upstream.server.Handler = h
	go w.upstream.server.Serve(l)
	t.Cleanup(func() { w.upstream.server.Close() })
	b, err := newEnvoy(envoybin.Path(t, version))(context.Background(), w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return w, b.(*pair)
}

// dial connects to the gateway.
func (b *pair) dial(t *testing.T) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", b.doors[door("default/gw", 80)])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c, bufio.NewReader(c)
}

// TestWire is about what scenarios cannot say: connections, and what passes on
// them.
func TestWire(t *testing.T) {
	for _, version := range envoybin.Versions {
		t.Run("envoy "+version, func(t *testing.T) {
			t.Run("a WebSocket passes, both ways", func(t *testing.T) { socket(t, version) })
			t.Run("trailers pass, both ways", func(t *testing.T) { trailers(t, version) })
			t.Run("B-28 each event arrives when it is sent, of a stream that nobody reads too", func(t *testing.T) { eventByEvent(t, version) })
			t.Run("B-28 gateway-80 silence is cut after the idle time, counted from the first byte of the answer on", func(t *testing.T) { stalls(t, version) })
			t.Run("gateway-79 0s is no limit for an answer, and not for a client that stops in its body", func(t *testing.T) { unlimited(t, version) })
			t.Run("a body of unknown length is refused in the shape of the call, also beyond what Envoy buffers", func(t *testing.T) { large(t, version) })
			t.Run("gateway-22 weights 90 and 10 share the calls within 5 points, and each Record names the backend that Envoy chose", func(t *testing.T) { shares(t, version) })
		})
	}
}

func socket(t *testing.T, version string) {
	w, b := wire(t, version, func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\nX-Up: 1\r\n\r\n", r.Header.Get("Upgrade"))
		rw.Flush()
		line, _ := rw.ReadString('\n')
		rw.WriteString("you said " + line)
		rw.Flush()
	})
	c, r := b.dial(t)
	io.WriteString(c, "GET /socket HTTP/1.1\r\nHost: gw.example.com\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n")
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols || !strings.EqualFold(res.Header.Get("Upgrade"), "websocket") || res.Header.Get("X-Up") != "1" || res.Header.Get("X-Request-Id") == "" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	io.WriteString(c, "hello\n")
	if line, err := r.ReadString('\n'); line != "you said hello\n" {
		t.Errorf("%q, error %v", line, err)
	}
	c.Close()
	w.await(1)
	if got := w.recorded(); len(got) != 1 || got[0].Status != 101 {
		t.Errorf("%+v", got)
	}
}

func trailers(t *testing.T, version string) {
	seen := make(chan http.Header, 1)
	_, b := wire(t, version, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/early" {
			http.NewResponseController(w).EnableFullDuplex()
			http.NewResponseController(w).Flush()
		}
		io.Copy(io.Discard, r.Body)
		seen <- r.Trailer
		w.Header().Set(http.TrailerPrefix+"X-Sum", "answer")
		io.WriteString(w, "body")
	})
	f := func(path, want string) {
		t.Helper()
		c, r := b.dial(t)
		io.WriteString(c, "POST "+path+" HTTP/1.1\r\nHost: gw.example.com\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"+
			"Trailer: X-Sum, X-MaaS-Username, x_maas_group\r\n\r\nd\r\n"+`{"model":"m"}`+"\r\n")
		end := func() {
			io.WriteString(c, "0\r\nX-MaaS-Username: root\r\nX-Sum: request\r\nx_maas_group: admins\r\n\r\n")
		}
		if path != "/early" {
			end()
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if path == "/early" {
			end()
		}
		io.Copy(io.Discard, res.Body)
		if got := res.Trailer.Get("X-Sum"); got != "answer" {
			t.Errorf("%s: the client got trailers %v", path, res.Trailer)
		}
		got := <-seen
		if got.Get("X-Sum") != want {
			t.Errorf("%s: the backend got trailers %v", path, got)
		}
		for name, v := range got {
			if plan.Trusted(name) && len(v) > 0 {
				t.Errorf("%s: the backend got the trailer %s: %q", path, name, v)
			}
		}
	}
	f("/x", "request")
	f("/early", "request")        // when the answer has begun
	f("/v1/chat/completions", "") // a body that is read whole has a length from there on
}

// eventByEvent has the backend send an event only when the client has the one
// before.
func eventByEvent(t *testing.T, version string) {
	next := make(chan struct{})
	_, b := wire(t, version, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for n := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", n)
			http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	})
	f := func(head, body string) {
		t.Helper()
		c, r := b.dial(t)
		fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: gw.example.com\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", head, len(body), body)
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 3 {
			want := fmt.Sprintf("data: %d\n\n", n)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != want {
				t.Fatalf("event %d is %q, error %v", n, got, err)
			}
			next <- struct{}{}
		}
		if rest, err := io.ReadAll(res.Body); err != nil {
			t.Errorf("after the events: %q, error %v", rest, err)
		}
	}
	f("GET /events", "")
	f("POST /v1/chat/completions", `{"model":"m","stream":true,"messages":[]}`)
}

func shares(t *testing.T, version string) {
	var mu sync.Mutex
	asked := map[string]int{}
	w, b := wire(t, version, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked[r.Host]++
	})
	const calls = 1000
	c, r := b.dial(t)
	for range calls {
		io.WriteString(c, "GET /x HTTP/1.1\r\nHost: shares.example.com\r\n\r\n")
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
	}
	w.await(calls)
	named := map[string]int{}
	for _, rec := range w.recorded() {
		named[rec.Backend]++
	}
	a, bb := asked["a.example.com"], asked["b.example.com"]
	if a != named["default-a-80"] || bb != named["default-b-80"] || a+bb != calls {
		t.Errorf("asked %v, recorded %v", asked, named)
	}
	if bb < calls*5/100 || bb > calls*15/100 {
		t.Errorf("the smaller share got %d of %d calls", bb, calls)
	}
}

func large(t *testing.T, version string) {
	w, b := wire(t, version, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("a request passed: %s", r.RequestURI) })
	for n, size := range []int{3 << 20, 40 << 20} {
		c, r := b.dial(t)
		go func() { // Envoy may answer before all of it has come
			fmt.Fprintf(c, "POST /v1/chat/completions HTTP/1.1\r\nHost: gw.example.com\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", size)
			c.Write(make([]byte, size))
			io.WriteString(c, "\r\n0\r\n\r\n")
		}()
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(string(body), `"body_too_large"`) {
			t.Errorf("%d bytes: %d %q", size, res.StatusCode, body)
		}
		w.await(1)
		if got := w.recorded(); len(got) != n+1 || got[n].Code != "body_too_large" {
			t.Errorf("%d bytes: %+v", size, got)
		}
	}
}

// idleTime is a short one, for tests that wait for it; a pause of a peer that
// is longer is long.
const (
	idleTime = time.Second
	long     = 2 * idleTime
)

func timeouts(ts plan.Timeouts) func(*plan.Plan) {
	return func(p *plan.Plan) {
		for i := range p.Rules {
			p.Rules[i].Timeouts = ts
		}
	}
}

func stalls(t *testing.T, version string) {
	w, b := wire(t, version, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-time.After(long) // not silence: nothing of the answer has come
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: 1\n\n")
		http.NewResponseController(w).Flush()
		if r.Header.Get("X-Go-On") == "" {
			<-r.Context().Done()
		}
	}, timeouts(plan.Timeouts{Request: time.Minute, Idle: idleTime}))
	f := func(head, body string, want engine.Outcome) {
		t.Helper()
		before := len(w.recorded())
		c, r := b.dial(t)
		fmt.Fprintf(c, "%s\r\nHost: gw.example.com\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", head, len(body), body)
		res, err := http.ReadResponse(r, nil)
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("%+v, error %v", res, err)
		}
		got, err := io.ReadAll(res.Body)
		if !strings.HasPrefix(string(got), "data: 1\n\n") || (err == nil) != (want == engine.Done) {
			t.Errorf("%s: %q, error %v", head, got, err)
		}
		w.await(before + 1)
		if rec := w.recorded(); len(rec) != before+1 || rec[before].Outcome != want {
			t.Errorf("%s: %+v", head, rec[before:])
		}
	}
	const chat = `{"model":"m","stream":true,"messages":[]}`
	f("POST /v1/chat/completions HTTP/1.1", chat, engine.TimedOut)
	f("GET /events HTTP/1.1", "", engine.TimedOut)
	f("GET /events HTTP/1.1\r\nX-Go-On: 1", "", engine.Done)
}

func unlimited(t *testing.T, version string) {
	w, b := wire(t, version, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "1")
		http.NewResponseController(w).Flush()
		<-time.After(long)
		io.WriteString(w, "2")
	}, timeouts(plan.Timeouts{Request: plan.NoLimit, Explicit: true, Idle: idleTime}))
	f := func(send func(io.Writer), status int, body string, want engine.Outcome) {
		t.Helper()
		before := len(w.recorded())
		c, r := b.dial(t)
		go send(c)
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		if res.StatusCode != status || string(got) != body || err != nil {
			t.Errorf("%d %q, error %v, want %d %q", res.StatusCode, got, err, status, body)
		}
		w.await(before + 1)
		if rec := w.recorded(); len(rec) != before+1 || rec[before].Outcome != want {
			t.Errorf("%+v", rec[before:])
		}
	}
	f(func(c io.Writer) { io.WriteString(c, "GET /x HTTP/1.1\r\nHost: gw.example.com\r\n\r\n") }, 200, "12", engine.Done)
	const upload = "POST /upload HTTP/1.1\r\nHost: gw.example.com\r\n"
	f(func(c io.Writer) { // slow, but never silent for long
		io.WriteString(c, upload+"Content-Length: 6\r\n\r\n")
		for range 6 {
			<-time.After(idleTime / 3)
			io.WriteString(c, ".")
		}
	}, 200, "12", engine.Done)
	f(func(c io.Writer) { // whose end is told by trailers
		io.WriteString(c, upload+"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n")
	}, 200, "12", engine.Done)
	f(func(c io.Writer) { io.WriteString(c, upload+"Content-Length: 100\r\n\r\nsome") },
		408, "the request body came too slowly\n", engine.ClientGone)
}
