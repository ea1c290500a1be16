package provider

import (
	"fmt"
	"net/netip"
	"strings"
)

// Fence is what lies between a cluster and the world: ranges of the cluster's
// own nodes, pods and Services, where no name from outside has any business to
// lead. Of a Service's endpoints it is not asked.
type Fence struct {
	Refuse, Allow []netip.Prefix // Allow counts where both do
}

// NewFence reads ranges as a fleet's settings have them. One that cannot be
// read is an error: what it was to keep away must not pass.
func NewFence(refuse, allow []string) (*Fence, error) {
	out := &Fence{}
	for _, list := range []struct {
		to   *[]netip.Prefix
		from []string
	}{{&out.Refuse, refuse}, {&out.Allow, allow}} {
		for _, text := range list.from {
			p, err := netip.ParsePrefix(text)
			if err != nil {
				return nil, fmt.Errorf("range of addresses: %w", err)
			}
			*list.to = append(*list.to, p.Masked())
		}
	}
	return out, nil
}

// Outside is a Dialer's Outside.
func (f *Fence) Outside(a netip.Addr) error {
	a = plainAddr(a)
	for _, p := range f.Allow {
		if p.Contains(a) {
			return nil
		}
	}
	for _, p := range f.Refuse {
		if p.Contains(a) {
			return fmt.Errorf("address %s is in %s, which is the cluster's own, and the name that led there is not", a, p)
		}
	}
	return nil
}

// plainAddr is an address without its zone, and as the IPv4 address that it
// stands for.
func plainAddr(a netip.Addr) netip.Addr {
	a = a.WithZone("").Unmap()
	for _, p := range embedding {
		if b := a.As16(); a.Is6() && !a.IsLoopback() && p.Contains(a) {
			return netip.AddrFrom4([4]byte(b[12:]))
		}
	}
	return a
}

// Local reports whether a name is one of the cluster's own, which leads to its
// Services: it ends in ".svc" or in ".cluster.local".
func Local(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return strings.HasSuffix(host, ".svc") || strings.HasSuffix(host, ".cluster.local")
}
