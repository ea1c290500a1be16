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
	// Outside refuses more addresses of what is outside the cluster by its name
	// (Local), or by an address that a user wrote down; nil refuses none.
	Outside func(netip.Addr) error
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
	ctx, cancel := context.WithTimeout(ctx, plan.DefaultConnectTimeout)
	defer cancel()
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
	host, literal := strings.CutSuffix(host, literalSuffix)
	address = net.JoinHostPort(host, p)
	if d.Memory != nil {
		if c, ok, err := d.Memory(ctx, host, port); ok {
			return c, err
		}
	}
	if d.Names != nil {
		if mapped, ok := d.Names(host, port); ok {
			address = mapped
		}
	}
	check := d.check
	if _, err := netip.ParseAddr(host); d.Outside != nil && (literal || err != nil && !Local(host)) {
		check = d.checkOutside
	}
	guarded := net.Dialer{ControlContext: check}
	return guarded.DialContext(ctx, network, address)
}

// checkOutside is check for what is outside the cluster.
func (d *Dialer) checkOutside(ctx context.Context, network, address string, raw syscall.RawConn) error {
	if err := d.check(ctx, network, address, raw); err != nil {
		return err
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %q: %w", address, err)
	}
	return d.Outside(ap.Addr().Unmap())
}

// check asks the guard about the very address that is about to be connected
// to, once per address that a name resolved to.
func (d *Dialer) check(_ context.Context, _, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %q: %w", address, err)
	}
	if d.Guard != nil {
		return d.Guard(ap.Addr().Unmap())
	}
	return Refused(ap.Addr())
}

// connectError marks failures that happened before a request was sent.
type connectError struct{ err error }

func (e *connectError) Error() string { return e.err.Error() }
func (e *connectError) Unwrap() error { return e.err }

// Connecting reports whether err happened while connecting: nothing of the
// request has left.
func Connecting(err error) bool {
	var dial *connectError
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	return errors.As(err, &dial) || errors.As(err, &verify) || errors.As(err, &record) || errors.As(err, &alert)
}
