package conform

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// upstream plays every backend: it does what the script says and remembers
// what it saw.
type upstream struct {
	clock    *clock
	listener net.Listener
	server   *http.Server
	gate     chan struct{}           // lets the next piece of a stream out
	secure   map[string]net.Listener // by host, of those with certificates (pki)

	mu     sync.Mutex
	script []Behaviour
	calls  int
	seen   []Call
	tunnel []string     // what was asked for by CONNECT
	behind string       // where tunnels lead, to a server of TLS; "" = here again
	told   bytes.Buffer // the beginnings of what reached servers that prove nothing
}

// beyond begins the names that only a proxy knows.
const beyond = "beyond."

// Call is a request as the upstream saw it.
type Call struct {
	Method, Host, Path string
	Header             http.Header // without framing
	Body               string
	SNI                string // "" without TLS
}

func newUpstream(c *clock, l net.Listener) *upstream {
	u := &upstream{clock: c, listener: l, gate: make(chan struct{})}
	u.server = &http.Server{Handler: http.HandlerFunc(u.serve), ConnState: u.state, DisableGeneralOptionsHandler: true, ErrorLog: log.New(io.Discard, "", 0)}
	return u
}

// dial connects to a backend by name. Nothing listens at names that begin with
// "refused.".
func (u *upstream) dial(ctx context.Context, host string) (net.Conn, error) {
	if strings.HasPrefix(host, "refused.") {
		return nil, errors.New("connection refused")
	}
	if l := u.secure[host]; l != nil {
		return buffered(l.(*pipe).dial(ctx))
	}
	return u.listener.(*pipe).dial(ctx)
}

// begin makes the next calls follow a script.
func (u *upstream) begin(script []Behaviour) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.script, u.calls, u.seen = script, 0, nil
	u.told.Reset()
}

// end returns what was seen since begin.
func (u *upstream) end() []Call {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.seen
}

func (u *upstream) next(c Call) Behaviour {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seen = append(u.seen, c)
	n := u.calls
	u.calls++
	switch {
	case len(u.script) == 0:
		return Behaviour{Body: "{}"}
	case n >= len(u.script):
		n = len(u.script) - 1
	}
	return u.script[n]
}

// connect plays a proxy, behind which is the upstream again.
func (u *upstream) connect(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	u.tunnel = append(u.tunnel, r.RequestURI+" "+r.Header.Get("Proxy-Authorization"))
	u.mu.Unlock()
	near, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer near.Close()
	var far net.Conn
	if l, ok := u.listener.(*pipe); ok {
		far, err = l.dial(context.Background())
	} else {
		far, err = net.Dial("tcp", or(u.behind, u.listener.Addr().String()))
	}
	if err != nil {
		return
	}
	defer far.Close()
	io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { io.Copy(far, buffered); far.Close() }()
	io.Copy(near, far)
}

func (u *upstream) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect {
		u.connect(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	c := Call{Method: r.Method, Host: r.Host, Path: r.RequestURI, Header: maps.Clone(r.Header), Body: string(body)}
	delete(c.Header, "Content-Length")
	if r.TLS != nil {
		c.SNI = r.TLS.ServerName
	}
	b := u.next(c)
	if b.Garbage {
		panic(http.ErrAbortHandler)
	}
	if b.Silent {
		<-r.Context().Done()
		return
	}
	u.clock.pause(b.Slow)
	h := w.Header()
	maps.Copy(h, fields(b.With))
	if h["Content-Type"] == nil {
		h.Set("Content-Type", "application/json")
		if len(b.Pieces) > 0 {
			h.Set("Content-Type", "text/event-stream")
		}
	}
	if b.Breaks && len(b.Pieces) == 0 {
		h.Set("Content-Length", strconv.Itoa(len(b.Body)+100))
	}
	w.WriteHeader(or(b.Status, http.StatusOK))
	io.WriteString(w, b.Body)
	u.stream(w, r, b.Pieces)
	if b.Breaks {
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// stream sends each piece when the client has had the one before, if it is to
// have that at all.
func (u *upstream) stream(w http.ResponseWriter, r *http.Request, pieces []Piece) {
	for i := range pieces {
		u.clock.pause(pieces[i].Wait)
		io.WriteString(w, pieces[i].text())
		http.NewResponseController(w).Flush()
		if pieces[i].Hidden {
			continue
		}
		select {
		case <-u.gate:
		case <-r.Context().Done():
			return
		}
	}
}
