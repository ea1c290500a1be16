package provider

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/egret-gateway/egret/plan"
)

// site is a server in memory.
type site struct {
	conns chan net.Conn
	done  chan struct{}
}

func newSite(t *testing.T, h http.Handler) *site {
	s := &site{conns: make(chan net.Conn), done: make(chan struct{})}
	server := &http.Server{Handler: h}
	go server.Serve(s)
	t.Cleanup(func() { server.Close() })
	return s
}

func (s *site) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}
func (s *site) Close() error   { close(s.done); return nil }
func (s *site) Addr() net.Addr { return &net.TCPAddr{} }

// TestAddressChange: when a name leads elsewhere, new requests follow, also on
// connections that are never idle, and a stream that is open goes on to its end
// where it began.
func TestAddressChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		more := make(chan string)
		serve := func(name string) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/stream" {
					io.WriteString(w, name)
					return
				}
				for {
					io.WriteString(w, name+"\n")
					w.(http.Flusher).Flush()
					if _, open := <-more; !open {
						return
					}
				}
			})
		}
		sites := map[string]*site{"192.0.2.1": newSite(t, serve("old")), "192.0.2.2": newSite(t, serve("new"))}
		z := &zone{names: map[string]string{"a.test": "192.0.2.1"}}
		d := &Dialer{Lookup: z.lookup, connect: func(ctx context.Context, at netip.AddrPort) (net.Conn, error) {
			near, far := net.Pipe()
			sites[at.Addr().String()].conns <- far
			return near, nil
		}}
		p := NewPool(d)
		pl := &plan.Plan{Backends: []plan.Backend{{Name: "b", Host: "a.test", Port: 80, Protocol: plan.HTTP}}}
		p.Load(pl)
		defer p.Close()
		get := func(path string) *http.Response {
			t.Helper()
			tr, scheme, address, err := p.Links().Target(&pl.Backends[0])
			if err != nil {
				t.Fatal(err)
			}
			req, _ := http.NewRequest(http.MethodGet, scheme+"://"+address+path, nil)
			res, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			return res
		}
		answer := func() string {
			res := get("/")
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		stream := get("/stream")
		pieces := bufio.NewScanner(stream.Body)
		pieces.Scan()
		z.set("a.test", "192.0.2.2")
		var last time.Duration // that the old one served
		for begun := time.Now(); time.Since(begun) < 2*connectionLife; time.Sleep(time.Second) {
			if answer() == "old" {
				last = time.Since(begun)
			}
		}
		if last >= connectionLife {
			t.Errorf("the old address got requests for %v", last)
		}
		more <- ""
		if !pieces.Scan() || pieces.Text() != "old" {
			t.Errorf("the stream went on with %q, %v", pieces.Text(), pieces.Err())
		}
		close(more)
		if pieces.Scan() || pieces.Err() != nil {
			t.Errorf("the stream ended with %q, %v", pieces.Text(), pieces.Err())
		}
		stream.Body.Close()
		time.Sleep(2 * idleTime)
		if got := answer(); got != "new" {
			t.Errorf("in the end %q serves", got)
		}
	})
}

// TestSharedConfig: transports that follow one another share no state of TLS,
// which net/http writes into.
func TestSharedConfig(t *testing.T) {
	p := NewPool(&Dialer{})
	w, err := p.way(&plan.Backend{Host: "a.test", Port: 443, Protocol: plan.HTTP2, TLS: &plan.ClientTLS{}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if one, two := w.fresh(), w.fresh(); one.TLSClientConfig == two.TLSClientConfig {
		t.Error("one configuration for two transports")
	}
}
