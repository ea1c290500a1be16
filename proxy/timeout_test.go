package proxy

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/plan"
)

// inBubble runs a test in memory and under a clock of its own, which jumps
// whenever everybody waits.
func inBubble(t *testing.T, name string, f func(t *testing.T, r *rig)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { f(t, newRig(t, true)) })
	})
}

// slow answers after a while.
func slow(after time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(after):
			io.WriteString(w, "late")
		case <-r.Context().Done():
		}
	}
}

func TestTimeouts(t *testing.T) {
	f := func(name string, answer time.Duration, status int, took time.Duration, tweaks ...func(*plan.Rule)) {
		inBubble(t, name, func(t *testing.T, r *rig) {
			r.apply(simple(r.backend("b", slow(answer)), tweaks...))
			began := time.Now()
			res, _ := r.send("GET", "http://x/", "")
			if res.StatusCode != status || time.Since(began) != took {
				t.Errorf("%d after %v, want %d after %v", res.StatusCode, time.Since(began), status, took)
			}
			if got := r.record().Outcome; status == 504 && got != engine.TimedOut {
				t.Errorf("outcome %s", got)
			}
		})
	}
	f("gateway-79 300s outlasts 100s", 100*time.Second, 200, 100*time.Second, timeout(300*time.Second))
	f("gateway-79 2s is over at 2s", 100*time.Second, 504, 2*time.Second, timeout(2*time.Second))
	f("gateway-79 0s is no limit", 30*time.Hour, 200, 30*time.Hour, timeout(plan.NoLimit))
	f("gateway-79 the default is 1h", 2*time.Hour, 504, time.Hour)
	f("gateway-80 the idle time does not run before the answer begins", 50*time.Minute, 200, 50*time.Minute)
	inBubble(t, "gateway-79 a body that streamed does not shorten it", func(t *testing.T, r *rig) {
		r.apply(simple(r.backend("b", slow(50*time.Minute))))
		if res, body := r.send("POST", "http://x/upload", "whole"); res.StatusCode != 200 || body != "late" {
			t.Errorf("%d %q", res.StatusCode, body)
		}
	})
	f("one attempt", time.Hour, 504, 3*time.Second, func(r *plan.Rule) { r.Timeouts.Backend = 3 * time.Second })

	h2c := func(tr *http.Transport) { tr.Protocols = new(http.Protocols); tr.Protocols.SetUnencryptedHTTP2(true) }
	inBubble(t, "gateway-79 the answer that says so arrives over HTTP/2 too", func(t *testing.T, r *rig) {
		r.apply(simple(r.backend("b", slow(time.Hour)), timeout(2*time.Second)))
		client := &http.Client{Transport: r.transport(h2c)}
		for range 50 { // a timer and a writer raced
			res, err := client.Get("http://x/")
			if err != nil {
				t.Fatal(err)
			}
			if res.Body.Close(); res.StatusCode != 504 {
				t.Fatalf("status %d", res.StatusCode)
			}
		}
	})
	inBubble(t, "gateway-79 and so does the error event of a stream", func(t *testing.T, r *rig) {
		r.apply(simple(r.backend("b", events(1500*time.Millisecond, 5)), timeout(2*time.Second)))
		client := &http.Client{Transport: r.transport(h2c)}
		for range 50 {
			res, err := client.Post("http://x/v1/chat/completions", "application/json", strings.NewReader(`{"model":"m","stream":true}`))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			if res.Body.Close(); err == nil || !strings.Contains(string(body), `"error"`) {
				t.Fatalf("got %q, %v", body, err)
			}
		}
	})

	inBubble(t, "gateway-81 the time is told upstream", func(t *testing.T, r *rig) {
		b := r.backend("b", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, r.Header.Get("X-Envoy-Expected-Rq-Timeout-Ms"))
		})
		r.apply(simple(b))
		if _, body := r.send("GET", "http://x/", ""); body != "3600000" {
			t.Errorf("got %q", body)
		}
	})
	inBubble(t, "connecting takes 10s at most", func(t *testing.T, r *rig) {
		_, b := r.at("nobody") // listens, never accepts
		r.apply(simple(b))
		began := time.Now()
		if res, _ := r.send("GET", "http://x/", ""); res.StatusCode != 502 || time.Since(began) != 10*time.Second {
			t.Errorf("%d after %v", res.StatusCode, time.Since(began))
		}
	})
}

// TestLastWords: the answer that says that the request's time is over is written
// after its end, and is not cut off by it.
func TestLastWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		w := &watch{ctl: http.NewResponseController(httptest.NewRecorder()), cancel: cancel}
		w.until(time.Now().Add(2 * time.Second))
		time.Sleep(2 * time.Second)
		began := time.Now()
		w.begin(forClient, stall)
		<-ctx.Done()
		if took := time.Since(began); took != stall {
			t.Errorf("cut off after %v, want %v", took, stall)
		}
	})
}

// events sends a number of them with a pause before each.
func events(pause time.Duration, n int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range n {
			select {
			case <-time.After(pause):
			case <-r.Context().Done():
				return
			}
			io.WriteString(w, "data: {}\n\n")
			http.NewResponseController(w).Flush()
		}
	}
}

func TestIdle(t *testing.T) {
	f := func(name string, pause time.Duration, whole bool, tweaks ...func(*plan.Rule)) {
		inBubble(t, name, func(t *testing.T, r *rig) {
			r.apply(simple(r.backend("b", events(pause, 5)), tweaks...))
			res, err := r.client.Get("http://x/")
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if (err == nil) != whole || whole && string(body) != strings.Repeat("data: {}\n\n", 5) {
				t.Errorf("got %q, %v", body, err)
			}
			if got := r.record().Outcome; !whole && got != engine.TimedOut || whole && got != engine.Done {
				t.Errorf("outcome %s", got)
			}
		})
	}
	f("gateway-80 60s between events", 60*time.Second, true)
	f("301s between events", 301*time.Second, false)
	f("an explicit time-out decides alone", 301*time.Second, true, timeout(time.Hour))
	f("an explicit time-out cuts a stream", 301*time.Second, false, timeout(1000*time.Second))
	f("no limit at all", 30*time.Hour, true, timeout(plan.NoLimit))
}

func TestSlowClients(t *testing.T) {
	inBubble(t, "a reader that takes nothing for 60s is cut off", func(t *testing.T, r *rig) {
		gone := make(chan struct{})
		r.apply(simple(r.backend("b", func(w http.ResponseWriter, req *http.Request) {
			defer close(gone)
			for req.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		})))
		c := r.dial()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		began := time.Now()
		<-gone
		if took := time.Since(began); took != stall {
			t.Errorf("took %v", took)
		}
		if got := r.record().Outcome; got != engine.ClientGone {
			t.Errorf("outcome %s", got)
		}
	})
	inBubble(t, "so is one that does not take the last bytes", func(t *testing.T, r *rig) {
		r.apply(simple(r.backend("b", func(w http.ResponseWriter, req *http.Request) { w.Write(make([]byte, pipeRoom+1000)) })))
		c := r.dial()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		time.Sleep(stall + time.Second)
		if got, err := io.ReadAll(c); len(got) != pipeRoom || err != nil {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
	inBubble(t, "and a stream of HTTP/2 whose window stays shut", func(t *testing.T, r *rig) {
		r.apply(simple(r.backend("b", func(w http.ResponseWriter, req *http.Request) {
			for req.Context().Err() == nil {
				w.Write(make([]byte, 64<<10))
			}
		})))
		client := &http.Client{Transport: r.transport(func(tr *http.Transport) { tr.Protocols = new(http.Protocols); tr.Protocols.SetUnencryptedHTTP2(true) })}
		res, err := client.Get("http://x/")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		began := time.Now()
		if got := r.record().Outcome; got != engine.ClientGone || time.Since(began) != stall {
			t.Errorf("%s after %v", got, time.Since(began))
		}
	})
	inBubble(t, "a body that is read whole and stops, on HTTP/2", func(t *testing.T, r *rig) {
		r.apply(simple(r.backend("b", echo("b"))))
		client := &http.Client{Transport: r.transport(func(tr *http.Transport) { tr.Protocols = new(http.Protocols); tr.Protocols.SetUnencryptedHTTP2(true) })}
		body, in := io.Pipe()
		go io.WriteString(in, `{"model":`)
		defer in.Close()
		began := time.Now()
		res, err := client.Post("http://x/v1/chat/completions", "application/json", body)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if took := time.Since(began).Truncate(time.Second); res.StatusCode != 408 || took != grace {
			t.Errorf("%d after %v", res.StatusCode, took)
		}
	})
	inBubble(t, "one byte a second is too slow", func(t *testing.T, r *rig) {
		r.apply(simple(r.backend("b", echo("b"))))
		c := r.dial()
		io.WriteString(c, aiCall+"Content-Length: 1000\r\n\r\n")
		began := time.Now()
		var drip sync.WaitGroup
		drip.Go(func() {
			for range 100 {
				time.Sleep(time.Second)
				if _, err := c.Write([]byte(" ")); err != nil {
					return
				}
			}
		})
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || res.StatusCode != 408 || time.Since(began) > grace+2*linger {
			t.Errorf("%v, %v after %v", res, err, time.Since(began))
		}
		c.Close()
		drip.Wait()
	})
	inBubble(t, "a body that streams may pause for the idle time", func(t *testing.T, r *rig) {
		r.apply(simple(r.backend("b", func(w http.ResponseWriter, req *http.Request) { io.Copy(io.Discard, req.Body) })))
		c := r.dial()
		io.WriteString(c, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsome")
		began := time.Now()
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || res.StatusCode != 408 || time.Since(began) != plan.DefaultIdleTimeout {
			t.Errorf("%v, %v after %v", res, err, time.Since(began))
		}
	})
	inBubble(t, "gateway-79 also where the route sets no limit: 0s is about the answer", func(t *testing.T, r *rig) {
		p := simple(r.backend("b", func(w http.ResponseWriter, req *http.Request) { io.Copy(io.Discard, req.Body) }))
		p.Rules[0].Timeouts = plan.Timeouts{Request: plan.NoLimit, Explicit: true}
		r.apply(p)
		c := r.dial()
		io.WriteString(c, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsome")
		began := time.Now()
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || res.StatusCode != 408 || time.Since(began) != plan.DefaultIdleTimeout {
			t.Errorf("%v, %v after %v", res, err, time.Since(began))
		}
	})
	inBubble(t, "a refusal waits for 2s of the body at most, and the next request is not in it", func(t *testing.T, r *rig) {
		r.apply(newDraft().listener(80, "http", ""))
		c := r.dial()
		io.WriteString(c, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsome")
		began, b := time.Now(), bufio.NewReader(c)
		res, err := http.ReadResponse(b, nil)
		if err != nil || res.StatusCode != 404 || !res.Close || time.Since(began) != linger {
			t.Fatalf("%v, %v after %v", res, err, time.Since(began))
		}
		io.Copy(io.Discard, res.Body)
		io.WriteString(c, "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
		if rest, _ := io.ReadAll(b); len(rest) != 0 {
			t.Errorf("the connection went on: %q", rest)
		}
	})
	inBubble(t, "a whole body that is refused leaves the connection open", func(t *testing.T, r *rig) {
		r.apply(newDraft().listener(80, "http", ""))
		c := r.dial()
		b := bufio.NewReader(c)
		for range 3 {
			io.WriteString(c, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nsome")
			res, err := http.ReadResponse(b, nil)
			if err != nil || res.StatusCode != 404 || res.Close {
				t.Fatalf("%v, %v", res, err)
			}
			io.Copy(io.Discard, res.Body)
		}
	})
	inBubble(t, "an idle connection is closed after 120s", func(t *testing.T, r *rig) {
		r.apply(newDraft().listener(80, "http", ""))
		c := r.dial()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		began := time.Now()
		io.Copy(io.Discard, c)
		if took := time.Since(began); took != keepAlive {
			t.Errorf("took %v", took)
		}
	})
}

func TestUpgrade(t *testing.T) {
	// parrot switches to a protocol in which every byte comes back.
	parrot := func(c net.Conn, b *bufio.Reader) {
		if req, _ := readRequest(b); req == nil || req.Header.Get("Upgrade") != "websocket" {
			io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
			return
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
		io.Copy(c, b)
	}
	open := func(t *testing.T, r *rig) (net.Conn, *bufio.Reader) {
		t.Helper()
		c := r.dial()
		io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		b := bufio.NewReader(c)
		res, err := http.ReadResponse(b, nil)
		if err != nil || res.StatusCode != 101 {
			t.Fatalf("%v, %v", res, err)
		}
		return c, b
	}
	expect := func(t *testing.T, b *bufio.Reader, want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(b, got); err != nil || string(got) != want {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	inBubble(t, "both ways, beyond the request's time, until the client ends", func(t *testing.T, r *rig) {
		r.apply(simple(r.raw("b", parrot)))
		c, b := open(t, r)
		expect(t, b, "hello")
		for range 30 {
			time.Sleep(250 * time.Second)
			io.WriteString(c, "ping")
			expect(t, b, "ping")
		}
		c.Close()
		if got := r.record(); got.Outcome != engine.Done || got.Status != 101 || got.Sent != 5+30*4 {
			t.Errorf("record %+v", got)
		}
	})
	inBubble(t, "silence for the idle time ends it", func(t *testing.T, r *rig) {
		r.apply(simple(r.raw("b", parrot)))
		_, b := open(t, r)
		began := time.Now()
		io.Copy(io.Discard, b)
		if got := r.record().Outcome; got != engine.TimedOut || time.Since(began) != plan.DefaultIdleTimeout {
			t.Errorf("%s after %v", got, time.Since(began))
		}
	})
	inBubble(t, "an explicit time-out decides alone", func(t *testing.T, r *rig) {
		r.apply(simple(r.raw("b", parrot), timeout(time.Hour)))
		_, b := open(t, r)
		began := time.Now()
		io.Copy(io.Discard, b)
		if got := r.record().Outcome; got != engine.TimedOut || time.Since(began) != time.Hour {
			t.Errorf("%s after %v", got, time.Since(began))
		}
	})
	inBubble(t, "the drain waits for its time, then cuts", func(t *testing.T, r *rig) {
		r.apply(simple(r.raw("b", parrot)))
		_, b := open(t, r)
		began := time.Now()
		r.server.Shutdown()
		io.Copy(io.Discard, b)
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("took %v", took)
		}
	})
	inBubble(t, "a switch that nobody asked for is no answer", func(t *testing.T, r *rig) {
		r.apply(simple(r.raw("b", func(c net.Conn, b *bufio.Reader) {
			readRequest(b)
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		})))
		if res, _ := r.send("GET", "http://x/", ""); res.StatusCode != 502 {
			t.Errorf("status %d", res.StatusCode)
		}
	})
	inBubble(t, "a refused upgrade is an answer like any other", func(t *testing.T, r *rig) {
		r.apply(simple(r.backend("b", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusUpgradeRequired) })))
		if res, body := r.send("GET", "http://x/", "", "Connection", "Upgrade", "Upgrade", "websocket"); res.StatusCode != 426 || body != "no\n" {
			t.Errorf("%d %q", res.StatusCode, body)
		}
	})
}
