package kube

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"github.com/egret-gateway/egret/maas"
	"github.com/egret-gateway/egret/policy/ident"
	"github.com/egret-gateway/egret/policy/ident/kube"
	"github.com/egret-gateway/egret/source"
	objects "github.com/egret-gateway/egret/source/kube"
)

// Options of Run.
type Options struct {
	Config maas.Config
	REST   *rest.Config // leads to the API server
	// Log gets requests and what goes wrong, Audit who minted and revoked.
	Log, Audit *slog.Logger
	// Notice is how long requests are taken after the end is asked for, so that
	// gateways learn of it first; 0 = not at all.
	Notice time.Duration
	// Listening is called once with the address of the listener, for tests;
	// nil is fine.
	Listening func(net.Addr)
}

// Run serves the API until ctx ends; requests under way get 15 s then. It
// answers /health with 503 until the first snapshot is there, so that no
// gateway sends requests to an API that knows no tiers.
func Run(ctx context.Context, o Options) (err error) {
	keys, err := openKeys(ctx, o.Config, o.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, keys.Close()) }()
	direct, err := NewClient(o.REST)
	if err != nil {
		return err
	}
	reviews, err := kube.New(o.REST, nil)
	if err != nil {
		return err
	}
	world, err := objects.New(objects.Options{Config: o.REST, Log: o.Log, Kinds: kinds(o.Config)})
	if err != nil {
		return err
	}
	cluster := &Cluster{Client: direct, Namespace: o.Config.Namespace, Log: o.Log, Now: time.Now}
	server := &maas.Server{
		Cluster: cluster, Keys: keys, Config: o.Config, Log: o.Log, Audit: o.Audit, Prober: maas.Prober{Verify: o.Config.ProbeVerify},
	}
	var loaded atomic.Bool
	handler := ready(&loaded, server.Handler())
	if o.Config.Proof == maas.ProofToken {
		handler = newHop(handler, o.Config, ident.Source{Reviewer: reviews, Now: time.Now}, o.Log)
	} else {
		o.Log.Warn("everybody who reaches the listener is believed to be the gateway; keep others away with a NetworkPolicy")
	}
	listener, err := listen(ctx, o.Config, o.Log)
	if err != nil {
		return err
	}
	if o.Listening != nil {
		o.Listening(listener.Addr())
	}
	group, ctx := errgroup.WithContext(ctx)
	if d, is := keys.(*database); is {
		group.Go(func() error { return d.run(ctx) })
	}
	group.Go(func() error {
		return world.Run(ctx, func(s source.Snapshot, problems source.Problems) {
			for _, p := range problems {
				o.Log.Warn("an object is left out, because it is broken", "error", p)
			}
			server.Load(&s)
			loaded.Store(true)
		})
	})
	group.Go(func() error { return serve(ctx, listener, handler, o.Notice, o.Log) })
	group.Go(func() error {
		if err := cluster.Prepare(ctx); err != nil {
			o.Log.Warn("there is no deny-list yet; the first revocation makes it", "error", err)
		}
		return nil
	})
	certificate := &gatewayCertificate{client: direct, config: o.Config, log: o.Log, now: time.Now}
	group.Go(func() error { return certificate.run(ctx) })
	return group.Wait()
}

// kinds are what the API answers from. A kind that is not installed, such as
// LLMInferenceService, counts as empty and keeps nobody waiting.
func kinds(c maas.Config) []objects.Kind {
	return []objects.Kind{
		{Name: "ConfigMap", Namespace: c.Namespace}, {Name: "HTTPRoute"}, {Name: "LLMInferenceService"},
	}
}

// serve answers requests until ctx ends, and for notice beyond, when it has
// clients close their connections.
func serve(ctx context.Context, l net.Listener, h http.Handler, notice time.Duration, log *slog.Logger) error {
	server := maas.NewHTTPServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ctx.Err() != nil {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	}))
	server.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	stopped := make(chan error, 1)
	end := context.AfterFunc(ctx, func() {
		time.Sleep(notice)
		stopped <- maas.Shutdown(ctx, server)
	})
	defer end()
	log.Info("server starting", "address", l.Addr().String())
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the API: %w", err)
	}
	if err := <-stopped; err != nil {
		return fmt.Errorf("requests under way were cut off: %w", err)
	}
	log.Info("server exited gracefully")
	return nil
}

// ready answers /health with 503 until there is something to serve from.
func ready(loaded *atomic.Bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loaded.Load() && r.URL.Path == "/health" {
			http.Error(w, "the cluster's objects are not read yet", http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func listen(ctx context.Context, c maas.Config, log *slog.Logger) (net.Listener, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", c.Address)
	if err != nil {
		return nil, fmt.Errorf("listen for the API: %w", err)
	}
	if !c.TLS.On() {
		return l, nil
	}
	secured, err := serverTLS(c.TLS, c.Instance)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	log.Info("TLS is on", "secure", true, "selfSigned", c.TLS.SelfSigned)
	return tls.NewListener(l, secured), nil
}
