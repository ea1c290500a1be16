package provider

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/egret-gateway/egret/plan"
)

// Limits of upstream connections.
const (
	idleConns      = 4096             // kept open for later, over all backends
	idlePerHost    = 512              // and per address
	idleTime       = 90 * time.Second // how long
	maxAnswerHead  = 256 << 10        // bytes of an answer's head
	bufferBytes    = 8 << 10          // per connection and direction: most heads with their bodies leave in one write
	pingAfter      = 30 * time.Second // silence on an HTTP/2 connection after which it is asked whether it lives
	pingTimeout    = 15 * time.Second // and given up
	ownIdleConns   = 64               // of the gateway's own calls
	maxOwnHeadSize = 64 << 10
)

// Errors of Target, to be asked for with errors.Is.
var (
	ErrNoEndpoint = errors.New("no ready endpoint")                      // nothing is ready behind a backend
	ErrUnusable   = errors.New("the backend's TLS settings do not work") // a secret is missing or cannot be read
)

// Pool holds the connections to all backends, over all plans.
type Pool struct {
	dialer  *Dialer
	current atomic.Pointer[Links]
}

// NewPool returns an empty pool that dials with d.
func NewPool(d *Dialer) *Pool {
	p := &Pool{dialer: d}
	p.current.Store(&Links{})
	return p
}

// Links are the ways to the backends of one plan.
type Links struct {
	of      map[*plan.Backend]*link
	byShape map[string]*way
	// next are the links of the plan that came after. Who holds old links
	// finds newer backends through it; who holds none keeps none alive.
	next atomic.Pointer[Links]
}

// link is the way to one backend.
type link struct {
	way    *way
	scheme string
	err    error         // why it cannot be spoken to
	turn   atomic.Uint64 // round robin over the endpoints
}

// Links are those of the plan in force. An exchange takes them before it
// begins and keeps them.
func (p *Pool) Links() *Links { return p.current.Load() }

// Prepare makes ready what a plan needs. Transports whose TLS and protocol did
// not change keep their connections. It cannot fail: a backend whose TLS
// material is unusable has its error told by Target. From now on the backends
// of the plan are found, also by those who hold older links; Use completes the
// change.
func (p *Pool) Prepare(pl *plan.Plan) *Links {
	secrets := make(map[string]*plan.Secret, len(pl.Secrets))
	for i := range pl.Secrets {
		secrets[pl.Secrets[i].Name] = &pl.Secrets[i]
	}
	old := p.current.Load()
	next := &Links{of: make(map[*plan.Backend]*link, len(pl.Backends)), byShape: map[string]*way{}}
	for i := range pl.Backends {
		b := &pl.Backends[i]
		l := &link{scheme: "http"}
		if b.TLS != nil {
			l.scheme = "https"
		}
		shape := shapeOf(b, secrets)
		if l.way = next.byShape[shape]; l.way == nil {
			l.way = old.byShape[shape]
		}
		if l.way == nil {
			l.way, l.err = p.way(b, secrets)
		}
		if l.way != nil {
			next.byShape[shape] = l.way
		}
		next.of[b] = l
	}
	old.next.Store(next)
	return next
}

// Use makes prepared links those in force. Idle connections that the plan does
// not need any more are closed; those in use close when their requests end or,
// at the latest, after having been idle for 90 s.
func (p *Pool) Use(next *Links) {
	old := p.current.Swap(next)
	for shape, w := range old.byShape {
		if next.byShape[shape] != w {
			w.close()
		}
	}
}

// Load is Prepare and Use at once.
func (p *Pool) Load(pl *plan.Plan) { p.Use(p.Prepare(pl)) }

// Close closes all idle connections. The pool serves on if it must.
func (p *Pool) Close() {
	for _, w := range p.current.Load().byShape {
		w.close()
	}
}

// Target is where one request goes: the transport, and the URL's scheme and
// host, which the pool keys connections by. Errors: ErrNoEndpoint, ErrUnusable.
func (l *Links) Target(b *plan.Backend) (t *http.Transport, scheme, address string, err error) {
	to := l.find(b)
	if to == nil {
		return nil, "", "", fmt.Errorf("BUG: backend %s was never prepared", b.Name)
	}
	if to.err != nil {
		return nil, "", "", fmt.Errorf("%s: %w: %w", b.Object, ErrUnusable, to.err)
	}
	switch {
	case b.Host != "":
		address = destination(b.Host, b.Port)
	case len(b.Endpoints) > 0:
		address = Address(b.Endpoints[to.turn.Add(1)%uint64(len(b.Endpoints))])
	default:
		return nil, "", "", ErrNoEndpoint
	}
	return to.way.transport(), to.scheme, address, nil
}

func (l *Links) find(b *plan.Backend) *link {
	for ; l != nil; l = l.next.Load() {
		if way := l.of[b]; way != nil {
			return way
		}
	}
	return nil
}

// shapeOf names a way of speaking: backends of one shape share a transport,
// and with it connections to a common address.
func shapeOf(b *plan.Backend, secrets map[string]*plan.Secret) string {
	shape := struct {
		Protocol plan.Protocol
		TLS      *plan.ClientTLS
		Name     string
		Digests  []string
		Named    bool
		Fence    *plan.Fence
		Proxy    *plan.Proxy
	}{Protocol: b.Protocol, TLS: b.TLS, Named: named(b), Fence: b.Fence, Proxy: b.Proxy}
	if b.Proxy != nil {
		if s := secrets[b.Proxy.Secret]; s != nil {
			shape.Digests = append(shape.Digests, s.Digest)
		}
	}
	if b.TLS != nil {
		shape.Name = serverName(b)
		for _, n := range b.TLS.Secrets() {
			if s := secrets[n]; s != nil {
				shape.Digests = append(shape.Digests, s.Digest)
			}
		}
	}
	return plan.Digest(shape)
}

// way makes the way to backends of b's shape.
func (p *Pool) way(b *plan.Backend, secrets map[string]*plan.Secret) (*way, error) {
	config, err := clientTLS(b, secrets)
	if err != nil {
		return nil, err
	}
	via, err := viaOf(b, secrets)
	if err != nil {
		return nil, err
	}
	protocol := b.Protocol
	return newWay(named(b), func() *http.Transport { return p.transport(protocol, config.Clone(), via) }), nil
}

func (p *Pool) transport(proto plan.Protocol, config *tls.Config, via via) *http.Transport {
	var protocols http.Protocols
	switch {
	case proto == plan.HTTP2 && config == nil:
		protocols.SetUnencryptedHTTP2(true)
	case proto == plan.HTTP2:
		protocols.SetHTTP2(true)
	default:
		protocols.SetHTTP1(true)
	}
	t := &http.Transport{
		DialContext:            p.dialer.to(via),
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    plan.DefaultConnectTimeout,
		Protocols:              &protocols,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		MaxIdleConns:           idleConns,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        idleTime,
		MaxResponseHeaderBytes: maxAnswerHead,
		DisableCompression:     true, // bytes pass as they come
		WriteBufferSize:        bufferBytes,
		ReadBufferSize:         bufferBytes,
	}
	if config != nil {
		config.NextProtos = protocolNames(proto)
		t.DialTLSContext = secure(t.DialContext, config)
	}
	return t
}

// Client is a RoundTripper for calls of the gateway's own (metadata, signing
// keys): the same names and the same guard, TLS verified by the system's CAs.
func (p *Pool) Client() http.RoundTripper {
	return &http.Transport{
		DialContext: p.dialer.own, DialTLSContext: secure(p.dialer.own, &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocolNames(plan.HTTP)}),
		MaxIdleConns: ownIdleConns, IdleConnTimeout: idleTime, MaxResponseHeaderBytes: maxOwnHeadSize,
	}
}
