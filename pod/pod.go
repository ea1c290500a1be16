package pod

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"k8s.io/client-go/rest"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/feed/token"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/auth"
	"github.com/egret-gateway/egret/policy/ident/kube"
	"github.com/egret-gateway/egret/provider"
	"github.com/egret-gateway/egret/provider/account"
	"github.com/egret-gateway/egret/sight"
	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/store"
	"github.com/egret-gateway/egret/telemetry"
	"github.com/egret-gateway/egret/xds"
)

// Options of a pod.
type Options struct {
	Plane   string // source.PlaneNative or source.PlaneEnvoy
	Gateway string // namespace/name
	Node    string // xDS node id
	// XDSAddress is host:port of the controller; TokenFile is what the pod
	// shows it, CAFile what it is known by.
	XDSAddress, TokenFile, CAFile string
	// ProofFile is what the pod shows the MaaS API.
	ProofFile string
	// Socket is where Envoy finds egret extproc, Admin where Envoy's own admin
	// interface is.
	Socket, Admin string
	// Keep is the file in which the pod keeps what it serves, so that a container
	// that starts anew while the controller is away serves on; "" = KeepPath.
	// Where its folder is not there, nothing is kept.
	Keep string
	// Drain bounds how long a pod that ends waits for its streams.
	Drain time.Duration
	// DrainWord is what a request to drain has to say; "" lets anybody.
	DrainWord string
	// Config is how the API server is reached that reviews tokens.
	Config  *rest.Config
	Log     *slog.Logger
	Version string
}

// KeepPath is where a pod of a fleet keeps what it serves: in a volume of the
// pod's memory that no other container has, since secrets are in it.
const KeepPath = "/var/lib/egret/feed"

// plane is what differs between the two.
type plane interface {
	apply(ctx context.Context, f *feed.Feed) error
	ready() error
	// leave has clients close their connections after the next answer, so that
	// few are idle when drain closes them: who sends a request just then is left
	// without an answer. New connections are still taken.
	leave()
	// drain stops taking connections and returns when what is under way has
	// ended, or with ctx.
	drain(ctx context.Context)
	run(ctx context.Context) error
}

// known is where the name of a backend led last.
type known = func(*plan.Backend) ([]netip.Addr, time.Time, error)

// pod is one running data plane.
type pod struct {
	o       Options
	log     *slog.Logger
	denials *kube.Denials
	proof   proof
	fence   fence
	metrics *telemetry.Metrics
	feed    feed.Client
	guard   func(netip.Addr) error
	open    func(context.Context, feed.Settings, *telemetry.Metrics, *slog.Logger) (*state, error)
	state   *state // after the first feed
	plane   plane
	book    *sight.Book
	known   atomic.Pointer[known]
	notice  time.Duration

	last atomic.Pointer[feed.Feed]
}

// Run serves until ctx ends.
func Run(ctx context.Context, o Options) error {
	p := newPod(o)
	l, err := net.Listen("tcp", ":"+strconv.Itoa(source.PodPort))
	if err != nil {
		return fmt.Errorf("probes: %w", err)
	}
	return p.run(ctx, l)
}

func newPod(o Options) *pod {
	if o.Keep == "" {
		o.Keep = KeepPath
	}
	p := &pod{o: o, log: o.Log, denials: kube.NewDenials(time.Now), proof: proof{file: o.ProofFile}, metrics: telemetry.NewMetrics(), guard: guard, open: openState, notice: notice, book: &sight.Book{}}
	p.metrics.Watch(func() []sight.Fact { p.look(); return p.book.Facts() })
	teller := &feed.Teller{Node: o.Node, Book: p.book, Look: p.look}
	p.feed.Stream = xds.Client{
		Target: o.XDSAddress, Node: o.Node, Agent: "egret-" + o.Plane, Version: o.Version, Log: o.Log,
		Beside: func(ctx context.Context, conn grpc.ClientConnInterface) {
			if err := teller.Tell(ctx, conn); err != nil && ctx.Err() == nil {
				o.Log.Info("the controller is not told what is seen of backends", "error", err)
			}
		},
		Options: []grpc.DialOption{grpc.WithTransportCredentials(token.TLS(o.CAFile)), grpc.WithPerRPCCredentials(token.File(o.TokenFile))},
	}
	p.feed.Name = fmt.Sprintf("pod %s (egret %s)", os.Getenv("POD_NAME"), o.Version)
	p.feed.Denied = func(list []feed.Denial) { p.denials.Set(denied(list), p.feed.LastHeard()) }
	return p
}

// run answers the probes on l, and serves.
func (p *pod) run(ctx context.Context, l net.Listener) error {
	probe := &probes{ready: p.ready, leave: p.leave, drain: p.drain, limit: p.o.Drain, word: p.o.DrainWord, notice: p.notice, metrics: p.metrics.Registry, log: p.log}
	group, run := errgroup.WithContext(ctx)
	group.Go(func() error { return probe.serve(run, l) })
	group.Go(func() error { return p.serve(run) })
	group.Go(func() error { p.listen(run); return nil })
	return group.Wait()
}

// serve builds the plane when the first feed is there, the one that was kept
// or else the controller's, and feeds it from then on.
func (p *pod) serve(ctx context.Context) error {
	group, run := errgroup.WithContext(ctx)
	apply := func(ctx context.Context, f *feed.Feed) error {
		if p.state == nil {
			if err := p.build(run, group, f); err != nil {
				return err
			}
		}
		return p.take(ctx, f)
	}
	group.Go(func() error {
		p.resume(run, apply)
		return p.feed.Run(run, apply)
	})
	return group.Wait()
}

// resume serves what was kept, if anything, until the controller is heard of.
func (p *pod) resume(ctx context.Context, apply func(context.Context, *feed.Feed) error) {
	f, err := feed.Read(p.o.Keep)
	if err == nil && f != nil && f.Gateway == p.o.Gateway {
		p.denials.Set(denied(f.Denied), time.Time{})
		if err = apply(ctx, f); err == nil {
			p.feed.Kept = f
			p.log.Info("the plan of before serves until the controller is heard of", "plan", f.Plan.Hash())
		}
	}
	if err != nil {
		p.log.Warn("what was kept cannot be served", "error", err)
	}
}

// take makes a feed the one that is served. A denial alone changes no plan.
func (p *pod) take(ctx context.Context, f *feed.Feed) error {
	if f.Gateway != p.o.Gateway {
		return fmt.Errorf("this is a pod of Gateway %s, not of %s", p.o.Gateway, f.Gateway)
	}
	around, err := provider.NewFence(append(own(os.Getenv), f.Settings.Refuse...), f.Settings.Allow)
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	p.fence.Store(around)
	if was := p.last.Load(); was == nil || was.Plan != f.Plan || !slices.Equal(was.Keep, f.Keep) {
		begun := time.Now()
		if err := p.plane.apply(ctx, f); err != nil {
			p.log.Error("a plan was refused, the one before serves on", "plan", f.Plan.Hash(), "error", err)
			p.metrics.Reload(false, len(f.Plan.Rules), 1, time.Now())
			return err
		}
		p.metrics.Reload(true, len(f.Plan.Rules), 0, time.Now())
		p.log.Info("plan loaded", "plan", f.Plan.Hash(), "rules", len(f.Plan.Rules), "took", time.Since(begun).String())
	}
	p.last.Store(f)
	p.keep(f)
	return nil
}

// keep writes down what is served. A pod whose fleet has no place for it does
// without.
func (p *pod) keep(f *feed.Feed) {
	if err := f.Save(p.o.Keep); err != nil && !errors.Is(err, os.ErrNotExist) {
		p.log.Warn("what is served cannot be kept for a restart", "error", err)
	}
}

// build wires the engine and the plane, with the state that the settings name.
func (p *pod) build(ctx context.Context, group *errgroup.Group, f *feed.Feed) error {
	state, err := p.open(ctx, f.Settings, p.metrics, p.log)
	if err != nil {
		return err
	}
	reviews, err := kube.New(p.o.Config, p.denials)
	if err != nil {
		return err
	}
	dialer := &provider.Dialer{Guard: p.guard, Outside: p.fence.outside}
	pool := provider.NewPool(dialer)
	p.proof.towards(f.Settings.MaaS)
	p.proof.hop = newHop(f.Settings.Ledger, time.Now)
	accounts := account.New(account.Options{
		HTTP: pool.Client(), Metadata: account.Metadata(), Getenv: os.Getenv, ReadFile: os.ReadFile, Log: p.log,
	})
	e := engine.New(engine.Deps{
		Auth: auth.Deps{
			Reviewer: reviews, Authorizer: reviews, Revoked: p.denials, HTTP: p.proof.on(pool.Client()), Caches: auth.NewCaches(), Now: time.Now, Log: p.log,
		},
		Limiter: telemetry.Timed{Limiter: state.limiter, Metrics: p.metrics}, Record: p.recorder(state, f.Settings.AccessLog),
		Now: time.Now, NewID: newID, Random: random, Log: p.log, Proof: p.proof.of, Routed: p.o.Plane == source.PlaneEnvoy,
		Instance: cluster(p.o.Config), Accounts: accounts, Sight: p.book,
	})
	where := known(dialer.Known)
	if p.o.Plane == source.PlaneEnvoy {
		b := newBeside(p.o, e, p.proof.hop, dialer)
		p.plane, where = b, b.endpoints.Known
	} else {
		p.plane = newNative(p.o, e, pool, p.proof.hop)
	}
	p.known.Store(&where)
	p.state = state
	// Requests that end last are charged and accounted for too: the state is
	// kept until the plane has ended.
	after, release := context.WithCancel(context.WithoutCancel(ctx))
	group.Go(func() error { defer release(); return p.plane.run(ctx) })
	group.Go(func() error { return state.run(after) })
	group.Go(func() error { return accounts.Run(after) })
	return nil
}

// look notes where the names of backends lead.
func (p *pod) look() {
	if where := p.known.Load(); where != nil {
		p.book.Look(*where)
	}
}

// recorder hands every Record to those who read it.
func (p *pod) recorder(s *state, access bool) func(*engine.Record) {
	var log *telemetry.AccessLog
	if access {
		log = &telemetry.AccessLog{Log: slog.New(slog.NewJSONHandler(os.Stdout, nil))}
	}
	trouble := &telemetry.Trouble{Log: p.log}
	return func(r *engine.Record) {
		p.metrics.Record(r)
		trouble.Record(r)
		if s.ledger != nil {
			s.ledger.Record(r)
		}
		if log != nil {
			log.Record(r)
		}
	}
}

// listen tells the deny-list how long ago the controller was heard of.
func (p *pod) listen(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if p.last.Load() != nil {
				p.denials.Heard(p.feed.LastHeard())
			}
		}
	}
}

// ready says why requests should not be sent here.
func (p *pod) ready() error {
	if p.last.Load() == nil {
		if why := p.feed.Pending(); why != "" {
			return errors.New("no configuration yet: " + why)
		}
		return errors.New("no configuration yet: waiting for the controller at " + p.o.XDSAddress)
	}
	return p.plane.ready()
}

func (p *pod) leave() {
	if p.last.Load() != nil {
		p.plane.leave()
	}
}

func (p *pod) drain(ctx context.Context) {
	if p.last.Load() != nil {
		p.plane.drain(ctx)
	}
}

func denied(in []feed.Denial) []store.Denial {
	out := make([]store.Denial, len(in))
	for i, d := range in {
		out[i] = store.Denial{Subject: d.Subject, Until: d.Until}
	}
	return out
}
