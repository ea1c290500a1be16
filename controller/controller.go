package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/feed/authority"
	"github.com/egret-gateway/egret/feed/pods"
	"github.com/egret-gateway/egret/fleet"
	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/source/kube"
	"github.com/egret-gateway/egret/xds"
)

// Options of a Controller.
type Options struct {
	Config *rest.Config // of the API server
	Name   string       // controllerName of the classes that are served
	Self   Self
	// Plane is what fleets run that do not say: source.PlaneEnvoy or
	// PlaneNative; "" leaves it to the class.
	Plane      string
	EnvoyImage string
	// XDSAddress is host:port by which pods reach XDSListen.
	XDSAddress, XDSListen string
	// HealthListen answers /healthz, /readyz and /metrics.
	HealthListen string
	// MaaSNamespace is where the MaaS API and its deny-list are.
	MaaSNamespace string
	// Settings is the Secret of the controller's namespace that says where what
	// all pods share is kept; "" is SettingsSecret.
	Settings string
	// PullSecrets are the Secrets by which pods of Gateways pull their images,
	// by name; each Gateway's namespace has its own.
	PullSecrets []string
	// AssignsUser is set on clusters that choose the users of pods, such as
	// OpenShift.
	AssignsUser bool
	// SystemCAs are what Envoys trust where nothing else is said, PEM.
	SystemCAs []byte
	Log       *slog.Logger
	Version   string
}

// Controller serves one controllerName. Everything below its channels belongs
// to the loop.
type Controller struct {
	o            Options
	log          *slog.Logger
	client       client.Client
	source       *kube.Source
	xds          *xds.Server
	lead         *lead
	fleets       *fleets
	events       *events
	metrics      *metrics
	ranges       *ranges
	ca           *authority.Authority
	authenticate func(context.Context) (xds.Peer, error) // pods
	owners       atomic.Pointer[map[string]string]       // node id → namespace/ServiceAccount
	synced       atomic.Bool                             // a first snapshot was taken

	snapshots chan snapshot
	acked     *nodes // whose acknowledgements changed
	writes    chan kube.Status
	deliver   chan delivery
	heard     chan heard

	snapshot   source.Snapshot
	conditions []source.Condition
	gateways   map[string]*gateway // by namespace/name
	settings   feed.Settings
	denied     []feed.Denial
	egress     egress
	since      time.Time           // leading
	unread     []string            // kinds of policies that are there and may not be read
	frozen     map[string]*problem // why Gateways are not brought up to date, by namespace/name
	withheld   []fleet.Fleet       // of those of them that were not since the start
	stale      bool                // what nobody wants of fleets may be there
	delivered  map[string]string
	handed     *kube.Status // for writing, last
	sights     sights
}

type snapshot struct {
	source.Snapshot
	problems source.Problems
	unread   []string
}

// New returns a controller that does nothing until Run.
func New(ctx context.Context, o Options) (*Controller, error) {
	c := &Controller{
		o: o, log: o.Log, metrics: newMetrics(), gateways: map[string]*gateway{}, delivered: map[string]string{},
		snapshots: make(chan snapshot), acked: newNodes(), writes: make(chan kube.Status, 1), deliver: make(chan delivery, 1), heard: make(chan heard),
	}
	var err error
	if c.client, err = client.New(o.Config, client.Options{Scheme: scheme()}); err != nil {
		return nil, fmt.Errorf("API server: %w", err)
	}
	if c.source, err = kube.New(kube.Options{Config: o.Config, Controller: o.Name, Log: o.Log}); err != nil {
		return nil, err
	}
	if c.ca, err = openAuthority(ctx, c.client, o.Self.Namespace, leaseName(o.Name), o.Log); err != nil {
		return nil, err
	}
	http, err := rest.HTTPClientFor(o.Config)
	if err != nil {
		return nil, fmt.Errorf("API server: %w", err)
	}
	c.lead = newLead(o.Self.Namespace, leaseName(o.Name), o.Self.Pod, o.Log)
	verifier := &pods.Verifier{Server: o.Config.Host, Client: http}
	c.authenticate = verifier.Authenticate(c.nodesOf)
	c.xds = xds.NewServer(xds.Options{
		Authenticate: c.authenticate, Serving: c.serving, Changed: c.acked.add, Log: o.Log,
	})
	c.fleets = newFleets(&fleet.Applier{Client: c.client, Controller: o.Name, Log: o.Log}, o.Log)
	c.events = newEvents(o.Config, o.Name, o.Log)
	c.ranges = newRanges(c.client, o.Log)
	c.owners.Store(&map[string]string{})
	c.metrics.collect(c.xds, c.source, c.lead)
	return c, nil
}

// nodesOf says whose feed a pod may have: that of the Gateway whose fleet has
// its ServiceAccount (B-30).
func (c *Controller) nodesOf(p pods.Pod) func(node string) bool {
	account := p.Namespace + "/" + p.ServiceAccount
	return func(node string) bool { return (*c.owners.Load())[node] == account }
}

// errFollower keeps planes away from replicas that write no status.
var errFollower = errors.New("another replica of the controller leads")

func (c *Controller) serving() error {
	switch {
	case !c.lead.leading.Load():
		return errFollower
	case !c.synced.Load():
		return errors.New("the controller has not read the cluster yet")
	}
	return nil
}

// Run works until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	health, err := net.Listen("tcp", c.o.HealthListen)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	group, run := errgroup.WithContext(ctx)
	group.Go(func() error { return c.serveXDS(run) })
	group.Go(func() error { return c.serveHealth(run, health) })
	group.Go(func() error { return c.lead.Run(run, c.o.Config) })
	group.Go(func() error { c.fleets.Run(run); return nil })
	group.Go(func() error { return c.events.Run(run) })
	group.Go(func() error { return c.write(run) })
	group.Go(func() error { return c.deliverAll(run) })
	group.Go(func() error { return c.ranges.Run(run) })
	group.Go(func() error {
		return c.source.Run(run, func(s source.Snapshot, p source.Problems) {
			select {
			case c.snapshots <- snapshot{s, p, c.source.Unread()}:
			case <-run.Done():
			}
		})
	})
	group.Go(func() error { c.loop(run); return nil })
	c.log.Info("controller started", "controller", c.o.Name, "image", c.o.Self.Image, "envoy", c.o.EnvoyImage, "xds", c.o.XDSAddress)
	err = group.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// leadLook is how often it is looked whether this replica leads.
const leadLook = 100 * time.Millisecond

// serveXDS serves xDS while this replica leads. The others do not even listen:
// a client that is refused a stream may keep the connection and ask the same
// replica for ever, while one that is refused the connection is led to another.
func (c *Controller) serveXDS(ctx context.Context) error {
	host, _ := c.xdsHost()
	options := append(xds.ServerOptions(), grpc.Creds(credentials.NewTLS(c.ca.TLS(host))))
	for {
		if !c.await(ctx, func() bool { return c.serving() == nil }) {
			return nil
		}
		listener, err := net.Listen("tcp", c.o.XDSListen)
		if err != nil {
			return fmt.Errorf("xDS: %w", err)
		}
		server := grpc.NewServer(options...)
		c.xds.Register(server)
		(&feed.Hearer{Authenticate: c.authenticate, Heard: c.hear(ctx), Left: c.miss(ctx)}).Register(server)
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(listener) }()
		c.await(ctx, func() bool { return c.serving() != nil })
		server.Stop()
		if err := <-ended; err != nil && ctx.Err() == nil && c.serving() == nil {
			return fmt.Errorf("xDS: %w", err)
		}
	}
}

// await returns when ok holds, or false when ctx has ended.
func (c *Controller) await(ctx context.Context, ok func() bool) bool {
	tick := time.NewTicker(leadLook)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return ctx.Err() == nil
}

// loop owns what is below the channels.
func (c *Controller) loop(ctx context.Context) {
	patience := time.NewTimer(time.Hour)
	defer patience.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-c.snapshots:
			c.refused(s.problems)
			c.unread = s.unread
			c.take(s.Snapshot)
			c.synced.Store(true)
		case <-c.lead.changed:
			c.led()
		case <-c.acked.wake:
			for _, node := range c.acked.take() {
				c.acknowledged(node)
			}
		case r := <-c.fleets.results:
			c.applied(r)
		case found := <-c.ranges.found:
			c.ranged(found)
		case h := <-c.heard:
			if !c.listenAll(h) {
				continue
			}
		case <-patience.C:
		}
		patience.Reset(c.report(time.Now()))
	}
}

// xdsHost splits XDSAddress.
func (c *Controller) xdsHost() (host string, port uint32) {
	host, text, err := net.SplitHostPort(c.o.XDSAddress)
	if err != nil {
		return c.o.XDSAddress, 0
	}
	n, _ := strconv.ParseUint(text, 10, 16)
	return host, uint32(n)
}
