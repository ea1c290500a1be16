package provider

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/egret-gateway/egret/plan"
)

// Dialer opens connections to backends.
type Dialer struct {
	// Gateway connects to one of our own gateways; nil when there are none here.
	Gateway func(ctx context.Context, gateway string, port int32) (net.Conn, error)
	// Names maps host:port to an address instead of DNS (--resolve, and the
	// Services of a process without a cluster). nil maps nothing.
	Names func(host string, port int32) (string, bool)
	// Memory connects to a service of this very process by its host:port.
	Memory func(ctx context.Context, host string, port int32) (net.Conn, bool, error)
	// Guard refuses addresses; nil = plan.Refused.
	Guard func(netip.Addr) error
	// Outside refuses more addresses of what is outside the cluster by its name
	// (plan.LocalName), or by an address that a user wrote down; nil refuses none.
	Outside func(netip.Addr) error
	// Lookup returns the addresses of a name, which is one of those that Rooted
	// makes; nil = System.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)

	once    sync.Once
	names   names
	connect func(context.Context, netip.AddrPort) (net.Conn, error) // nil = by the system
}

// via is what is particular about the way to a backend.
type via struct {
	fence *Lists
	proxy *proxy
}

// gatewaySuffix marks addresses that stand for our own gateways. ".invalid"
// never resolves (RFC 6761), so such a name cannot leak into DNS.
const gatewaySuffix = ".gateway.invalid"

// literalSuffix marks addresses that a user wrote down instead of a name. They
// are no endpoints of a Service, and share no connection with one.
const literalSuffix = ".literal.invalid"

// destination is what the connection pool knows a host and port by.
func destination(host string, port int32) string {
	if _, err := netip.ParseAddr(host); err == nil {
		host += literalSuffix
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// Address is what the connection pool knows an endpoint by.
func Address(e plan.Endpoint) string {
	port := strconv.Itoa(int(e.Port))
	if e.Gateway != "" {
		ns, name, _ := strings.Cut(e.Gateway, "/")
		return net.JoinHostPort(name+"."+ns+gatewaySuffix, port)
	}
	return net.JoinHostPort(e.Address, port)
}

// Dial connects to an address made by Address or to a DNS name. Looking up and
// connecting together take at most plan.DefaultConnectTimeout. Connecting
// knows its errors.
func (d *Dialer) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return d.dialVia(ctx, network, address, via{})
}

// own is Dial for calls that the gateway makes itself. Policies may name a Service
// in short, as service.namespace, which DNS in a pod knows by its search domains;
// it is asked for as one of the cluster's names then. An address in place of a name
// is one that a user wrote down.
func (d *Dialer) own(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		host += literalSuffix
	} else if d.Outside != nil && strings.Count(host, ".") == 1 {
		if _, err := d.known().find(ctx, host+".svc"); err == nil {
			host += ".svc"
		}
	}
	return d.Dial(ctx, network, net.JoinHostPort(host, port))
}

// to is Dial by a way of its own.
func (d *Dialer) to(v via) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return d.dialVia(ctx, network, address, v)
	}
}

func (d *Dialer) dialVia(ctx context.Context, network, address string, v via) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, plan.DefaultConnectTimeout)
	defer cancel()
	c, err := d.dial(ctx, network, address, v)
	if err != nil {
		return nil, &connectError{err}
	}
	return c, nil
}

func (d *Dialer) dial(ctx context.Context, network, address string, via via) (net.Conn, error) {
	host, p, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("port %q: %w", p, err)
	}
	port := int32(number)
	if g, ok := strings.CutSuffix(host, gatewaySuffix); ok {
		if d.Gateway == nil {
			return nil, errors.New("no gateway listens in this process")
		}
		name, ns, _ := strings.Cut(g, ".")
		return d.Gateway(ctx, ns+"/"+name, port)
	}
	host, literal := strings.CutSuffix(host, literalSuffix)
	if c, ok, err := d.near(ctx, network, host, port); ok {
		return c, err
	}
	if err := Stray(host); err != nil {
		return nil, err
	}
	_, err = netip.ParseAddr(host)
	outside := literal || err != nil && !plan.LocalName(host)
	if outside && via.proxy != nil {
		return d.through(ctx, network, via.proxy, host, p)
	}
	check := d.check
	if outside {
		check = func(a netip.Addr) error { return d.checkOutside(a, via.fence) }
	}
	return d.open(ctx, network, host, uint16(number), check)
}

// near connects to what this process knows of itself, before DNS; ok is false
// for all else.
func (d *Dialer) near(ctx context.Context, network, host string, port int32) (c net.Conn, ok bool, err error) {
	if d.Memory != nil {
		if c, ok, err := d.Memory(ctx, host, port); ok {
			return c, true, err
		}
	}
	if d.Names == nil {
		return nil, false, nil
	}
	mapped, ok := d.Names(host, port)
	if !ok {
		return nil, false, nil
	}
	at, err := netip.ParseAddrPort(mapped)
	if err != nil {
		return nil, true, fmt.Errorf("address %q: %w", mapped, err)
	}
	c, err = d.open(ctx, network, at.Addr().String(), at.Port(), d.check)
	return c, true, err
}

// through connects by a proxy, which is the operator's choice and may be inside
// the cluster. Of a name it alone knows where it leads.
func (d *Dialer) through(ctx context.Context, network string, p *proxy, host, port string) (net.Conn, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		if err := d.checkOutside(a, nil); err != nil {
			return nil, err
		}
	}
	c, ok, err := d.near(ctx, network, p.host, p.port)
	if !ok {
		c, err = d.open(ctx, network, p.host, uint16(p.port), d.check)
	}
	if err != nil {
		return nil, fmt.Errorf("proxy %s: %w", p.address(), err)
	}
	return p.tunnel(ctx, c, net.JoinHostPort(host, port))
}

// open looks a host up and connects to what check lets pass. It is asked about
// the very address that is connected to, so that an answer of DNS which changes
// in between is of no use to anybody.
func (d *Dialer) open(ctx context.Context, network, host string, port uint16, check func(netip.Addr) error) (net.Conn, error) {
	found, err := d.known().find(ctx, host)
	if err != nil {
		return nil, err
	}
	var good []netip.Addr
	var refused []error
	for _, a := range found {
		if err := check(a); err != nil {
			refused = append(refused, err)
			continue
		}
		good = append(good, a)
	}
	if len(good) == 0 {
		return nil, errors.Join(refused...)
	}
	return race(ctx, good, func(ctx context.Context, a netip.Addr) (net.Conn, error) {
		if d.connect != nil {
			return d.connect(ctx, netip.AddrPortFrom(a, port))
		}
		guarded := net.Dialer{ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("address %q: %w", address, err)
			}
			return check(ap.Addr())
		}}
		return guarded.DialContext(ctx, network, netip.AddrPortFrom(a, port).String())
	})
}

// Known is what the last lookup of a backend's name came to, as far as it may be
// dialled, without a new one; at is zero when there was none, or when the name is
// not looked up here.
func (d *Dialer) Known(b *plan.Backend) (found []netip.Addr, at time.Time, err error) {
	local := plan.LocalName(b.Host)
	if b.Proxy != nil && !local {
		return nil, time.Time{}, nil
	}
	all, at, err := d.known().last(b.Host)
	if err != nil || len(all) == 0 {
		return nil, at, err
	}
	lists, err := NewLists(b.Fence)
	if err != nil {
		return nil, at, err
	}
	var refused error
	for _, a := range all {
		why := d.check(a)
		if !local {
			why = d.checkOutside(a, lists)
		}
		if why != nil {
			refused = why
			continue
		}
		found = append(found, a)
	}
	if len(found) == 0 {
		return nil, at, fmt.Errorf("%s leads to no address that may be dialled: %w", b.Host, refused)
	}
	return found, at, nil
}

// known is where names lead.
func (d *Dialer) known() *names {
	d.once.Do(func() {
		d.names.lookup = d.Lookup
		if d.names.lookup == nil {
			d.names.lookup = System
		}
	})
	return &d.names
}

// checkOutside is check for what is outside the cluster.
func (d *Dialer) checkOutside(a netip.Addr, fence *Lists) error {
	if err := d.check(a); err != nil {
		return err
	}
	if d.Outside != nil {
		if err := d.Outside(a.Unmap()); err != nil {
			return err
		}
	}
	return fence.Outside(a)
}

// check asks the guard.
func (d *Dialer) check(a netip.Addr) error {
	if d.Guard != nil {
		return d.Guard(a.Unmap())
	}
	return plan.Refused(a)
}

// connectError marks failures that happened before a request was sent.
type connectError struct{ err error }

func (e *connectError) Error() string { return e.err.Error() }
func (e *connectError) Unwrap() error { return e.err }

// Connecting reports whether err happened while connecting: nothing of the
// request has left.
func Connecting(err error) bool {
	var dial *connectError
	return errors.As(err, &dial)
}

// TurnedAway returns the alert by which the other side ended a TLS connection,
// or nil. Under TLS 1.3 a client certificate is refused only after its owner
// believes the handshake done (RFC 8446 4.4.2.4): the first request may have
// left by then.
func TurnedAway(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return op
	}
	return nil
}
