package provider

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

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
	// Guard refuses addresses; nil = Refused.
	Guard func(netip.Addr) error
}

// gatewaySuffix marks addresses that stand for our own gateways. ".invalid"
// never resolves (RFC 6761), so such a name cannot leak into DNS.
const gatewaySuffix = ".gateway.invalid"

// Address is what the connection pool knows an endpoint by.
func Address(e plan.Endpoint) string {
	port := strconv.Itoa(int(e.Port))
	if e.Gateway != "" {
		ns, name, _ := strings.Cut(e.Gateway, "/")
		return net.JoinHostPort(name+"."+ns+gatewaySuffix, port)
	}
	return net.JoinHostPort(e.Address, port)
}

// Dial connects to an address made by Address or to a DNS name. Connect
// time-out: plan.DefaultConnectTimeout.
func (d *Dialer) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.dial(ctx, network, address)
	if err != nil {
		return nil, &connectError{err}
	}
	return c, nil
}

func (d *Dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
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
	if d.Memory != nil {
		if c, ok, err := d.Memory(ctx, host, port); ok {
			return c, err
		}
	}
	guard := d.Guard
	if guard == nil {
		guard = Refused
	}
	if d.Names != nil {
		if mapped, ok := d.Names(host, port); ok {
			// The operator wrote this address down: loopback is meant.
			address = mapped
		}
	}
	nd := net.Dialer{Timeout: plan.DefaultConnectTimeout, ControlContext: func(_ context.Context, _, addr string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(addr)
		if err != nil {
			return fmt.Errorf("address %q: %w", addr, err)
		}
		return guard(ap.Addr().Unmap())
	}}
	return nd.DialContext(ctx, network, address)
}

// metadata are the addresses at which clouds hand out credentials.
var metadata = []netip.Prefix{
	netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("fd00:ec2::254/128"),
	netip.MustParsePrefix("100.100.100.200/32"), netip.MustParsePrefix("192.0.0.192/32"),
}

// Refused is the guard that always applies: metadata services, link-local,
// unspecified and multicast addresses are never dialled, whatever name led
// there. It is asked about the address itself, after resolution.
func Refused(a netip.Addr) error {
	if a.IsUnspecified() || a.IsMulticast() {
		return fmt.Errorf("address %s is never dialled (unspecified or multicast)", a)
	}
	for _, p := range metadata {
		if p.Contains(a) {
			return fmt.Errorf("address %s is never dialled (link-local or a cloud's metadata service)", a)
		}
	}
	return nil
}

// connectError marks failures that happened before a request was sent.
type connectError struct{ err error }

func (e *connectError) Error() string { return e.err.Error() }
func (e *connectError) Unwrap() error { return e.err }

// Connecting reports whether err happened while connecting: nothing of the
// request has left.
func Connecting(err error) bool {
	var c *connectError
	var tlsErr *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	return errors.As(err, &c) || errors.As(err, &tlsErr) || errors.As(err, &record)
}
