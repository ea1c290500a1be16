package controller

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	lookAround = 5 * time.Minute // for nodes that came and went
	lookLimit  = time.Minute
	nodePage   = 250
	mostRanges = 4096
)

// ranges finds the cluster's own addresses: Services' by ServiceCIDRs, pods' and
// nodes' by Nodes. What the API server does not let it read it says once, and
// does without; the operator's object has it then.
type ranges struct {
	client  client.Reader
	log     *slog.Logger
	found   chan []string
	refused map[string]bool // kinds that the log has already
	last    map[string][]netip.Prefix
}

func newRanges(c client.Reader, log *slog.Logger) *ranges {
	return &ranges{client: c, log: log, found: make(chan []string), refused: map[string]bool{}, last: map[string][]netip.Prefix{}}
}

// Run looks until ctx ends.
func (r *ranges) Run(ctx context.Context) error {
	tick := time.NewTicker(lookAround)
	defer tick.Stop()
	for {
		select {
		case r.found <- r.look(ctx):
		case <-ctx.Done():
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// look returns what is known now. A kind that cannot be read just now keeps
// what it had.
func (r *ranges) look(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	r.take(ctx, "servicecidrs", r.services)
	r.take(ctx, "nodes", r.nodes)
	all := collapse(slices.Concat(r.last["servicecidrs"], r.last["nodes"]))
	if len(all) > mostRanges {
		r.log.Error("the cluster has more ranges of addresses than are sent to pods; name what they have in common in the operator's rules", "ranges", len(all), "sent", mostRanges)
		all = all[:mostRanges]
	}
	out := make([]string, len(all))
	for i, p := range all {
		out[i] = p.String()
	}
	return out
}

func (r *ranges) take(ctx context.Context, kind string, read func(context.Context) ([]netip.Prefix, error)) {
	found, err := read(ctx)
	switch {
	case err == nil:
		r.last[kind] = found
		r.refused[kind] = false
	case meta.IsNoMatchError(err) || apierrors.IsNotFound(err): // of an older cluster
	case !r.refused[kind] && ctx.Err() == nil:
		r.refused[kind] = true
		r.log.Warn("the cluster's own ranges cannot be learned from here, so that names from outside are kept from those that the operator's rules name", "kind", kind, "error", err)
	}
}

func (r *ranges) services(ctx context.Context) (out []netip.Prefix, err error) {
	var list networkingv1.ServiceCIDRList
	if err := r.client.List(ctx, &list); err != nil {
		return nil, err
	}
	for i := range list.Items {
		out = appendRanges(out, list.Items[i].Spec.CIDRs...)
	}
	return out, nil
}

// nodes reads them in pages, since they are large.
func (r *ranges) nodes(ctx context.Context) (out []netip.Prefix, err error) {
	for next := ""; ; {
		var list corev1.NodeList
		if err := r.client.List(ctx, &list, client.Limit(nodePage), client.Continue(next)); err != nil {
			return nil, err
		}
		for i := range list.Items {
			n := &list.Items[i]
			out = appendRanges(out, append(slices.Clone(n.Spec.PodCIDRs), n.Spec.PodCIDR)...)
			for _, a := range n.Status.Addresses {
				if ip, err := netip.ParseAddr(a.Address); err == nil {
					out = append(out, netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()))
				}
			}
		}
		if next = list.Continue; next == "" {
			return out, nil
		}
	}
}

func appendRanges(out []netip.Prefix, texts ...string) []netip.Prefix {
	for _, text := range texts {
		if p, err := netip.ParsePrefix(text); err == nil {
			out = append(out, p.Masked())
		}
	}
	return out
}

// collapse returns the fewest ranges that have the same addresses, sorted:
// those of nodes often make up one.
func collapse(in []netip.Prefix) (out []netip.Prefix) {
	in = slices.Clone(in)
	slices.SortFunc(in, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	for _, p := range in {
		if n := len(out); n > 0 && out[n-1].Overlaps(p) { // it is within, since it comes after
			continue
		}
		out = append(out, p)
		for n := len(out); n > 1; n = len(out) {
			a, b := out[n-2], out[n-1]
			if a.Bits() != b.Bits() || a.Bits() == 0 || a.Addr().BitLen() != b.Addr().BitLen() {
				break
			}
			both := netip.PrefixFrom(a.Addr(), a.Bits()-1).Masked()
			if !both.Contains(b.Addr()) {
				break
			}
			out = append(out[:n-2], both)
		}
	}
	return out
}
