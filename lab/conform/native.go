package conform

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/provider"
	"github.com/egret-gateway/egret/proxy"
)

// Response is an answer whose body is still on its way. Closing it before its
// end is leaving.
type Response struct {
	Status int
	Header http.Header
	Body   io.ReadCloser
}

// native is the Go plane behind listeners in memory.
type native struct {
	server *proxy.Server
	pool   *provider.Pool
	doors  map[string]*pipe // by gateway and port
}

// newNative serves the world's plan.
func newNative(ctx context.Context, w *World) (Body, error) {
	n := &native{doors: map[string]*pipe{}}
	behind := inner(w.Plan)
	n.pool = provider.NewPool(&provider.Dialer{
		Gateway: func(ctx context.Context, gateway string, port int32) (net.Conn, error) {
			return n.server.Dial(ctx, gateway, port)
		},
		Memory: func(ctx context.Context, host string, _ int32) (net.Conn, bool, error) {
			if strings.HasPrefix(host, beyond) {
				return nil, false, nil
			}
			c, err := w.upstream.dial(ctx, host)
			return c, true, err
		},
	})
	n.server = proxy.New(proxy.Options{
		Engine: w.Engine, Pool: n.pool, Log: slog.New(slog.DiscardHandler),
		Listen: func(gateway string, p *plan.Port) (net.Listener, error) {
			if behind[gateway] {
				return proxy.NewMemory(gateway), nil
			}
			l := newPipe()
			n.doors[door(gateway, p.Number)] = l
			return l, nil
		},
	})
	return n, n.server.Apply(ctx, w.Plan)
}

// inner are the gateways that stand behind others.
func inner(p *plan.Plan) map[string]bool {
	found := map[string]bool{}
	for _, b := range p.Backends {
		for _, e := range b.Endpoints {
			if e.Gateway != "" {
				found[e.Gateway] = true
			}
		}
	}
	return found
}

func door(gateway string, port int32) string { return fmt.Sprintf("%s:%d", gateway, port) }

// Call implements Body. The request is written as it stands, one connection
// each, by nobody who would mend it.
func (n *native) Call(ctx context.Context, r *Request) (*Response, error) {
	l := n.doors[door(r.Gateway, r.Port)]
	if l == nil {
		return nil, fmt.Errorf("nothing listens at %s", door(r.Gateway, r.Port))
	}
	c, err := l.dial(ctx)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(patience))
	go write(c, r)
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: r.Method})
	if err != nil {
		c.Close()
		return nil, err
	}
	return &Response{Status: res.StatusCode, Header: res.Header, Body: &connected{res.Body, c}}, nil
}

// patience is how long a client waits for an answer, in scripted time.
const patience = 24 * time.Hour

// write sends a request; a gateway that does not want all of it may close the
// connection.
func write(c net.Conn, r *Request) {
	w := bufio.NewWriter(c)
	fmt.Fprintf(w, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, r.Target, r.Host)
	for name, values := range r.Header {
		for _, v := range values {
			fmt.Fprintf(w, "%s: %s\r\n", name, v)
		}
	}
	w.WriteString("\r\n")
	w.Write(r.Body)
	w.Flush()
}

// connected is a body whose end is the connection's.
type connected struct {
	io.Reader
	conn net.Conn
}

// Close hangs up.
func (c *connected) Close() error { return c.conn.Close() }

// Close implements Body.
func (n *native) Close() {
	n.server.Shutdown()
	n.pool.Close()
}
