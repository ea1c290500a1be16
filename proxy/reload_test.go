package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/egret-gateway/egret/plan"
)

// TestReload changes routes, certificates and listeners under unary calls and
// open streams: nobody sees an error and nothing is cut short. EGRET_RELOADS
// makes it longer.
func TestReload(t *testing.T) {
	reloads := 40
	if n, err := strconv.Atoi(os.Getenv("EGRET_RELOADS")); err == nil {
		reloads = n
	}
	const callers, streams, between = 6, 50, 10
	r := newRig(t, false)
	over := make(chan struct{})
	pace := &pace{next: make(chan struct{})}
	b := r.backend("b", func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		if req.URL.Path != "/v1/chat/completions" {
			w.Write(body)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for i := 0; ; i++ {
			next := pace.wait()
			fmt.Fprintf(w, "data: {\"n\":%d}\n\n", i)
			http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-over:
				fmt.Fprintf(w, "data: {\"last\":%d}\n\ndata: [DONE]\n\n", i+1)
				return
			case <-req.Context().Done():
				return
			}
		}
	})
	crt, key := newCertificate(t, "x")
	crt2, key2 := newCertificate(t, "x")
	build := func(i int) *draft {
		d := newDraft().listener(80, "https", "", "secret/ns/x")
		if i%3 == 0 {
			d.listener(81, "more", "")
		}
		if i%2 == 0 {
			d.secret("secret/ns/x", "tls", "tls.crt", crt, "tls.key", key)
		} else {
			d.secret("secret/ns/x", "tls", "tls.crt", crt2, "tls.key", key2)
		}
		b := b
		if i%4 == 3 {
			b.Protocol = plan.HTTP2
		}
		return d.route("https", exact("/r"+strconv.Itoa(i)), b).route("https", prefix("/"), b)
	}
	r.apply(build(0))
	config := trusting(crt+crt2, "x")
	client := &http.Client{Transport: r.transport(func(tr *http.Transport) { tr.TLSClientConfig = config.Clone() })}
	var work sync.WaitGroup
	var whole atomic.Int64
	for range streams {
		work.Go(func() {
			if err := follow(client); err != nil {
				t.Error("stream: ", err)
				return
			}
			whole.Add(1)
		})
	}
	ctx, stop := context.WithCancel(t.Context())
	called := make(chan struct{})
	for i := range callers {
		work.Go(func() {
			own := &http.Client{Transport: r.transport(func(tr *http.Transport) { tr.TLSClientConfig, tr.ForceAttemptHTTP2 = config.Clone(), i%2 == 0 })}
			for n := 0; ctx.Err() == nil; n++ {
				if n%20 == 19 {
					own.CloseIdleConnections() // and shakes hands again
				}
				body := strings.Repeat("b", n%3000+1)
				res, err := own.Post("https://x/echo", "text/plain", strings.NewReader(body))
				if err != nil {
					t.Error("call: ", err)
					return
				}
				got, err := io.ReadAll(res.Body)
				res.Body.Close()
				if string(got) != body || err != nil || res.StatusCode != 200 {
					t.Errorf("call: %d, %d bytes of %d, %v", res.StatusCode, len(got), len(body), err)
					return
				}
				select {
				case called <- struct{}{}:
				case <-ctx.Done():
				}
			}
		})
	}
	for i := range reloads {
		for range between {
			<-called
		}
		r.apply(build(i + 1))
		pace.tick()
	}
	close(over)
	stop()
	work.Wait()
	if got := whole.Load(); got != streams {
		t.Errorf("%d of %d streams ended well", got, streams)
	}
}

// pace wakes all streams at once.
type pace struct {
	mu   sync.Mutex
	next chan struct{}
}

func (p *pace) wait() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next
}

func (p *pace) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.next)
	p.next = make(chan struct{})
}

// follow reads a stream and checks that its events are all there.
func follow(client *http.Client) error {
	res, err := client.Post("https://x/v1/chat/completions", "application/json", strings.NewReader(`{"model":"m","stream":true,"stream_options":{"include_usage":true}}`))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	next, last := 0, false
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		switch line := lines.Text(); line {
		case "":
		case fmt.Sprintf("data: {\"n\":%d}", next):
			next++
		case fmt.Sprintf("data: {\"last\":%d}", next):
			last = true
		case "data: [DONE]":
			if !last {
				return fmt.Errorf("the end came after event %d", next)
			}
			_, err := io.Copy(io.Discard, res.Body)
			return err
		default:
			return fmt.Errorf("event %d is %q", next, line)
		}
	}
	return fmt.Errorf("cut after event %d", next)
}
