package conform

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
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
		}
		go u.server.Serve(l)
	}
	return nil
}

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
	pump := func(to, from net.Conn) {
		io.Copy(to, from)
		to.Close()
		from.Close()
	}
	go pump(c, far)
	go pump(far, c)
	return near, nil
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
