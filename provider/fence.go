package provider

import (
	"fmt"
	"net/netip"

	"github.com/egret-gateway/egret/plan"
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
	a = plan.PlainAddr(a)
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

// Lists are what an operator says about the addresses of a namespace's backends
// (plan.Fence). nil Lists refuse nothing.
type Lists struct{ only, deny []netip.Prefix }

// NewLists reads what a plan says; nil for nothing. A range that cannot be read
// is an error.
func NewLists(f *plan.Fence) (*Lists, error) {
	if f == nil {
		return nil, nil
	}
	ranges, err := NewFence(f.Deny, f.Only)
	if err != nil {
		return nil, err
	}
	return &Lists{only: ranges.Allow, deny: ranges.Refuse}, nil
}

// Outside refuses an address that the lists do not let pass.
func (l *Lists) Outside(a netip.Addr) error {
	if l == nil {
		return nil
	}
	a = plan.PlainAddr(a)
	for _, p := range l.deny {
		if p.Contains(a) {
			return fmt.Errorf("address %s is in %s, which the operator denies to the backend's namespace", a, p)
		}
	}
	for _, p := range l.only {
		if p.Contains(a) {
			return nil
		}
	}
	if len(l.only) > 0 {
		return fmt.Errorf("address %s is in none of the ranges that the operator allows to the backend's namespace", a)
	}
	return nil
}

// Stray refuses a name of the cluster that is no Service's, see plan.StrayName.
func Stray(host string) error {
	if plan.StrayName(host) {
		return fmt.Errorf("%s is a name of the cluster and not a Service's, which would be service.namespace.svc.cluster.local; it is never dialled", host)
	}
	return nil
}
