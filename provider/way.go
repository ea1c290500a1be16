package provider

import (
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/egret-gateway/egret/plan"
)

// connectionLife is how long the connections to a name are given new requests.
// An address that has left DNS is left then at the latest, however busy it is
// kept; what is under way goes on to its end.
const connectionLife = 5 * time.Minute

// way is one way of speaking, which backends of one shape share: a transport
// and, behind names from outside, another one every connectionLife.
type way struct {
	fresh func() *http.Transport
	named bool
	now   atomic.Pointer[generation]
}

// generation is a transport with when it was made.
type generation struct {
	*http.Transport
	born time.Time
}

func newWay(named bool, fresh func() *http.Transport) *way {
	w := &way{fresh: fresh, named: named}
	w.now.Store(&generation{fresh(), time.Now()})
	return w
}

// transport is the one that new requests take.
func (w *way) transport() *http.Transport {
	old := w.now.Load()
	if !w.named || time.Since(old.born) < connectionLife {
		return old.Transport
	}
	next := &generation{w.fresh(), time.Now()}
	if !w.now.CompareAndSwap(old, next) {
		return w.now.Load().Transport
	}
	old.CloseIdleConnections() // the others close when they have been idle for idleTime
	return next.Transport
}

// close closes idle connections.
func (w *way) close() { w.now.Load().CloseIdleConnections() }

// named reports whether a backend is found by a name, which may lead elsewhere
// tomorrow.
func named(b *plan.Backend) bool {
	_, err := netip.ParseAddr(b.Host)
	return b.Host != "" && err != nil
}

// viaOf is what is particular about the way to a backend.
func viaOf(b *plan.Backend, secrets map[string]*plan.Secret) (v via, err error) {
	if v.fence, err = NewLists(b.Fence); err != nil {
		return v, err
	}
	v.proxy, err = newProxy(b.Proxy, secrets)
	return v, err
}
