package standalone

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/egret-gateway/egret/admin"
	"github.com/egret-gateway/egret/compile"
	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/maas"
	"github.com/egret-gateway/egret/policy/auth"
	"github.com/egret-gateway/egret/policy/ident/local"
	"github.com/egret-gateway/egret/policy/quota"
	"github.com/egret-gateway/egret/provider"
	"github.com/egret-gateway/egret/provider/account"
	"github.com/egret-gateway/egret/proxy"
	"github.com/egret-gateway/egret/sight"
	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/source/file"
	"github.com/egret-gateway/egret/store"
	"github.com/egret-gateway/egret/store/sqlite"
	"github.com/egret-gateway/egret/telemetry"
)

// usersInterval is how often the users file is looked at.
const usersInterval = 2 * time.Second

// Options of a System.
type Options struct {
	Files file.Options // what to serve
	// Amend adds objects that no file holds, such as a certificate made at
	// start; nil adds none.
	Amend func(*source.Snapshot)
	// Data keeps keys, ledger and counters; "" keeps them in memory.
	Data string
	// Keep is how long the usage ledger keeps its entries; 0 = for ever.
	Keep time.Duration
	// Users is the directory of people; "" = users.yaml in Data, or nobody.
	Users string
	// Listen maps NAMESPACE/GATEWAY/LISTENER to an address. A port without an
	// entry is bound on loopback by its own rule, or in memory with Inner.
	Listen map[string]Address
	// Inner keeps gateways in memory that Listen does not name.
	Inner bool
	// Simulate runs the Deployments of the simulator's image in this process.
	Simulate bool
	// Resolve maps names instead of DNS.
	Resolve *provider.Mapping
	// Admin is where the admin page listens. AdminToken guards it.
	Admin      Address
	AdminToken string
	// AccessLog gets a JSON line per request; nil = none.
	AccessLog io.Writer
	Log       *slog.Logger
	Drain     time.Duration // 0 = 30 s
	BodyLimit int64         // 0 = engine.DefaultBodyLimit
	Version   string
}

// System is one running process.
type System struct {
	o       Options
	log     *slog.Logger
	source  *file.Source
	store   *sqlite.Store
	writer  *store.Writer
	users   *local.Users
	realm   *local.Realm
	limiter *quota.Memory
	metrics *telemetry.Metrics
	maas    *maas.Server
	engine  *engine.Engine
	office  *account.Office
	plane   *proxy.Server
	sims    *simulators
	admin   *admin.Server
	inner   *services

	good   *source.Snapshot // being served; nil before the first
	egress *source.Egress   // the operator's rules for the way out, the last that could be read
	loaded atomic.Bool      // the same, for those who ask from outside
}

// New builds the system; nothing listens and nothing runs until Run.
func New(ctx context.Context, o Options) (*System, error) {
	s := &System{o: o, log: o.Log, inner: newServices()}
	if s.o.Resolve == nil {
		s.o.Resolve = &provider.Mapping{}
	}
	if err := s.openState(ctx); err != nil {
		if s.store != nil {
			err = errors.Join(err, s.store.Close())
		}
		return nil, err
	}
	s.metrics = telemetry.NewMetrics()
	s.source = file.New(o.Files)
	s.maas = &maas.Server{Cluster: s.realm, Keys: s.store, Config: maas.DefaultConfig(), Log: s.log, Audit: s.log.With("log", "audit")}
	s.maas.Config.Namespace = MaaSNamespace
	dialer := &provider.Dialer{
		Gateway: func(ctx context.Context, gateway string, port int32) (c conn, err error) {
			return s.plane.Dial(ctx, gateway, port)
		},
		Memory: s.inner.dial,
		Names:  s.o.Resolve.Lookup,
	}
	pool, book := provider.NewPool(dialer), &sight.Book{}
	s.office = account.New(account.Options{HTTP: pool.Client(), Metadata: account.Metadata(), Getenv: os.Getenv, ReadFile: os.ReadFile, Log: s.log})
	s.engine = engine.New(engine.Deps{
		Auth: auth.Deps{
			Reviewer: s.realm, Authorizer: s.realm, Revoked: s.realm, HTTP: pool.Client(), Caches: auth.NewCaches(),
			Now: time.Now, Log: s.log,
		},
		Limiter: telemetry.Timed{Limiter: s.limiter, Metrics: s.metrics}, Record: s.recorder(), Now: time.Now, NewID: newID, Random: random, Log: s.log, BodyLimit: o.BodyLimit,
		Instance: newID(), Accounts: s.office, Sight: book,
	})
	s.plane = proxy.New(proxy.Options{Engine: s.engine, Pool: pool, Listen: s.listen, Drain: o.Drain, Log: s.log})
	s.sims = &simulators{log: s.log, services: s.inner}
	s.admin = &admin.Server{
		Token: o.AdminToken, Version: o.Version, Engine: s.engine, Ledger: s.store, Settle: s.writer.Sync, Metrics: s.metrics.Registry,
		Ready: s.ready, Log: s.log,
		Seen: func() []sight.Fact { book.Look(dialer.Known); return book.Facts() },
	}
	s.metrics.Watch(s.admin.Seen)
	s.metrics.Gauge("egret_ledger_lost_entries", "Ledger entries that could not be written.", func() float64 { return float64(s.writer.Lost()) })
	return s, nil
}

// openState opens what outlives the process.
func (s *System) openState(ctx context.Context) (err error) {
	database, key := "", ""
	users := s.o.Users
	if s.o.Data != "" {
		if err := os.MkdirAll(s.o.Data, 0o700); err != nil {
			return fmt.Errorf("data directory: %w", err)
		}
		database, key = filepath.Join(s.o.Data, "egret.db"), filepath.Join(s.o.Data, "issuer.pem")
		if users == "" {
			users = filepath.Join(s.o.Data, "users.yaml")
		}
	}
	if s.store, err = sqlite.Open(ctx, database); err != nil {
		return err
	}
	s.writer = store.NewWriter(s.store)
	s.writer.Log = s.log
	s.limiter = quota.NewMemory(quota.Options{Save: s.writer.Counter})
	counters, err := s.store.Counters(ctx, time.Now())
	if err != nil {
		return err
	}
	s.limiter.Restore(counters)
	if s.users, err = local.OpenUsers(users, s.log); err != nil {
		return err
	}
	issuer, err := local.OpenIssuer(key)
	if err != nil {
		return err
	}
	s.realm, err = local.Open(ctx, local.Options{Users: s.users, Issuer: issuer, State: s.store})
	return err
}

// recorder hands every Record to those who read it.
func (s *System) recorder() func(*engine.Record) {
	ledger, trouble := &telemetry.Ledger{Writer: s.writer}, &telemetry.Trouble{Log: s.log}
	var access *telemetry.AccessLog
	if s.o.AccessLog != nil {
		access = &telemetry.AccessLog{Log: slog.New(slog.NewJSONHandler(s.o.AccessLog, nil))}
	}
	return func(r *engine.Record) {
		s.metrics.Record(r)
		ledger.Record(r)
		trouble.Record(r)
		if access != nil {
			access.Record(r)
		}
	}
}

// Run serves until ctx ends, then drains. started is called once when the
// first plan is being served.
func (s *System) Run(ctx context.Context, started func(*System)) error {
	defer s.store.Close()
	if s.o.Admin.At != "" {
		l, err := s.o.Admin.bind()
		if err != nil {
			return fmt.Errorf("admin page: %w; choose another address for it", err)
		}
		s.admin.Listener = l
	}
	// The writer outlives the requests whose records it takes.
	writing, stopWriting := context.WithCancel(context.WithoutCancel(ctx))
	written := make(chan error, 1)
	go func() { written <- s.writer.Run(writing) }()

	group, run := errgroup.WithContext(ctx)
	group.Go(func() error { return s.users.Run(run, usersInterval) })
	group.Go(func() error { return s.serveMaaS(run) })
	group.Go(func() error { return s.forget(run) })
	group.Go(func() error { return s.office.Run(run) })
	if s.admin.Listener != nil {
		group.Go(func() error { return s.admin.Run(run) })
	}
	group.Go(func() error {
		return s.source.Run(run, func(snap source.Snapshot, problems source.Problems) {
			first := !s.loaded.Load()
			if err := s.take(run, snap, problems); err != nil && first {
				group.Go(func() error { return err })
				return
			}
			if first && started != nil {
				started(s)
			}
		})
	})
	group.Go(func() error {
		<-run.Done()
		s.plane.Shutdown()
		return nil
	})
	err := group.Wait()
	stopWriting()
	return errors.Join(err, <-written)
}

// take makes a snapshot the one that is served, or keeps the one before and
// says why. A snapshot with problems is not served at all: an object that
// could not be read may be the policy that guards a route.
func (s *System) take(ctx context.Context, snap source.Snapshot, problems source.Problems) error {
	if len(problems) > 0 {
		s.refuse(snap, problems, nil)
		return problems.Err()
	}
	if s.o.Amend != nil {
		s.o.Amend(&snap)
	}
	p, conditions := compile.Compile(snap, compile.Options{Alone: true, Egress: s.egress})
	conditions = append(conditions, maas.Conditions(&snap, MaaSNamespace)...)
	err := s.surround(ctx, &snap)
	if err == nil {
		err = s.plane.Apply(ctx, p)
	}
	if err != nil {
		if s.good != nil { // the plan that serves on keeps the world it was made for
			err = errors.Join(err, s.surround(ctx, s.good))
		}
		s.refuse(snap, nil, err)
		return err
	}
	if unknown, known := s.unknownListeners(p); s.good == nil && len(unknown) > 0 {
		s.log.Warn("addresses were given for listeners that are not there", "unknown", unknown, "listeners", known)
	}
	s.good = &snap
	if e, _, err := source.FindEgress(&snap, source.EgressNamespaces...); err == nil {
		s.egress = cmp.Or(e, &source.Egress{})
	}
	s.loaded.Store(true)
	s.metrics.Reload(true, len(snap.Origins), bad(conditions), time.Now())
	s.admin.Loaded(snap, p, conditions)
	s.log.Info("configuration loaded", "plan", p.Hash(), "objects", len(snap.Origins), "conditions", len(conditions), "bad", bad(conditions))
	return s.source.Report(ctx, conditions)
}

// surround gives everything beside the plane what a snapshot says.
func (s *System) surround(ctx context.Context, snap *source.Snapshot) error {
	s.realm.Load(snap)
	s.maas.Load(snap)
	if !s.o.Simulate {
		return nil
	}
	return s.sims.load(ctx, snap)
}

// refuse tells of a snapshot that is not served. The first one ends the
// process, with an error that says it all.
func (s *System) refuse(snap source.Snapshot, problems source.Problems, err error) {
	s.metrics.Reload(false, len(snap.Origins), max(len(problems), 1), time.Now())
	s.admin.Refused(snap, problems, err)
	if s.good == nil {
		return
	}
	for _, p := range problems {
		s.log.Error("the configuration was refused, the one before serves on",
			"file", p.File, "line", p.Line, "object", p.Object, "field", p.Field, "why", p.Why, "do", p.Do)
	}
	if err != nil {
		s.log.Error("the configuration was refused, the one before serves on", "error", err)
	}
}

func bad(cs []source.Condition) (n int) {
	for _, c := range cs {
		if c.Bad() {
			n++
		}
	}
	return n
}

// ready says why requests should not be sent here; nil when they may.
func (s *System) ready() error {
	if !s.loaded.Load() {
		return errors.New("no configuration has been loaded yet")
	}
	return s.writer.Healthy()
}

// Bound lists what the plane listens on.
func (s *System) Bound() []proxy.Bound { return s.plane.Bound() }

// AdminAddress is where the admin page listens, "" when it does not.
func (s *System) AdminAddress() string { return s.admin.Address() }
