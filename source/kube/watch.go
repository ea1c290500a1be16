package kube

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/egret-gateway/egret/api/ainetworking/v0alpha0"
)

// Why a kind is not read, or no longer.
const (
	NotInstalled = "NotInstalled" // the API server has no such kind
	Forbidden    = "Forbidden"    // it has one, and we may not list or watch it
	Unreachable  = "Unreachable"  // anything else; the next snapshot waits if it is the first
)

// essential are the kinds that whoever reads them was granted by every manifest
// there is, the reference's included. Where one is forbidden, this is a mistake
// or an API server that starts: taken for an answer, it would say that there is
// no Gateway, and every fleet would be removed.
var essential = []string{
	"GatewayClass", "Gateway", "HTTPRoute", v0alpha0.KindXBackendDestination, "Namespace", "Service", "EndpointSlice",
	"Secret", "ConfigMap", "Deployment", "ServiceAccount",
}

// Missing is a kind that cannot be read at the moment.
type Missing struct {
	Kind string
	// Why is NotInstalled, Forbidden or Unreachable.
	Why string
	// Message is what the API server or the network said.
	Message string
	// Kept is how many objects that were read before are still in force.
	Kept int
}

// watched is one kind with its watch.
type watched struct {
	kind    kind
	store   *store
	client  *rest.RESTClient
	manager string
	log     *slog.Logger
	retry   time.Duration
	// answered is called when the kind is known for the first time.
	answered func()
	outage   *outage // of all kinds together

	reflectors map[string]*cache.Reflector // by version

	mu      sync.Mutex
	known   bool // answered
	read    bool // was read, and not found gone since
	gone    int  // answers in a row that it does not exist
	version string
	missing *Missing
	said    string // why it is missing, as the server said last, outages aside
}

// Bounds of the pause between two attempts of a reflector to reconnect.
const (
	reconnectFirst = 200 * time.Millisecond
	reconnectLast  = 2 * time.Second
)

// run watches the kind until ctx is done.
func (w *watched) run(ctx context.Context) {
	ctx = klog.NewContext(ctx, logr.Discard()) // what there is to say is said here
	w.reflectors = map[string]*cache.Reflector{}
	for ctx.Err() == nil {
		err := w.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		pause := w.retry
		if err == nil {
			pause /= 10 // a watch came to its end, as all do
		} else {
			w.judge(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause + rand.N(pause/2+1)):
		}
	}
}

// follow lists and watches the first version that the server has. It returns
// the server's answer when it has none, or when the watch ends.
func (w *watched) follow(ctx context.Context) (err error) {
	for _, version := range w.kind.versions {
		wire := &wire{client: w.client, kind: &w.kind, version: version, manager: w.manager}
		err = wire.probe(ctx)
		if apierrors.IsForbidden(err) {
			err = wire.there(ctx, err)
		}
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		return w.reflector(version, wire).ListAndWatchWithContext(ctx)
	}
	return err
}

// reflector returns the reflector of a version. It is kept for as long as the
// process lives, so that a new list is never older than the last one.
func (w *watched) reflector(version string, from *wire) *cache.Reflector {
	w.mu.Lock()
	w.version = version
	w.mu.Unlock()
	if w.reflectors[version] == nil {
		w.reflectors[version] = cache.NewReflectorWithOptions(from, nil, listed{w.store, w}, cache.ReflectorOptions{
			Name:            "source/kube",
			TypeDescription: w.kind.plural,
			Backoff:         &wait.Backoff{Duration: reconnectFirst, Factor: 2, Steps: 10, Cap: reconnectLast, Jitter: 0.5},
		})
	}
	return w.reflectors[version]
}

// listed is the store as a reflector sees it: a list is an answer.
type listed struct {
	*store
	watched *watched
}

// Replace is called with every list.
func (l listed) Replace(list []any, version string) error {
	err := l.store.Replace(list, version)
	l.watched.found()
	return err
}

// found notes that the kind was listed.
func (w *watched) found() {
	w.mu.Lock()
	was := w.missing
	w.missing, w.said, w.gone, w.read = nil, "", 0, true
	first := !w.known
	w.known = true
	w.mu.Unlock()
	w.outage.end()
	if was != nil && was.Why != Unreachable {
		w.log.Info("kind is read again", "kind", w.kind.name, "was", was.Why)
	}
	if first {
		w.answered()
	}
}

// judge decides what an error means for the objects that there are. Only a
// kind that does not exist has none for certain, and even that is believed at
// once only where nothing was read before: a server that starts may not know
// all of its kinds yet. That an essential kind is forbidden is no answer.
func (w *watched) judge(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := &Missing{Kind: w.kind.name, Why: Unreachable, Message: err.Error()}
	switch {
	case apierrors.IsNotFound(err):
		m.Why = NotInstalled
		w.gone++
	case apierrors.IsForbidden(err):
		m.Why = Forbidden
		w.gone = 0
	default:
		w.gone = 0
	}
	if m.Why == NotInstalled && w.read && w.gone > 1 {
		w.read = false
		w.store.Replace(nil, "")
	}
	if w.read {
		m.Kept = w.store.len()
	}
	if m.Why == Unreachable {
		w.outage.begin(m.Kind, err)
	} else if w.missing == nil || w.missing.Why != m.Why {
		level := slog.LevelWarn
		if w.kind.trial {
			level = slog.LevelDebug
		}
		w.log.Log(context.Background(), level, "kind cannot be read", "kind", w.kind.name, "why", m.Why, "kept", m.Kept, "err", err)
	}
	w.missing = m
	if m.Why == Unreachable {
		return
	}
	w.said = m.Why
	if !w.known && !(m.Why == Forbidden && slices.Contains(essential, w.kind.name)) {
		w.known = true
		w.answered()
	}
}

// outage tells of an API server that cannot be reached once, rather than once
// for every kind.
type outage struct {
	log *slog.Logger
	is  atomic.Bool
}

func (o *outage) begin(kind string, err error) {
	if !o.is.Swap(true) {
		o.log.Warn("the API server does not answer; what was read stays in force", "kind", kind, "err", err)
	}
}

func (o *outage) end() {
	if o.is.Swap(false) {
		o.log.Info("the API server answers again")
	}
}

// state returns why the kind is not read, nil if it is, and whether the
// snapshot knows it.
func (w *watched) state() (*Missing, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.missing, w.known
}

// unread reports whether the kind is there and was never read.
func (w *watched) unread() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.read && w.said == Forbidden
}

// none reports whether there is nothing of the kind to wait for: the server says
// that it has no such kind, or it never let us read it, see Unread.
func (w *watched) none() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.read && (w.said == Forbidden || w.missing != nil && w.missing.Why == NotInstalled)
}

// served returns the version that the server has.
func (w *watched) served() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.version
}
