package kube

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/egret-gateway/egret/source"
)

// writer keeps the status of objects as it was asked for.
type writer struct {
	client     *rest.RESTClient
	controller string
	log        *slog.Logger
	now        func() time.Time
	watched    []*watched // kinds whose status is written
	drifted    chan struct{}

	// turns counts what was asked, and stop ends the round under way when
	// something newer is.
	turns atomic.Int64
	stop  atomic.Pointer[context.CancelFunc]

	mu       sync.Mutex // held for a whole round
	asked    map[source.Key]asked
	turn     int64 // of asked
	attempts map[source.Key]attempt
	settled  map[source.Key]settled
	next     time.Time // when something is to be tried again, zero for never
}

func newWriter(client *rest.RESTClient, o Options) *writer {
	return &writer{
		client:     client,
		controller: o.Controller,
		log:        o.Log,
		now:        o.Now,
		drifted:    make(chan struct{}, 1),
		attempts:   map[source.Key]attempt{},
		settled:    map[source.Key]settled{},
	}
}

// settled is an object, as it was known, that said what was asked of it. While
// neither changes it is not compared again: most of thousands do not, from
// round to round.
type settled struct {
	item  *item
	asked asked
}

func (w *writer) poke() { poke(w.drifted) }

func (w *writer) write(ctx context.Context, a map[source.Key]asked) error {
	if w.controller == "" {
		return fmt.Errorf("status cannot be written: no controller is named")
	}
	turn := w.overtake()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.overtaken(turn) {
		return nil
	}
	w.asked, w.turn = a, turn
	err := w.round(ctx)
	if w.overtaken(turn) {
		return nil // what is missing is the newer call's to write
	}
	w.poke() // so that run sees when the next try is due
	return err
}

// overtake ends the round under way and returns the number of a new turn.
func (w *writer) overtake() int64 {
	turn := w.turns.Add(1)
	if stop := w.stop.Load(); stop != nil {
		(*stop)()
	}
	return turn
}

func (w *writer) overtaken(turn int64) bool { return w.turns.Load() != turn }

// rest forgets what was asked.
func (w *writer) rest() {
	w.overtake()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked, w.attempts, w.settled, w.next = nil, map[source.Key]attempt{}, map[source.Key]settled{}, time.Time{}
}

// gathering is how long the changes that one round causes are waited for.
const gathering = 200 * time.Millisecond

// run repairs what others overwrite and tries again what failed.
func (w *writer) run(ctx context.Context) {
	for {
		var again <-chan time.Time
		if pause, ok := w.untilNext(); ok {
			again = time.After(pause)
		}
		select {
		case <-ctx.Done():
			return
		case <-w.drifted:
			select {
			case <-ctx.Done():
				return
			case <-time.After(gathering):
			}
		case <-again:
		}
		w.mu.Lock()
		w.repair(ctx)
		w.mu.Unlock()
	}
}

// repair is a round that nobody waits for.
func (w *writer) repair(ctx context.Context) {
	if w.overtaken(w.turn) {
		return
	}
	if err := w.round(ctx); err != nil && ctx.Err() == nil {
		w.log.Debug("status not written", "err", err)
	}
}

func (w *writer) untilNext() (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(w.next.Sub(w.now()), 10*time.Millisecond), !w.next.IsZero()
}

// job is one object whose status differs from what is asked.
type job struct {
	watched *watched
	item    *item
	asked   asked
	digest  string
	err     error
}

// round writes what differs and is due.
func (w *writer) round(ctx context.Context) error {
	w.next = time.Time{}
	if w.asked == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(klog.NewContext(ctx, logr.Discard()), roundLimit)
	defer cancel()
	w.stop.Store(&cancel)
	jobs := w.jobs()
	var g errgroup.Group
	g.SetLimit(atOnce)
	for _, j := range jobs {
		g.Go(func() error {
			j.err = w.put(ctx, j)
			return nil
		})
	}
	g.Wait()
	var errs []error
	now := w.now()
	for _, j := range jobs {
		if errors.Is(j.err, context.Canceled) {
			errs = append(errs, j.err)
			continue // it was not tried
		}
		a := w.attempts[j.item.key].next(j.digest, now)
		w.attempts[j.item.key] = a
		if j.err != nil {
			errs = append(errs, fmt.Errorf("status of %s: %w", j.item.key, j.err))
			w.wake(a.due(j.digest))
		}
	}
	return tooMany(errs)
}

// jobs compares every object with what is asked of it.
func (w *writer) jobs() []*job {
	now := w.now()
	for key, a := range w.attempts {
		if now.Sub(a.at) > forgotten {
			delete(w.attempts, key)
		}
	}
	var out []*job
	before := w.settled
	w.settled = make(map[source.Key]settled, len(before))
	for _, k := range w.watched {
		for _, i := range k.store.list() {
			a := w.asked[i.key]
			was := before[i.key]
			if was.item == i && was.asked.equal(a) || k.kind.patch(i, a, w.controller, now) == nil {
				w.settled[i.key] = settled{i, a}
				continue
			}
			j := &job{watched: k, item: i, asked: a, digest: a.digest()}
			if due := w.attempts[i.key].due(j.digest); due.After(now) {
				w.wake(due)
				continue
			}
			out = append(out, j)
		}
	}
	return out
}

// wake asks for a round at that time.
func (w *writer) wake(at time.Time) {
	if w.next.IsZero() || at.Before(w.next) {
		w.next = at
	}
}

// digest tells apart what is asked of an object at different times.
func (a asked) digest() string {
	sum := sha256.New()
	json.NewEncoder(sum).Encode([]any{a.conditions, a.addresses, a.features, a.held, a.parents})
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// put writes the status of one object. The patch carries the resourceVersion
// that it was made from, so that it never undoes what somebody else wrote in
// between: where the watch was behind, the object is read once more.
func (w *writer) put(ctx context.Context, j *job) error {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	err := w.send(ctx, j, j.item)
	if apierrors.IsConflict(err) {
		err = w.again(ctx, j)
	}
	if apierrors.IsNotFound(err) {
		return nil // deleted in the meantime
	}
	return err
}

// send patches the status of an object as it is known.
func (w *writer) send(ctx context.Context, j *job, known *item) error {
	p := j.watched.kind.patch(known, j.asked, w.controller, w.now())
	if p == nil {
		return nil
	}
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": known.uid, "resourceVersion": known.resourceVersion},
		"status":   p,
	})
	if err != nil {
		return err
	}
	return w.client.Patch(types.MergePatchType).AbsPath(append(j.path(), "status")...).
		Param("fieldManager", w.controller).Body(body).Do(ctx).Error()
}

// again reads the object and patches what it says now.
func (w *writer) again(ctx context.Context, j *job) error {
	raw, err := w.client.Get().AbsPath(j.path()...).Do(ctx).Raw()
	if err != nil {
		return err
	}
	live, err := j.watched.kind.decode(raw, w.controller)
	if err != nil {
		return err
	}
	if live.uid != j.item.uid {
		return nil // another of the same name, of which nothing is known yet
	}
	return w.send(ctx, j, live)
}

func (j *job) path() []string {
	return j.watched.kind.objectPath(j.watched.served(), j.item.key)
}
