package provider

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/egret-gateway/egret/plan"
)

// Rooted is a name as it is looked up. With a dot in it, it is complete: search
// domains, which would be tried first in a pod, would find api.example.com as
// endpoint api of Service example in a namespace com, which anybody may own. A
// Service's name is made whole by the cluster's own domain alone.
func Rooted(host string) string {
	host = strings.TrimSuffix(host, ".")
	switch {
	case !strings.Contains(host, "."):
		return host
	case plan.LocalName(host) && strings.HasSuffix(strings.ToLower(host), ".svc"):
		host += ".cluster.local"
	}
	return host + "."
}

// System looks a name up as the system does: hosts file, DNS, both families, in
// the order of RFC 6724. The name of a Service must not be an alias of one from
// outside (ExternalName): it would bring what it leads to past all that is asked
// about names from outside.
func System(ctx context.Context, host string) ([]netip.Addr, error) {
	return by(ctx, net.DefaultResolver, host)
}

func by(ctx context.Context, r *net.Resolver, host string) ([]netip.Addr, error) {
	if plan.LocalName(host) {
		alias, err := r.LookupCNAME(ctx, host)
		if err != nil {
			return nil, unrooted(err)
		}
		if !plan.LocalName(alias) {
			return nil, fmt.Errorf("this name of the cluster stands for %s, which is none; use that", strings.TrimSuffix(alias, "."))
		}
	}
	found, err := r.LookupNetIP(ctx, "ip", host)
	return found, unrooted(err)
}

// Gone reports whether a lookup has failed since there is no such name, which is
// an answer of DNS and no sign that it is away. Said twice in a row it is believed.
func Gone(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}

// unrooted tells of a failure with the name as people write it.
func unrooted(err error) error {
	var dns *net.DNSError
	if !errors.As(err, &dns) {
		return err
	}
	told := *dns
	told.Name = strings.TrimSuffix(told.Name, ".")
	return &told
}
