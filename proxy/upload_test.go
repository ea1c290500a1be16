package proxy

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/plan"
)

// deaf is a backend's listener whose connections read nothing once it is shut,
// until it is opened.
type deaf struct {
	net.Listener
	gate *gate
}

type gate struct {
	mu     sync.Mutex
	opened chan struct{} // nil = open
}

func (g *gate) shut() (open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	opened := make(chan struct{})
	g.opened = opened
	return sync.OnceFunc(func() { close(opened) })
}

func (d deaf) Accept() (net.Conn, error) {
	c, err := d.Listener.Accept()
	return deafConn{c, d.gate}, err
}

type deafConn struct {
	net.Conn
	gate *gate
}

func (c deafConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.gate.mu.Lock()
	opened := c.gate.opened
	c.gate.mu.Unlock()
	if opened != nil {
		<-opened
	}
	return n, err
}

// TestUploadOutlivesItsExchange: the transport of HTTP/2 does not wait for its
// own writer of the body. One that was held up by the backend reads on when the
// client's request has ended, and must find nothing to touch there.
func TestUploadOutlivesItsExchange(t *testing.T) {
	h2c := func(tr *http.Transport) { tr.Protocols = new(http.Protocols); tr.Protocols.SetUnencryptedHTTP2(true) }
	f := func(name string, change func(*http.Transport), status int, end func(leave func())) {
		inBubble(t, name, func(t *testing.T, r *rig) {
			l, b := r.at("b")
			b.Protocol = plan.HTTP2
			g := &gate{}
			arrived := make(chan struct{})
			var protocols http.Protocols
			protocols.SetUnencryptedHTTP2(true)
			s := &http.Server{Protocols: &protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				close(arrived)
				io.Copy(io.Discard, req.Body)
			})}
			go s.Serve(deaf{l, g})
			t.Cleanup(func() { s.Close() })
			r.apply(simple(b, timeout(2*time.Second))) // before anybody pings the backend

			client := &http.Client{Transport: r.transport(change)}
			in, out := io.Pipe()
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			req, _ := http.NewRequestWithContext(ctx, "POST", "http://x/upload", in)
			got := make(chan int, 1)
			go func() {
				res, err := client.Do(req)
				if err != nil {
					got <- 0
					return
				}
				res.Body.Close()
				got <- res.StatusCode
			}()
			out.Write([]byte("some"))
			<-arrived
			synctest.Wait() // what the connections say to each other at first has been said
			open := g.shut()
			t.Cleanup(open)
			go func() { // more than the backend's connection holds
				defer out.Close()
				for range 64 {
					if _, err := out.Write(make([]byte, 16<<10)); err != nil {
						return
					}
				}
			}()
			synctest.Wait()
			end(leave)
			if got := <-got; got != status {
				t.Errorf("status %d, want %d", got, status)
			}
			r.record()
			synctest.Wait() // the handler has returned
			open()
			synctest.Wait() // the writer has gone on
		})
	}
	f("a client of HTTP/2 that leaves", h2c, 0, func(leave func()) { leave() })
	f("a time-out of the route", h2c, 504, func(func()) {})
}

// TestStalledUpload: a client that stops in the middle of its body does not
// lengthen the route's time-out. net/http waits for the reader of a body before
// it gives up a call of HTTP/1.1.
func TestStalledUpload(t *testing.T) {
	reads := func(w http.ResponseWriter, req *http.Request) { io.Copy(io.Discard, req.Body) }
	f := func(name string, backend plan.Protocol, limit func(*plan.Rule)) {
		inBubble(t, "gateway-79 "+name, func(t *testing.T, r *rig) {
			b := r.backend("b", reads)
			b.Protocol = backend
			r.apply(simple(b, limit))
			c := r.dial()
			io.WriteString(c, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsome")
			began := time.Now()
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || res.StatusCode != 504 || !res.Close || time.Since(began) != 2*time.Second {
				t.Fatalf("%v, %v after %v", res, err, time.Since(began))
			}
			if got := r.record(); got.Outcome != engine.TimedOut || got.Code != string(engine.NoTime) {
				t.Errorf("record %s %s", got.Outcome, got.Code)
			}
		})
	}
	f("of the request", plan.HTTP, timeout(2*time.Second))
	f("of the request, with a backend of HTTP/2", plan.HTTP2, timeout(2*time.Second))
	f("of an attempt", plan.HTTP, func(r *plan.Rule) { r.Timeouts.Backend = 2 * time.Second })
	inBubble(t, "gateway-79 of a client of HTTP/2", func(t *testing.T, r *rig) {
		r.apply(simple(r.backend("b", reads), timeout(2*time.Second)))
		client := &http.Client{Transport: r.transport(func(tr *http.Transport) { tr.Protocols = new(http.Protocols); tr.Protocols.SetUnencryptedHTTP2(true) })}
		body, in := io.Pipe()
		go io.WriteString(in, "some")
		defer in.Close()
		began := time.Now()
		res, err := client.Post("http://x/upload", "text/plain", body)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != 504 || time.Since(began) != 2*time.Second {
			t.Errorf("%d after %v", res.StatusCode, time.Since(began))
		}
	})
	inBubble(t, "gateway-79 an upload that has ended keeps its connection", func(t *testing.T, r *rig) {
		r.apply(simple(r.backend("b", func(w http.ResponseWriter, req *http.Request) { reads(w, req); <-req.Context().Done() }), timeout(2*time.Second)))
		c := r.dial()
		b := bufio.NewReader(c)
		for range 2 {
			io.WriteString(c, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nsome")
			res, err := http.ReadResponse(b, nil)
			if err != nil || res.StatusCode != 504 || res.Close {
				t.Fatalf("%v, %v", res, err)
			}
			io.Copy(io.Discard, res.Body)
		}
	})
}

// TestBodyRoom: the bodies that are read whole share a room, which they take as
// they grow and leave with their requests.
func TestBodyRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, func(d *engine.Deps) { d.BodyLimit, d.BodyRoom = 64<<10, 96<<10 })
		r.apply(simple(r.backend("b", echo("b"))))
		chat := func(size int, length string) (net.Conn, func() *http.Response) {
			c := r.dial()
			io.WriteString(c, aiCall+length+"\r\n\r\n")
			io.WriteString(c, `{"model":"m","x":"`+strings.Repeat("x", size))
			synctest.Wait()
			return c, func() *http.Response {
				res, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, res.Body)
				return res
			}
		}
		one := func(length string) *http.Response {
			_, answer := chat(40<<10, length)
			return answer()
		}
		const whole, chunked = "Content-Length: 60000", "Transfer-Encoding: chunked\r\n\r\nF000"
		c, first := chat(60000-20, whole)
		for _, length := range []string{whole, chunked} {
			if res := one(length); res.StatusCode != 503 || res.Header.Get("Retry-After") != "1" {
				t.Errorf("%s: %v", length, res)
			}
			if got := r.record(); got.Code != "busy" || !strings.HasPrefix(got.Reason, "busy: ") {
				t.Errorf("%s: record %s %s", length, got.Code, got.Reason)
			}
		}
		if res, _ := r.send("POST", "http://x/v1/chat/completions", chatCall); res.StatusCode != 200 {
			t.Errorf("a small body beside it: %d", res.StatusCode)
		}
		r.record()
		io.WriteString(c, `"}`)
		if res := first(); res.StatusCode != 200 {
			t.Errorf("the first: %d", res.StatusCode)
		}
		r.record()
		if res, _ := r.send("POST", "http://x/v1/chat/completions", `{"model":"m","x":"`+strings.Repeat("x", 60000)+`"}`); res.StatusCode != 200 {
			t.Errorf("after it: %d", res.StatusCode)
		}
	})
}
