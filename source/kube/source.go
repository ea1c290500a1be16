package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"

	"github.com/egret-gateway/egret/source"
)

// Options says what is read, from where, and as whom status is written.
type Options struct {
	// Config is how the API server is reached. Where it sets no QPS, there is
	// no limit but the API server's own; eight statuses are written at once.
	Config *rest.Config
	// Controller is the controllerName whose entries in status are ours, and
	// the field manager that writes them. It may be empty where nothing is
	// written.
	Controller string
	// Kinds are read; nil means those of Controller.
	Kinds []Kind

	Log *slog.Logger // nil means slog.Default
	// Now is the clock of lastTransitionTime and of retries; nil means time.Now.
	Now func() time.Time

	// Retry is the pause before a kind that is missing is looked for again,
	// default 5 s. It is made up to half longer at random.
	Retry time.Duration
	// Quiet is how long no change must have come before a snapshot is taken,
	// default 30 ms; Hold is how long changes may put it off, default 300 ms.
	Quiet, Hold time.Duration
}

// Source reads from an API server and writes status to it. It is a source.Source.
type Source struct {
	watched []*watched
	changed chan struct{}
	holding time.Duration
	quiet   time.Duration
	log     *slog.Logger
	pending atomic.Int32  // kinds that have not answered
	ready   chan struct{} // closed when there are none
	writer  *writer
	unread  []string         // see Unread
	last    *source.Snapshot // nil before the first
	held    held
}

var _ source.Source = (*Source)(nil)

// New returns a source that reads nothing before Run. It fails when the
// configuration cannot be used or a kind is not known.
func New(o Options) (*Source, error) {
	chosen, err := choose(o.Kinds)
	if err != nil {
		return nil, err
	}
	if o.Config == nil {
		return nil, errors.New("no API server is configured")
	}
	client, err := newClient(o.Config)
	if err != nil {
		return nil, fmt.Errorf("API server %s: %w", o.Config.Host, err)
	}
	writes, err := newClient(o.Config) // so that no watch waits for status
	if err != nil {
		return nil, fmt.Errorf("API server %s: %w", o.Config.Host, err)
	}
	o.fill()
	s := &Source{changed: make(chan struct{}, 1), ready: make(chan struct{}), quiet: o.Quiet, holding: o.Hold, log: o.Log}
	s.writer = newWriter(writes, o)
	s.pending.Store(int32(len(chosen)))
	away := &outage{log: o.Log}
	for _, k := range chosen {
		w := &watched{kind: k, client: client, manager: o.Controller, log: o.Log, retry: o.Retry, answered: s.answered, outage: away}
		w.store = &store{kind: &w.kind, items: map[source.Key]*item{}, drifted: s.writer.poke, changed: func() { poke(s.changed) }}
		s.watched = append(s.watched, w)
		if k.shape != shapeNone {
			s.writer.watched = append(s.writer.watched, w)
		}
	}
	return s, nil
}

func (o *Options) fill() {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Retry == 0 {
		o.Retry = 5 * time.Second
	}
	if o.Quiet == 0 {
		o.Quiet = 30 * time.Millisecond
	}
	if o.Hold == 0 {
		o.Hold = 300 * time.Millisecond
	}
}

// Run watches until ctx is done, and then returns nil. The first snapshot
// comes when every kind was read or is known to be missing. While it is not
// known which policies there are, snapshots have no route and no Gateway that
// the last one did not have.
func (s *Source) Run(ctx context.Context, emit func(source.Snapshot, source.Problems)) error {
	var running sync.WaitGroup
	defer running.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for _, w := range s.watched {
		running.Go(func() { w.run(ctx) })
	}
	if !s.wait(ctx) {
		return nil
	}
	running.Go(func() { s.writer.run(ctx) })
	for s.settle(ctx) {
		snapshot, problems, news := s.take(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if news {
			emit(snapshot, problems)
		}
		select {
		case <-ctx.Done():
		case <-s.changed:
		case <-s.again():
		}
	}
	return nil
}

// patience is how long kinds may keep the first snapshot waiting before that
// is worth a line in the log.
const patience = 10 * time.Second

// wait waits until every kind has answered. It reports false when ctx ended.
func (s *Source) wait(ctx context.Context) bool {
	for {
		select {
		case <-s.ready:
			return true
		case <-ctx.Done():
			return false
		case <-time.After(patience):
			s.log.Warn("waiting for the API server before anything is served", "kinds", strings.Join(s.awaited(), ", "))
		}
	}
}

// answered is called once by each kind.
func (s *Source) answered() {
	if s.pending.Add(-1) == 0 {
		close(s.ready)
	}
}

// awaited names the kinds that have not answered, and why if that is known.
func (s *Source) awaited() (out []string) {
	for _, w := range s.watched {
		switch missing, known := w.state(); {
		case known:
		case missing == nil:
			out = append(out, w.kind.name+" (no answer)")
		default:
			out = append(out, fmt.Sprintf("%s (%s: %s)", w.kind.name, missing.Why, missing.Message))
		}
	}
	return out
}

// settle returns when nothing has changed for a moment, or has kept changing
// for too long. It reports false when ctx ended.
func (s *Source) settle(ctx context.Context) bool {
	limit := time.NewTimer(s.holding)
	defer limit.Stop()
	quiet := time.NewTimer(s.quiet)
	defer quiet.Stop()
	for {
		select {
		case <-s.changed:
			quiet.Reset(s.quiet)
		case <-quiet.C:
			return true
		case <-limit.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// Missing returns the kinds that cannot be read at the moment, by name.
func (s *Source) Missing() []Missing {
	var out []Missing
	for _, w := range s.watched {
		if m, _ := w.state(); m != nil {
			out = append(out, *m)
		}
	}
	slices.SortFunc(out, func(a, b Missing) int { return strings.Compare(a.Kind, b.Kind) })
	return out
}

// Unread returns the kinds of policies that the API server has and that could
// not be read when the policies of the last snapshot were taken, nor before: what
// they say about who may pass, and how much, is not in it. It is for emit to call.
func (s *Source) Unread() []string { return s.unread }

func (s *Source) forbidden() (out []string) {
	for _, w := range s.watched {
		if w.kind.admits() && w.unread() {
			out = append(out, w.kind.name)
		}
	}
	return out
}

// poke tells whoever waits on a channel of one place, once.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
