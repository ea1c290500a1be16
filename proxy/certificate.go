package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/egret-gateway/egret/plan"
)

// certificates of one port by host name.
type certificates struct {
	hosts []hostPairs // as the plan sorts them: the most specific host first
	// pairs are the usable ones by name, so that the next plan may fall back
	// on them.
	pairs map[string]*tls.Certificate
}

// hostPairs are the certificates of a listener. None: they cannot be used, and
// nobody else's are shown in their place.
type hostPairs struct {
	listener string
	host     string // "", "a.example.com" or "*.example.com"
	pairs    []*tls.Certificate
}

// newCertificates reads what the listeners of a port name. A certificate that
// cannot be read is logged and its last good version stays in use; without
// one, the handshakes of that listener fail and those of others do not.
func newCertificates(pp *plan.Port, secrets map[string]*plan.Secret, old *certificates, log *slog.Logger) *certificates {
	c := &certificates{pairs: map[string]*tls.Certificate{}}
	for i := range pp.Listeners {
		l := &pp.Listeners[i]
		if l.TLS == nil {
			continue
		}
		h := hostPairs{listener: l.Name, host: strings.ToLower(l.Host)}
		for _, name := range l.TLS.Certificates {
			pair, err := readPair(name, secrets[name])
			if err != nil {
				if old != nil {
					pair = old.pairs[name]
				}
				log.Error("a certificate cannot be used", "gateway", pp.Gateway, "listener", l.Name, "secret", name, "error", err, "previous_kept", pair != nil)
			}
			if pair != nil {
				c.pairs[name] = pair
				h.pairs = append(h.pairs, pair)
			}
		}
		c.hosts = append(c.hosts, h)
	}
	return c
}

func readPair(name string, s *plan.Secret) (*tls.Certificate, error) {
	if s == nil {
		return nil, fmt.Errorf("%s is not there", name)
	}
	pair, err := tls.X509KeyPair(s.Item("tls.crt"), s.Item("tls.key"))
	if err != nil {
		return nil, err
	}
	return &pair, nil
}

// certificate chooses by SNI, the most specific listener first; among several
// of one listener, the first that the client can verify.
func (p *port) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c := p.certificates.Load()
	if c == nil {
		return nil, errors.New("the port does not speak TLS any more")
	}
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	i := slices.IndexFunc(c.hosts, func(h hostPairs) bool { return covers(h.host, name) })
	switch {
	case i < 0:
		return nil, fmt.Errorf("no listener for server name %q", name)
	case len(c.hosts[i].pairs) == 0:
		return nil, fmt.Errorf("listener %s has no certificate that can be used", c.hosts[i].listener)
	}
	for _, pair := range c.hosts[i].pairs {
		if hello.SupportsCertificate(pair) == nil {
			return pair, nil
		}
	}
	return c.hosts[i].pairs[0], nil
}

// covers reports whether a listener's host name covers a server name.
func covers(host, name string) bool {
	if suffix, ok := strings.CutPrefix(host, "*"); ok {
		return len(name) > len(suffix) && strings.HasSuffix(name, suffix)
	}
	return host == "" || host == name
}
