package controller

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/envoy"
	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/fleet"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/xds"
)

// gateway is one Gateway of ours and what was made of it.
type gateway struct {
	fleet *fleet.Fleet
	node  string // xDS node id
	mark  string // of what the fleet was last applied for

	plan      *plan.Plan
	hash      string         // of plan
	envoys    bool           // there are Envoys: its plane is theirs, or some of before are still connected
	transport []xds.Resource // Envoy's, for plan; nil without Envoys
	keep      []string       // hashes of earlier plans that its Envoys may still route by, oldest first
	set       *xds.Set       // put last
	reviewing []string       // AuthPolicies of plan that have its pods review tokens or access

	state   fleet.State // what came of applying the fleet
	applied bool        // state is known and whole
	bound   bool        // state is that of a fleet with Reviews
	failed  error
	failing time.Time // since when

	own *subjects // what its pods may speak about

	waiting time.Time // since when planes are waited for; zero = they are not
}

// tried reports whether it is known what there is of the fleet.
func (g *gateway) tried() bool { return g.applied || g.failed != nil }

func keyOf(o *gwv1.Gateway) string { return o.Namespace + "/" + o.Name }

// parameters are those of the class with the Gateway's over them. What cannot
// be read is compile's to report; the fleet runs with what can.
func parameters(s *source.Snapshot, o *gwv1.Gateway) source.Parameters {
	var out source.Parameters
	for _, class := range s.GatewayClasses {
		if ref := class.Spec.ParametersRef; ref != nil && class.Name == string(o.Spec.GatewayClassName) && ref.Namespace != nil {
			out = out.With(parametersOf(s, string(*ref.Namespace), ref.Name))
		}
	}
	if i := o.Spec.Infrastructure; i != nil && i.ParametersRef != nil {
		out = out.With(parametersOf(s, o.Namespace, i.ParametersRef.Name))
	}
	return out
}

func parametersOf(s *source.Snapshot, namespace, name string) source.Parameters {
	for _, m := range s.ConfigMaps {
		if m.Namespace == namespace && m.Name == name {
			if p, err := source.ParseParameters(m); err == nil {
				return p
			}
		}
	}
	return source.Parameters{}
}

// translate makes Envoy's resources for the plan.
func (g *gateway) translate(systemCAs []byte) {
	g.transport = nil
	if g.envoys {
		g.transport = envoy.Translate(g.plan, keyOf(g.fleet.Gateway), envoy.Options{AccessLog: logs(g.fleet), SystemCAs: systemCAs})
	}
}

// runsEnvoy reports whether the Gateway's plane is Envoy's.
func (g *gateway) runsEnvoy() bool { return g.fleet.Plane() == source.PlaneEnvoy }

// routesBy reports whether one of the streams is an Envoy's. Those of before a
// change of plane serve on, and so must be told what changes, until they go.
func routesBy(streams []xds.Stream) bool {
	return slices.ContainsFunc(streams, func(s xds.Stream) bool {
		return slices.ContainsFunc(s.Types, func(sub xds.Subscription) bool { return sub.Type == envoy.TypeListener })
	})
}

// mostKept bounds the earlier plans that pods keep for a slow Envoy.
const mostKept = 16

// leave notes that the plan becomes an earlier one, before pods are told of
// the next: an engine that takes the next keeps this one, as Envoy has it still.
func (g *gateway) leave(next string) {
	if !g.envoys {
		g.keep = nil
		return
	}
	if g.hash == "" { // since the start there was none
		return
	}
	g.keep = slices.DeleteFunc(append(slices.Clone(g.keep), g.hash), func(hash string) bool { return hash == next })
	g.keep = g.keep[max(0, len(g.keep)-mostKept):]
}

// kept are the earlier plans that are still needed when the Envoys have said
// by which they route: those from the oldest on, since what was sent after it
// may be in use before that is said.
func (g *gateway) kept(routed []string) []string {
	oldest := len(g.keep)
	for _, hash := range routed {
		if i := slices.Index(g.keep, hash); i >= 0 {
			oldest = min(oldest, i)
		}
	}
	if len(routed) == 0 {
		oldest = 0
	}
	return g.keep[oldest:]
}

// logs reports whether a fleet's pods write an access log.
func logs(f *fleet.Fleet) bool {
	a := f.Parameters.AccessLog
	return a != nil && *a
}

// version is the ID of a Set: the plan and the denials that are in it, which is
// what acknowledgements are read for, and a digest of all that is.
type version struct{ plan, epoch, all string }

func (v version) String() string { return v.plan + "/" + v.epoch + "/" + v.all }

// versionOf reads the ID of a Set; what was never acknowledged has a zero one.
func versionOf(id string) (v version) {
	v.plan, id, _ = strings.Cut(id, "/")
	v.epoch, v.all, _ = strings.Cut(id, "/")
	return v
}

// publish makes the Set of what the Gateway's pods may have; nil when it is
// the one that they may have already.
func (g *gateway) publish(settings feed.Settings, denied []feed.Denial) *xds.Set {
	settings.AccessLog = logs(g.fleet)
	f := feed.Feed{Gateway: keyOf(g.fleet.Gateway), Plan: g.plan, Settings: settings, Denied: denied, Keep: g.keep}
	types, gate, resources := feed.Types, 0, f.Resources()
	if g.envoys {
		types, gate = slices.Concat(feed.Types, envoy.Types), len(feed.Types)+envoy.Gate
		resources = append(resources, g.transport...)
	}
	next := xds.NewSet(types, resources)
	next.ID, next.Gate = version{g.hash, f.Epoch(), next.Digest()}.String(), gate
	if g.set != nil && g.set.ID == next.ID {
		return nil
	}
	g.set = next
	return next
}

// settingsOf reads the fleet's settings from a Secret of the controller's.
func settingsOf(s *source.Snapshot, namespace, name string) feed.Settings {
	for _, secret := range s.Secrets {
		if secret.Namespace == namespace && secret.Name == name {
			return feed.Settings{Counters: string(secret.Data["counters"]), Ledger: string(secret.Data["ledger"])}
		}
	}
	return feed.Settings{}
}

// SettingsSecret is the Secret in the controller's namespace that says where
// what all pods share is kept: keys counters (redis:// or rediss://) and
// ledger (postgres://), unless Options name another. Without it every pod
// counts for itself.
const SettingsSecret = "egret-settings"

// serviceOf is the Service before a Gateway's pods, as it is in the cluster.
func serviceOf(s *source.Snapshot, f *fleet.Fleet) *corev1.Service {
	for _, svc := range s.Services {
		if svc.Namespace == f.Gateway.Namespace && svc.Name == f.Name() {
			return svc
		}
	}
	return nil
}
