package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/plan"
)

// speak are the ways in which a client can reach a rig.
func speak(t *testing.T, f func(t *testing.T, r *rig, client *http.Client, d func(*draft) *draft)) {
	crt, key := newCertificate(t, "x")
	for _, way := range []struct {
		name   string
		secure bool
		change func(*http.Transport)
	}{
		{"HTTP 1.1", false, func(*http.Transport) {}},
		{"h2c", false, func(tr *http.Transport) { tr.Protocols = new(http.Protocols); tr.Protocols.SetUnencryptedHTTP2(true) }},
		{"HTTP 1.1 with TLS", true, func(tr *http.Transport) { tr.TLSClientConfig = trusting(crt, "x") }},
		{"h2", true, func(tr *http.Transport) { tr.TLSClientConfig, tr.ForceAttemptHTTP2 = trusting(crt, "x"), true }},
	} {
		t.Run(way.name, func(t *testing.T) {
			r := newRig(t, false)
			client := &http.Client{Transport: scheme{r.transport(way.change), way.secure}}
			f(t, r, client, func(d *draft) *draft {
				if way.secure {
					d.Ports[0].TLS = true
					d.Ports[0].Listeners[0].TLS = &plan.ServerTLS{Certificates: []string{"secret/ns/x"}}
					d.secret("secret/ns/x", "tls", "tls.crt", crt, "tls.key", key)
				}
				return d
			})
		})
	}
}

// scheme makes http URLs https ones.
type scheme struct {
	*http.Transport
	secure bool
}

func (s scheme) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.secure {
		r.URL.Scheme = "https"
	}
	return s.Transport.RoundTrip(r)
}

func TestEventsArriveWhenTheyAreSent(t *testing.T) {
	speak(t, func(t *testing.T, r *rig, client *http.Client, secure func(*draft) *draft) {
		next := make(chan string)
		b := r.backend("b", func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.(http.Flusher).Flush()
			for event := range next {
				io.WriteString(w, event)
				w.(http.Flusher).Flush()
			}
		})
		r.apply(secure(simple(b)))
		res, err := client.Get("http://x/") // answers although no event has been sent
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		for _, event := range []string{"data: 1\n\n", "data: 2\n\n", "data: " + strings.Repeat("x", 9000) + "\n\n", "data: 4\n\n"} {
			next <- event
			got := make([]byte, len(event))
			if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != event {
				t.Fatalf("got %q, %v", got, err)
			}
		}
		close(next)
		if rest, err := io.ReadAll(res.Body); err != nil || len(rest) != 0 {
			t.Errorf("end: %q, %v", rest, err)
		}
	})
}

func TestBothWaysAtOnce(t *testing.T) {
	speak(t, func(t *testing.T, r *rig, client *http.Client, secure func(*draft) *draft) {
		b := r.backend("b", func(w http.ResponseWriter, req *http.Request) {
			ctl := http.NewResponseController(w)
			ctl.EnableFullDuplex()
			for in := bufio.NewScanner(req.Body); in.Scan(); {
				io.WriteString(w, "got "+in.Text()+"\n")
				ctl.Flush()
			}
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", req.Trailer.Get("X-Sum")+req.Trailer.Get("X-Maas-Username")+req.Trailer.Get("X_maas_username")+req.Trailer.Get("X-Api-Key"))
		})
		b.Protocol = plan.HTTP2
		r.apply(secure(simple(b)))
		in, out := io.Pipe()
		req, _ := http.NewRequest("POST", "http://x/", in)
		req.Trailer = http.Header{"X-Sum": nil, "X-Maas-Username": {"root"}, "X_maas_username": {"root"}, "X-Api-Key": {"mine"}}
		lines := make(chan string)
		go func() {
			for line := range lines {
				io.WriteString(out, line+"\n")
			}
			req.Trailer["X-Sum"] = []string{"7"}
			out.Close()
		}()
		lines <- "first"
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		answers := bufio.NewReader(res.Body)
		for _, line := range []string{"first", "second", "third"} {
			if line != "first" {
				lines <- line
			}
			if got, err := answers.ReadString('\n'); got != "got "+line+"\n" {
				t.Fatalf("got %q, %v", got, err)
			}
		}
		close(lines)
		if rest, err := io.ReadAll(answers); err != nil || len(rest) != 0 {
			t.Errorf("end: %q, %v", rest, err)
		}
		if got := res.Trailer.Get("Grpc-Status"); got != "7" {
			t.Errorf("trailers %v", res.Trailer)
		}
	})
}

func TestDisconnectCancelsTheUpstream(t *testing.T) {
	speak(t, func(t *testing.T, r *rig, client *http.Client, secure func(*draft) *draft) {
		for _, when := range []string{"before the answer", "during the answer"} {
			arrived, gone := make(chan bool), make(chan bool)
			b := r.backend("b", func(w http.ResponseWriter, req *http.Request) {
				io.Copy(io.Discard, req.Body)
				if when == "during the answer" {
					io.WriteString(w, "data: 1\n\n")
					w.(http.Flusher).Flush()
				}
				arrived <- true
				<-req.Context().Done()
				gone <- true
			})
			r.apply(secure(simple(b)))
			ctx, cancel := context.WithCancel(t.Context())
			req, _ := http.NewRequestWithContext(ctx, "POST", "http://x/v1/chat/completions", strings.NewReader(`{"model":"m","stream":true}`))
			done := make(chan bool)
			go func() {
				defer close(done)
				if res, err := client.Do(req); err == nil {
					io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
			}()
			<-arrived
			cancel()
			<-gone
			<-done
			if got := r.record().Outcome; got != engine.ClientGone {
				t.Errorf("%s: outcome %s", when, got)
			}
		}
	})
}

// TestBroken shows what a client gets of an answer that the backend broke off.
func TestBroken(t *testing.T) {
	const chat = `{"model":"m","stream":true}`
	const event = `data: {"choices":[{"delta":{"content":"hi"}}]}` + "\n\n"
	const failed = "data: {\"error\":"
	f := func(name, answer string, wantStatus int, wantBody string) {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, false)
			r.apply(simple(r.raw("b", func(c net.Conn, b *bufio.Reader) {
				readRequest(b)
				io.WriteString(c, answer)
			})))
			for _, proto := range []string{"HTTP/1.1", "h2c"} {
				client := r.client
				if proto == "h2c" {
					client = &http.Client{Transport: r.transport(func(tr *http.Transport) { tr.Protocols = new(http.Protocols); tr.Protocols.SetUnencryptedHTTP2(true) })}
				}
				res, err := client.Post("http://x/v1/chat/completions", "application/json", strings.NewReader(chat))
				if err != nil && proto == "h2c" && len(wantBody) > smallBuffer {
					continue // the reset overtook what was sent
				}
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				if res.StatusCode != wantStatus || (err != nil) != (wantStatus == 200) || !strings.HasPrefix(string(body), wantBody) {
					t.Errorf("%s: %d %q, %v; want %d %q", proto, res.StatusCode, body, err, wantStatus, wantBody)
				}
				if got := r.record(); got.Outcome != engine.UpstreamGone || got.Reason == "" {
					t.Errorf("%s: record %s %q", proto, got.Outcome, got.Reason)
				}
			}
		})
	}
	head := func(fields string) string {
		return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + fields + "\r\n"
	}
	chunk := func(s string) string { return string(strconvHex(len(s))) + "\r\n" + s + "\r\n" }
	f("a stream, between events", head("Transfer-Encoding: chunked\r\n")+chunk(event), 200, event+failed)
	f("a stream, in mid-event", head("Transfer-Encoding: chunked\r\n")+chunk(event+"data: {\"cho"), 200, event+failed)
	f("a stream that only its connection ends", head("")+event, 200, event+failed)
	f("an answer of which nothing was sent", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"id\":", 502, `{"error":`)
	f("no answer", "", 502, `{"error":`)
	f("garbage", "\x00\x01garbage\r\n\r\n", 502, `{"error":`)
	big := strings.Repeat("x", 3*largeBuffer)
	f("a large answer is cut", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"+big, 200, big[:largeBuffer])
}

// TestHalfAnswers: half a stream is what its caller has read, and counts; half
// an answer that is no stream is of no use, and is free, as on Envoy.
func TestHalfAnswers(t *testing.T) {
	f := func(name, contentType, piece string, charged bool) {
		inBubble(t, name, func(t *testing.T, r *rig) {
			r.apply(simple(r.raw("b", func(c net.Conn, b *bufio.Reader) {
				readRequest(b)
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: "+contentType+"\r\nContent-Length: 1000\r\n\r\n")
				for range 2 {
					io.WriteString(c, piece)
					synctest.Wait() // it has passed
				}
			})))
			res, err := r.client.Post("http://x/v1/chat/completions", "application/json", strings.NewReader(chatCall))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err == nil || !strings.HasPrefix(string(body), piece+piece) {
				t.Errorf("got %q, %v", body, err)
			}
			if got := r.record(); got.Outcome != engine.UpstreamGone || got.Status != 200 || got.Code != "" || got.Reason == "" || (got.Usage.Total > 0) != charged {
				t.Errorf("record %+v", got)
			}
		})
	}
	f("maas-100 of a stream", "text/event-stream", `data: {"choices":[{"delta":{"content":"hi"}}]}`+"\n\n", true)
	f("of a unary call", "application/json", `{"choices":[{"message":{"content":"hi"}}],"usage":{"total_tokens":7},`, false)
}

// TestCutStreamsAreRecorded: what is behind the engine ends with Shutdown, and
// a stream that the end of the drain cuts has been accounted for by then.
func TestCutStreamsAreRecorded(t *testing.T) {
	for _, way := range []struct {
		name   string
		change func(*http.Transport)
	}{
		{"HTTP 1.1", nil},
		{"h2c", func(tr *http.Transport) { tr.Protocols = new(http.Protocols); tr.Protocols.SetUnencryptedHTTP2(true) }},
	} {
		inBubble(t, way.name, func(t *testing.T, r *rig) {
			r.ledger = time.Second
			r.apply(simple(r.backend("b", events(1500*time.Millisecond, 1000)))) // none at the moment of the cut
			client := &http.Client{Transport: r.transport(way.change)}
			res, err := client.Post("http://x/v1/chat/completions", "application/json", strings.NewReader(`{"model":"m","stream":true}`))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			go io.Copy(io.Discard, res.Body)
			r.server.Shutdown()
			select {
			case got := <-r.records:
				if got.Outcome != engine.UpstreamGone || got.Usage.Total == 0 {
					t.Errorf("record %+v", got)
				}
			default:
				t.Error("there is no record")
			}
		})
	}
}

func strconvHex(n int) []byte {
	var b []byte
	for ; n > 0; n >>= 4 {
		b = append([]byte{"0123456789abcdef"[n&15]}, b...)
	}
	return b
}

func TestStreamThatEndsWell(t *testing.T) {
	r := newRig(t, false)
	const stream = `data: {"choices":[]}` + "\n\ndata: [DONE]\n\n"
	r.apply(simple(r.raw("b", func(c net.Conn, b *bufio.Reader) {
		readRequest(b)
		io.WriteString(c, "HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"+stream)
	})))
	if _, body := r.send("POST", "http://x/v1/chat/completions", `{"model":"m","stream":true}`); body != stream {
		t.Errorf("got %q", body)
	}
	if got := r.record().Outcome; got != engine.Done {
		t.Errorf("outcome %s", got)
	}
}

func TestEarlyAnswer(t *testing.T) {
	r := newRig(t, false)
	r.apply(simple(r.raw("b", func(c net.Conn, b *bufio.Reader) {
		http.ReadRequest(b) // the head alone
		io.WriteString(c, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
		io.Copy(io.Discard, b)
	})))
	c := r.dial()
	io.WriteString(c, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nsome")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if res.StatusCode != 401 || string(body) != "no" || err != nil || !res.Close {
		t.Errorf("%d %q, %v, close %v", res.StatusCode, body, err, res.Close)
	}
}

// TestKeptConnection: a backend closes its kept connection when the next
// request arrives on it. A body that was read whole is sent again, a body that
// streams cannot be, and a backend that always does it is given up.
func TestKeptConnection(t *testing.T) {
	f := func(name string, path string, chunked, parent bool, second int) {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, false)
			var conns atomic.Int32
			p := simple(r.raw("b", func(c net.Conn, b *bufio.Reader) {
				conns.Add(1)
				if _, body := readRequest(b); body != "" {
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
					readRequest(b) // and closes instead of an answer
				}
			}))
			p.Backends[0].Parent = parent
			r.apply(p)
			for _, want := range []int{200, second} {
				var body io.Reader = strings.NewReader(`{"model":"m"}`)
				if chunked {
					body = io.MultiReader(body) // of unknown length
				}
				res, err := r.client.Post("http://x"+path, "application/json", body)
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if res.StatusCode != want {
					t.Errorf("status %d, want %d", res.StatusCode, want)
				}
			}
		})
	}
	f("an AI call is sent again", "/v1/chat/completions", false, false, 200)
	f("an upload is not", "/upload", true, false, 502)
	f("gateway-115 nor is a call to a parent gateway, which tries again itself", "/v1/chat/completions", false, true, 502)
}

func TestRetryWithoutUsage(t *testing.T) {
	r := newRig(t, false)
	bodies := make(chan string, 9)
	d := simple(r.backend("b", func(w http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		bodies <- string(b)
		http.Error(w, `{"error":{"message":"unknown field stream_options"}}`, http.StatusBadRequest)
	}))
	r.apply(d)
	res, body := r.send("POST", "http://x/v1/chat/completions", `{"model":"m","stream":true}`)
	if res.StatusCode != 400 || !strings.Contains(body, "stream_options") {
		t.Errorf("%d %q", res.StatusCode, body)
	}
	if len(bodies) != 2 {
		t.Fatalf("%d tries", len(bodies))
	}
	if first, second := <-bodies, <-bodies; !strings.Contains(first, "include_usage") || second != `{"model":"m","stream":true}` {
		t.Errorf("sent %q, then %q", first, second)
	}
}

func TestPipe(t *testing.T) {
	t.Run("what was written before Close is read", func(t *testing.T) {
		a, b := pipe("x")
		a.Write([]byte("bye"))
		a.Close()
		if got, err := io.ReadAll(b); string(got) != "bye" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := b.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("write to a closed peer: %v", err)
		}
	})
	t.Run("more than there is room for", func(t *testing.T) {
		a, b := pipe("x")
		want := bytes.Repeat([]byte("0123456789"), 100_000)
		go func() {
			a.Write(want)
			a.Close()
		}()
		if got, err := io.ReadAll(b); !cmp.Equal(got, want) || err != nil {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
	inBubble(t, "deadlines", func(t *testing.T, _ *rig) {
		a, b := pipe("x")
		began := time.Now()
		a.SetReadDeadline(began.Add(time.Second))
		if _, err := a.Read(make([]byte, 1)); err == nil || !err.(net.Error).Timeout() || time.Since(began) != time.Second {
			t.Errorf("read: %v after %v", err, time.Since(began))
		}
		a.SetWriteDeadline(began.Add(3 * time.Second))
		if n, err := a.Write(make([]byte, pipeRoom+1)); n != pipeRoom || err == nil || time.Since(began) != 3*time.Second {
			t.Errorf("write: %d, %v after %v", n, err, time.Since(began))
		}
		a.SetDeadline(time.Time{})
		b.Close()
		if _, err := a.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after the peer's Close: %v", err)
		}
		a.Close()
	})
	t.Run("a dial that nobody accepts ends with its context", func(t *testing.T) {
		m := NewMemory("x")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := m.Dial(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		m.Close()
		if _, err := m.Dial(t.Context()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("error %v", err)
		}
	})
}

// TestWrites: system calls are most of what a request costs.
func TestWrites(t *testing.T) {
	inBubble(t, "a unary call is one write each way", func(t *testing.T, r *rig) {
		r.apply(simple(r.raw("b", answering(unaryAnswer))))
		for range 2 {
			if res, _ := r.send("POST", "http://x/v1/chat/completions", chatCall); res.StatusCode != 200 {
				t.Fatalf("status %d", res.StatusCode)
			}
			synctest.Wait()
			if up, down := r.upstream.take(), r.downstream.take(); len(up) != 1 || len(down) != 1 {
				t.Errorf("up %q\ndown %q", up, down)
			}
		}
	})
	inBubble(t, "so is one whose length nobody knows", func(t *testing.T, r *rig) {
		r.apply(simple(r.backend("b", func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.(http.Flusher).Flush()
			io.WriteString(w, "{}")
		})))
		r.send("POST", "http://x/v1/chat/completions", chatCall)
		synctest.Wait()
		if down := r.downstream.take(); len(down) != 1 {
			t.Errorf("down %q", down)
		}
	})
	inBubble(t, "an event is one write, and so are events that come together", func(t *testing.T, r *rig) {
		more := make(chan string)
		r.apply(simple(r.raw("b", func(c net.Conn, b *bufio.Reader) {
			readRequest(b)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
			for s := range more {
				io.WriteString(c, s)
			}
		})))
		res, err := r.client.Post("http://x/v1/chat/completions", "application/json", strings.NewReader(`{"model":"m","stream":true}`))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		synctest.Wait()
		r.downstream.take()
		chunk := string(strconvHex(len(benchEvent))) + "\r\n" + benchEvent + "\r\n"
		for _, n := range []int{1, 1, 3} {
			more <- strings.Repeat(chunk, n)
			synctest.Wait()
			if down := r.downstream.take(); len(down) != 1 || strings.Count(down[0], "data: ") != n {
				t.Errorf("down %q", down)
			}
		}
		more <- "0\r\n\r\n"
		close(more)
	})
	inBubble(t, "an upload leaves both connections open", func(t *testing.T, r *rig) {
		r.apply(simple(r.backend("b", func(w http.ResponseWriter, req *http.Request) { io.Copy(io.Discard, req.Body) })))
		for range 3 {
			if res, _ := r.send("POST", "http://x/upload", "whole"); res.Close {
				t.Error("the connection is closed")
			}
		}
	})
}

func TestInner(t *testing.T) {
	r := newRig(t, false)
	outer := r.server.o.Listen
	r.server.o.Listen = func(g string, p *plan.Port) (net.Listener, error) {
		if g == "ns/inner" {
			return NewMemory(g), nil
		}
		return outer(g, p)
	}
	b := r.backend("b", echo("b"))
	d := simple(plan.Backend{Name: "hop", Protocol: plan.HTTP, Endpoints: []plan.Endpoint{{Gateway: "ns/inner", Port: 80}}})
	d.listener(81, "inner", "").route("inner", prefix("/"), b)
	d.Ports[1].Gateway, d.Ports[1].Number = "ns/inner", 80
	r.apply(d)
	if res, body := r.send("GET", "http://x/y", ""); res.StatusCode != 200 || body != "b GET x/y" {
		t.Errorf("%d %q", res.StatusCode, body)
	}
	got := map[string]bool{}
	for range 2 {
		x := r.record()
		got[x.Gateway] = x.Inner
	}
	if want := map[string]bool{"ns/gw": false, "ns/inner": true}; !cmp.Equal(got, want) {
		t.Errorf("inner: %v", got)
	}
}
