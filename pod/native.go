package pod

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/provider"
	"github.com/egret-gateway/egret/proxy"
)

// native carries the bytes itself.
type native struct{ server *proxy.Server }

func newNative(o Options, e *engine.Engine, pool *provider.Pool, h hop) *native {
	return &native{proxy.New(proxy.Options{
		Engine: e, Pool: pool, Inner: h.from, Drain: o.Drain, Log: o.Log,
		Listen: func(_ string, p *plan.Port) (net.Listener, error) {
			return net.Listen("tcp", ":"+strconv.Itoa(int(p.Number)))
		},
	})}
}

// apply has a plan served. A pod that ends serves nothing new, which is no
// fault of the plan's: to refuse it would be told as one of the Gateway.
func (n *native) apply(ctx context.Context, f *feed.Feed) error {
	err := n.server.Apply(ctx, f.Plan)
	if errors.Is(err, proxy.ErrStopped) {
		return nil
	}
	return err
}

func (n *native) ready() error {
	if len(n.server.Bound()) == 0 {
		return errors.New("the Gateway has no listener that serves")
	}
	return nil
}

func (n *native) leave() { n.server.Leave() }

func (n *native) drain(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		n.server.Shutdown()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

func (n *native) run(ctx context.Context) error {
	<-ctx.Done()
	n.server.Shutdown()
	return nil
}

// fence is the one of the settings in force; it refuses nothing before there
// are any.
type fence struct{ atomic.Pointer[provider.Fence] }

// outside is a provider.Dialer's Outside.
func (f *fence) outside(a netip.Addr) error {
	if now := f.Load(); now != nil {
		return now.Outside(a)
	}
	return nil
}

// own are the addresses of the cluster that a pod knows without being told: its
// own, and the API server's.
func own(env func(string) string) (out []string) {
	for _, name := range []string{"POD_IP", "KUBERNETES_SERVICE_HOST"} {
		if a, err := netip.ParseAddr(env(name)); err == nil {
			out = append(out, netip.PrefixFrom(a, a.BitLen()).String())
		}
	}
	return out
}

// guard refuses the addresses that no backend has any business at, and in a
// pod also its own.
func guard(a netip.Addr) error {
	if plan.PlainAddr(a).IsLoopback() {
		return fmt.Errorf("address %s is the gateway's own pod and is never dialled", a)
	}
	return plan.Refused(a)
}
