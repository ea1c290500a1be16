package conform

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/plan"
)

// secureAll serves the hosts of a plan that have certificates of their own.
func (u *upstream) secureAll(p *plan.Plan, known *pki) error {
	u.secure = map[string]net.Listener{}
	for i := range p.Backends {
		host := p.Backends[i].Host
		name, ours := strings.CutSuffix(host, secureSuffix)
		config, has := known.servers[name]
		switch {
		case ours && !has:
			return fmt.Errorf("there is no certificate for upstream %q", host)
		case !has || u.secure[host] != nil:
			continue
		}
		l, err := u.another()
		if err != nil {
			return err
		}
		u.secure[host] = l
		if config != nil {
			l = tls.NewListener(l, config)
		} else {
			l = tapped{l, u}
		}
		go u.server.Serve(l)
	}
	return nil
}

// state notes that a request begins on a connection with TLS: its first byte
// has come out of it.
func (u *upstream) state(c net.Conn, s http.ConnState) {
	if _, secure := c.(*tls.Conn); secure && s == http.StateActive {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.told.WriteString("the first byte of a request, ")
	}
}

// tapped notes what comes over connections without TLS.
type tapped struct {
	net.Listener
	of *upstream
}

// Accept implements net.Listener.
func (t tapped) Accept() (net.Conn, error) {
	c, err := t.Listener.Accept()
	return tap{c, t.of}, err
}

type tap struct {
	net.Conn
	of *upstream
}

// Read implements net.Conn.
func (t tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	t.of.told.Write(b[:n])
	return n, err
}

// leaked reports what an upstream was told that was to get no call: of a
// request nothing but the beginning of a handshake may reach it.
func (u *upstream) leaked(s *Step) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	told := u.told.Bytes()
	if s.Calls == nil || *s.Calls != 0 || len(told) == 0 || told[0] == recordHandshake && !bytes.Contains(told, []byte("HTTP/1.1")) {
		return nil
	}
	return fmt.Errorf("%s: an upstream that was to get nothing got %q", s.Send, told)
}

// recordHandshake begins a handshake (RFC 8446 5.1).
const recordHandshake = 22

// another is a listener of the kind that the upstream has.
func (u *upstream) another() (net.Listener, error) {
	if _, ok := u.listener.(*pipe); ok {
		return newPipe(), nil
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

// buffered is a connection with room for what nobody reads yet, as there is in
// a network: the alert of a client crosses what the server has to say.
func buffered(c net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	go func() {
		io.Copy(c, far)
		io.Copy(io.Discard, far) // what c does not take any more, while it has something to say
		c.Close()
	}()
	go func() {
		io.Copy(far, c)
		far.Close()
	}()
	return sent{near}, nil
}

// sent is a connection whose writes succeed once the other side has gone, as in a
// network; what it has said last can still be read.
type sent struct{ net.Conn }

// Write implements net.Conn.
func (s sent) Write(b []byte) (int, error) {
	n, err := s.Conn.Write(b)
	if errors.Is(err, io.ErrClosedPipe) {
		return len(b), nil
	}
	return n, err
}

// explained reports whether the reasons in the records are as they should be.
func (s *Step) explained(records []engine.Record) error {
	if s.Why == "" || slices.ContainsFunc(records, func(r engine.Record) bool { return regexp.MustCompile(s.Why).MatchString(r.Reason) }) {
		return nil
	}
	var said []string
	for _, r := range records {
		said = append(said, r.Reason)
	}
	return fmt.Errorf("%s: reasons %q, want %q", s.Send, said, s.Why)
}
