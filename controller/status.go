package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/compile"
	"github.com/egret-gateway/egret/envoy"
	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/fleet"
	"github.com/egret-gateway/egret/sight"
	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/source/kube"
	"github.com/egret-gateway/egret/xds"
)

const (
	// swift is how long planes usually need at most to take a change: status
	// is not written before, so that a change does not show as an outage.
	swift = 1500 * time.Millisecond
	// settling is how long after a change of leadership pods that ran before
	// may need to find the new leader: status stays as it is meanwhile.
	settling = 20 * time.Second
	// tolerated is for how long the objects of a Gateway that serves may fail to
	// be applied before that shows: an API server may be busy for a moment.
	tolerated = time.Minute
	// idle is how long the loop may do nothing.
	idle = time.Minute
)

// maasService is the MaaS API's Service.
const maasService = "maas-api"

// report has status written and returns after how long to look again. A
// Gateway whose planes are waited for keeps the status that it has, and so do
// its routes and policies; all others get theirs.
func (c *Controller) report(now time.Time) time.Duration {
	if !c.synced.Load() || !c.lead.leading.Load() {
		return idle
	}
	again, waiting := idle, map[string]bool{}
	st := kube.Status{Conditions: slices.Clone(c.conditions), Addresses: map[source.Key][]gwv1.GatewayStatusAddress{}, Features: compile.Features()}
	for key, g := range c.gateways {
		c.unbind(g)
		p, pending := c.unprogrammed(g)
		u, unbound := g.unreviewed()
		if left := c.patience(g, pending || unbound, now); left > 0 {
			waiting[key], again = true, min(again, left)
		}
		if u != nil {
			unenforced(st.Conditions, g.reviewing, u)
		}
		c.tell(&st, g.fleet, cmp.Or(c.frozen[key], p))
	}
	for i := range c.withheld {
		c.tell(&st, &c.withheld[i], c.frozen[keyOf(c.withheld[i].Gateway)])
	}
	seen, next := c.sights.say(now)
	st.Conditions = append(st.Conditions, sight.Conditions(seen, c.conditions)...)
	again = min(again, next, c.sights.tell(now, c.turned))
	st.Held = held(&c.snapshot, st.Conditions, waiting)
	c.prune()
	c.confirm()
	if c.handed == nil || !st.Equal(c.handed) { // else it is being written, or was
		c.handed = &st
		c.events.tell(&c.snapshot, &st)
		c.hand(st)
	}
	return again
}

// tell says of a Gateway where it is reached, and what is wrong with it.
func (c *Controller) tell(st *kube.Status, f *fleet.Fleet, p *problem) {
	key := source.Key{Kind: "Gateway", Namespace: f.Gateway.Namespace, Name: f.Gateway.Name}
	st.Addresses[key] = fleet.Addresses(serviceOf(&c.snapshot, f))
	if p != nil {
		retract(about(st.Conditions, key), string(gwv1.GatewayConditionProgrammed), p)
	}
}

// patience is for how long a Gateway's status may wait for its planes.
func (c *Controller) patience(g *gateway, pending bool, now time.Time) time.Duration {
	switch {
	case !pending:
		g.waiting = time.Time{}
		return 0
	case g.waiting.IsZero():
		g.waiting = now
	}
	left := swift - now.Sub(g.waiting)
	if g.state.Available > 0 || !g.tried() { // pods that ran before this replica led are on their way here
		left = max(left, settling-now.Sub(c.since))
	}
	return left
}

// problem is why a Gateway is not Programmed.
type problem struct{ reason, message string }

// unprogrammed says why a Gateway is not programmed though it could be
// compiled; nil when it is. pending is set when only its planes are waited for.
func (c *Controller) unprogrammed(g *gateway) (p *problem, pending bool) {
	if len(g.state.Conflicts) > 0 {
		return &problem{string(gwv1.GatewayReasonInvalid), strings.Join(g.state.Conflicts, "; ")}, false
	}
	got, nack := c.streams(g)
	switch {
	case g.failed != nil && (!got || c.now().Sub(g.failing) > tolerated):
		return &problem{string(gwv1.GatewayReasonNoResources), "What runs for the Gateway could not be brought up to date: " + brief(g.failed.Error())}, false
	case nack != "":
		return &problem{string(gwv1.GatewayReasonInvalid), "The data plane refused the configuration and serves the one before: " + nack}, false
	case !got:
		return &problem{string(gwv1.GatewayReasonPending), "Waiting for the data plane's pods to take the configuration."}, true
	}
	return unaddressed(g.fleet, serviceOf(&c.snapshot, g.fleet)), false
}

// unaddressed says that a fleet's Service has no address, or not the one that
// its Gateway asks for, as where no load balancer takes the wish; nil when it
// has.
func unaddressed(f *fleet.Fleet, svc *corev1.Service) *problem {
	got := fleet.Addresses(svc)
	if len(got) == 0 {
		return &problem{string(gwv1.GatewayReasonAddressNotAssigned), "Service " + f.Name() + " has no address yet."}
	}
	for _, want := range f.Gateway.Spec.Addresses {
		if want.Value != "" && !slices.ContainsFunc(got, func(a gwv1.GatewayStatusAddress) bool { return a.Value == want.Value }) {
			return &problem{string(gwv1.GatewayReasonAddressNotUsable), fmt.Sprintf("Address %s is asked for, and Service %s of type %s has %s; "+
				"ask for one that the cluster's load balancer gives, or for none.", want.Value, f.Name(), svc.Spec.Type, got[0].Value)}
		}
	}
	return nil
}

// streams says whether a pod has all of the current configuration, and what a
// pod said that refused it. On the Envoy plane a pod is two streams, which are
// told apart by what they subscribe to. Envoys of before a change of plane have
// no say.
func (c *Controller) streams(g *gateway) (got bool, nack string) {
	wanted := map[string]bool{feed.TypeHead: false}
	if g.runsEnvoy() {
		wanted[envoy.TypeListener] = false
		if g.has(envoy.TypeRoute) {
			wanted[envoy.TypeRoute] = false
		}
	}
	for _, s := range c.xds.Streams(g.node) {
		for _, sub := range s.Types {
			if !g.runsEnvoy() && slices.Contains(envoy.Types, sub.Type) {
				continue
			}
			if sub.Nack != nil && versionOf(sub.Nack.Set).plan == g.hash {
				nack = sub.Nack.Message
			}
			if _, ok := wanted[sub.Type]; ok && g.set != nil && sub.Acked == g.set.ID {
				wanted[sub.Type] = true
			}
		}
	}
	for _, ok := range wanted {
		if !ok {
			return false, nack
		}
	}
	return true, nack
}

// has reports whether the current Set has a resource of the type.
func (g *gateway) has(typ string) bool {
	return g.set != nil && slices.ContainsFunc(g.transport, func(r xds.Resource) bool { return r.Type == typ })
}

// retract turns the promise of a condition's type, for an object and its parts,
// into what is true.
func retract(cs []source.Condition, typ string, p *problem) {
	for i := range cs {
		at := &cs[i]
		if at.Type != typ || at.Status != metav1.ConditionTrue {
			continue
		}
		at.Status, at.Reason, at.Message = metav1.ConditionFalse, p.reason, p.message
		if at.Parent.SectionName != "" && at.Reason != string(gwv1.ListenerReasonPending) {
			at.Reason = string(gwv1.ListenerReasonInvalid)
		}
	}
}

func brief(text string) string {
	const most = 1 << 10
	if len(text) > most {
		text = text[:most] + "…"
	}
	return text
}

// hand gives the writer what to write; of two wishes the later counts.
func (c *Controller) hand(st kube.Status) {
	select {
	case <-c.writes:
	default:
	}
	c.writes <- st
}

// write writes status until ctx ends.
func (c *Controller) write(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case st := <-c.writes:
			if !c.lead.leading.Load() {
				continue
			}
			if err := c.source.Write(ctx, st); err != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled) {
				c.log.Error("status could not be written whole; it is tried again", "error", err)
				c.metrics.unwritten()
			}
			if !c.lead.leading.Load() { // lost meanwhile: another replica's word counts
				c.source.Rest()
			}
		}
	}
}

// refused tells of objects that could not be read.
func (c *Controller) refused(problems source.Problems) {
	for _, p := range problems {
		c.log.Error("an object could not be read", "object", p.Object, "field", p.Field, "why", p.Why, "do", p.Do)
	}
	c.metrics.problems(len(problems))
}

func (c *Controller) now() time.Time { return time.Now() }
