package standalone

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/egret-gateway/egret/proxy"
	"github.com/egret-gateway/egret/sim"
	simprovider "github.com/egret-gateway/egret/sim/provider"
	"github.com/egret-gateway/egret/source"
)

// Images that are simulators, by the last part of their names.
const (
	simImage         = "llm-d-inference-sim"
	simProviderImage = "provider-sim"
)

// simulators run the Deployments of the simulator's images, with the arguments
// that stand in the manifests, behind the Services that select them.
type simulators struct {
	log      *slog.Logger
	services *services

	running map[string]*simulator // by namespace/name of the Deployment
}

// simulator is one Deployment being played.
type simulator struct {
	args []string
	keys []string // of the services it stands behind
	stop context.CancelFunc
}

// load starts, restarts and stops simulators so that they are those of snap.
func (s *simulators) load(ctx context.Context, snap *source.Snapshot) error {
	if s.running == nil {
		s.running = map[string]*simulator{}
	}
	seen := map[string]bool{}
	for _, d := range snap.Deployments {
		image, args, ok := simulatorOf(d)
		if !ok {
			continue
		}
		name := d.Namespace + "/" + d.Name
		keys := behind(d, snap.Services)
		seen[name] = true
		if old := s.running[name]; old != nil {
			if slices.Equal(old.args, args) && slices.Equal(old.keys, keys) {
				continue
			}
			s.end(name)
		}
		if err := s.start(ctx, name, image, args, keys); err != nil {
			return fmt.Errorf("simulator of Deployment %s: %w", name, err)
		}
	}
	for name := range s.running {
		if !seen[name] {
			s.end(name)
		}
	}
	return nil
}

func (s *simulators) start(ctx context.Context, name, image string, args, keys []string) error {
	serve, err := newSimulator(image, args, s.log)
	if err != nil {
		return err
	}
	run, stop := context.WithCancel(ctx)
	for _, key := range keys {
		l := proxy.NewMemory(key)
		s.services.set(key, l)
		go func() {
			if err := serve(run, l); err != nil && run.Err() == nil {
				s.log.Error("a simulator stopped", "deployment", name, "service", key, "error", err)
			}
		}()
	}
	s.running[name] = &simulator{args: args, keys: keys, stop: stop}
	s.log.Info("simulator started", "deployment", name, "services", keys, "args", args)
	return nil
}

func (s *simulators) end(name string) {
	sim := s.running[name]
	for _, key := range sim.keys {
		s.services.set(key, nil)
	}
	sim.stop()
	delete(s.running, name)
}

// newSimulator returns what serves a simulator of the image on a listener.
func newSimulator(image string, args []string, log *slog.Logger) (serve func(context.Context, net.Listener) error, err error) {
	if image == simProviderImage {
		c, err := simprovider.Parse(args)
		if err != nil {
			return nil, err
		}
		c.Log = log
		s, err := simprovider.New(c)
		if err != nil {
			return nil, err
		}
		return s.Serve, nil
	}
	c, err := sim.Parse(args)
	if err != nil {
		return nil, err
	}
	c.Log = log
	s, err := sim.New(c)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, l net.Listener) error { return s.Serve(ctx, l) }, nil
}

// simulatorOf reports whether a Deployment runs a simulator's image, and with
// which arguments.
func simulatorOf(d *appsv1.Deployment) (image string, args []string, ok bool) {
	for _, c := range d.Spec.Template.Spec.Containers {
		name := c.Image[strings.LastIndexByte(c.Image, '/')+1:]
		name, _, _ = strings.Cut(name, "@")
		name, _, _ = strings.Cut(name, ":")
		if name == simImage || name == simProviderImage {
			return name, c.Args, true
		}
	}
	return "", nil, false
}

// behind lists the Service ports that lead to a Deployment's pods.
func behind(d *appsv1.Deployment, services []*corev1.Service) []string {
	var keys []string
	for _, svc := range services {
		if svc.Namespace != d.Namespace || len(svc.Spec.Selector) == 0 || !selects(svc.Spec.Selector, d.Spec.Template.Labels) {
			continue
		}
		for _, p := range svc.Spec.Ports {
			keys = append(keys, serviceKey(svc.Name, svc.Namespace, p.Port))
		}
	}
	slices.Sort(keys)
	return keys
}

func selects(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return true
}
