package provider

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/egret-gateway/egret/plan"
)

// Pool holds the connections to all backends of a plan.
type Pool struct {
	dialer *Dialer
	state  atomic.Pointer[state]
	turn   atomic.Uint64
}

// state is what one plan needs: a transport per way of speaking, kept over
// plans as long as somebody uses it.
type state struct {
	byBackend map[string]*http.Transport
	byShape   map[string]*http.Transport
}

// ErrNoEndpoint says that nothing is ready behind a backend.
var ErrNoEndpoint = errors.New("no ready endpoint")

// NewPool returns an empty pool that dials with d.
func NewPool(d *Dialer) *Pool {
	p := &Pool{dialer: d}
	p.state.Store(&state{})
	return p
}

// Load prepares the pool for a plan. Transports whose TLS and protocol did not
// change keep their connections; those that nobody needs any more are closed
// when idle. A backend whose TLS material is unusable gets an error at Target.
func (p *Pool) Load(pl *plan.Plan) error {
	secrets := make(map[string]*plan.Secret, len(pl.Secrets))
	for i := range pl.Secrets {
		secrets[pl.Secrets[i].Name] = &pl.Secrets[i]
	}
	old := p.state.Load()
	next := &state{byBackend: map[string]*http.Transport{}, byShape: map[string]*http.Transport{}}
	for i := range pl.Backends {
		b := &pl.Backends[i]
		shape := shapeOf(b, secrets)
		t := next.byShape[shape]
		if t == nil {
			t = old.byShape[shape]
		}
		if t == nil {
			config, err := clientTLS(b, secrets)
			if err != nil {
				return fmt.Errorf("backend %s: %w", b.Object, err)
			}
			t = p.transport(b.Protocol, config)
		}
		next.byShape[shape], next.byBackend[b.Name] = t, t
	}
	p.state.Store(next)
	for shape, t := range old.byShape {
		if next.byShape[shape] == nil {
			t.CloseIdleConnections()
		}
	}
	return nil
}

// shapeOf names a way of speaking: backends of one shape share a transport,
// and with it connections to a common address.
func shapeOf(b *plan.Backend, secrets map[string]*plan.Secret) string {
	digests := []string{}
	name := ""
	if b.TLS != nil {
		for _, n := range append(append([]string{}, b.TLS.CAs...), b.TLS.Identity) {
			if s := secrets[n]; s != nil {
				digests = append(digests, s.Digest)
			}
		}
		name = serverName(b)
	}
	return plan.Digest(struct {
		Protocol plan.Protocol
		TLS      *plan.ClientTLS
		Name     string
		Digests  []string
	}{b.Protocol, b.TLS, name, digests})
}

func (p *Pool) transport(proto plan.Protocol, config *tls.Config) *http.Transport {
	var protocols http.Protocols
	switch {
	case proto == plan.HTTP2 && config == nil:
		protocols.SetUnencryptedHTTP2(true)
	case proto == plan.HTTP2:
		protocols.SetHTTP2(true)
	default:
		protocols.SetHTTP1(true)
	}
	return &http.Transport{
		DialContext:            p.dialer.Dial,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    plan.DefaultConnectTimeout,
		Protocols:              &protocols,
		MaxIdleConns:           4096,
		MaxIdleConnsPerHost:    512,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		DisableCompression:     true, // bytes pass as they come
		WriteBufferSize:        16 << 10,
		ReadBufferSize:         16 << 10,
	}
}

// Target is where one request goes: the transport and the URL's scheme and
// host, which the pool keys connections by.
func (p *Pool) Target(b *plan.Backend) (t *http.Transport, scheme, address string, err error) {
	t = p.state.Load().byBackend[b.Name]
	if t == nil {
		// The exchange began under a plan that is gone: serve it all the same.
		config, err := clientTLS(b, nil)
		if err != nil {
			return nil, "", "", err
		}
		t = p.transport(b.Protocol, config)
		t.DisableKeepAlives = true
	}
	scheme = "http"
	if b.TLS != nil {
		scheme = "https"
	}
	switch {
	case b.Host != "":
		address = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
	case len(b.Endpoints) > 0:
		address = Address(b.Endpoints[p.turn.Add(1)%uint64(len(b.Endpoints))])
	default:
		return nil, "", "", ErrNoEndpoint
	}
	return t, scheme, address, nil
}

// serverName is the SNI and, unless other names are given, what the peer's
// certificate must be valid for. IP literals are verified but not sent as SNI
// (RFC 6066 3; crypto/tls leaves them out).
func serverName(b *plan.Backend) string {
	if b.TLS.SNI != "" {
		return b.TLS.SNI
	}
	return b.Host
}

func clientTLS(b *plan.Backend, secrets map[string]*plan.Secret) (*tls.Config, error) {
	if b.TLS == nil {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: serverName(b), InsecureSkipVerify: b.TLS.SkipVerify}
	if len(b.TLS.CAs) > 0 {
		c.RootCAs = x509.NewCertPool()
		for _, name := range b.TLS.CAs {
			s := secrets[name]
			if s == nil || !c.RootCAs.AppendCertsFromPEM(s.Item("ca.crt")) {
				return nil, fmt.Errorf("CA bundle %s holds no certificate", name)
			}
		}
	}
	if b.TLS.Identity != "" {
		s := secrets[b.TLS.Identity]
		if s == nil {
			return nil, fmt.Errorf("client certificate %s is not there", b.TLS.Identity)
		}
		pair, err := tls.X509KeyPair(s.Item("tls.crt"), s.Item("tls.key"))
		if err != nil {
			return nil, fmt.Errorf("client certificate %s: %w", b.TLS.Identity, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if len(b.TLS.Names) > 0 && !b.TLS.SkipVerify {
		verifyNames(c, b.TLS.Names)
	}
	return c, nil
}

// verifyNames replaces crypto/tls's check of one name by a check that the chain
// is good and one of names is in the certificate.
func verifyNames(c *tls.Config, names []string) {
	roots := c.RootCAs
	c.InsecureSkipVerify = true // the whole verification follows
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		inter := x509.NewCertPool()
		for _, crt := range cs.PeerCertificates[1:] {
			inter.AddCert(crt)
		}
		leaf := cs.PeerCertificates[0]
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: inter}); err != nil {
			return err
		}
		var last error
		for _, n := range names {
			if last = leaf.VerifyHostname(n); last == nil {
				return nil
			}
		}
		return last
	}
}

// Mapping is a set of host:port → address rules (--resolve NAME:PORT:IP[:PORT]).
type Mapping struct {
	mu sync.RWMutex
	m  map[string]string
}

// Set maps name:port to address ("IP:port").
func (m *Mapping) Set(name string, port int32, address string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.m == nil {
		m.m = map[string]string{}
	}
	m.m[net.JoinHostPort(name, strconv.Itoa(int(port)))] = address
}

// Lookup is a Dialer's Names.
func (m *Mapping) Lookup(host string, port int32) (string, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	a, ok := m.m[net.JoinHostPort(host, strconv.Itoa(int(port)))]
	return a, ok
}

// ParseResolve reads NAME:PORT:IP[:PORT]; IPv6 addresses stand in brackets.
func ParseResolve(s string) (name string, port int32, address string, err error) {
	bad := func(why string) error {
		return fmt.Errorf("--resolve %q: %s; write NAME:PORT:IP or NAME:PORT:IP:PORT, for example api.example.com:443:127.0.0.1:8443", s, why)
	}
	name, rest, ok := cut(s)
	p, target, ok2 := cut(rest)
	if !ok || !ok2 || name == "" {
		return "", 0, "", bad("three or four parts are needed")
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil || n == 0 {
		return "", 0, "", bad(p + " is not a port")
	}
	if a, err := netip.ParseAddr(trimBrackets(target)); err == nil {
		return name, int32(n), netip.AddrPortFrom(a, uint16(n)).String(), nil
	}
	ap, err := netip.ParseAddrPort(target)
	if err != nil {
		return "", 0, "", bad(target + " is not an IP address with an optional port")
	}
	return name, int32(n), ap.String(), nil
}

func cut(s string) (string, string, bool) {
	for i := range len(s) {
		if s[i] == ':' {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

func trimBrackets(s string) string {
	if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
		return s[1 : len(s)-1]
	}
	return s
}
