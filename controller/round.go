package controller

import (
	"cmp"
	"slices"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/compile"
	"github.com/egret-gateway/egret/envoy"
	"github.com/egret-gateway/egret/fleet"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/source"
)

// take makes a snapshot the one that is served.
func (c *Controller) take(s source.Snapshot) {
	begun := c.now()
	c.settings = settingsOf(&s, c.o.Self.Namespace, cmp.Or(c.o.Settings, SettingsSecret))
	c.rule(&s)
	c.egress.enclose(&c.settings)
	p, conditions := compile.Compile(s, compile.Options{
		Controllers: []string{c.o.Name}, Apart: c.apart(&s), Egress: c.egress.last(), Namespace: c.o.Self.Namespace, MaaSNamespace: c.o.MaaSNamespace,
	})
	if c.settings.Ledger == "" {
		alone(p)
	}
	c.snapshot, c.conditions = s, conditions
	c.settings.MaaS = c.o.MaaSNamespace + "/" + maasService
	c.denied = c.denials(&s)

	c.withheld, c.frozen = nil, map[string]*problem{}
	owners, seen := map[string]string{}, map[string]bool{}
	oldest := oldest(&s, c.o.Name)
	for _, o := range s.Gateways {
		class, ours := s.Class(string(o.Spec.GatewayClassName))
		if !ours || class.Controller != c.o.Name || o.DeletionTimestamp != nil {
			continue
		}
		key := keyOf(o)
		seen[key] = true
		if first := oldest[source.NodeID(class, o.Namespace, o.Name)]; first != nil && first != o {
			delete(c.gateways, key)
			c.frozen[key] = &problem{string(gwv1.GatewayReasonInvalid), "Its pods would be taken for those of Gateway " + keyOf(first) + ", which was there first: the digests of both names are one. Give it another name."}
			c.withheld = append(c.withheld, whole(o, class))
			c.fleets.know(key, whole(o, class))
			continue
		}
		if why := c.unserved(o, class); why != nil {
			c.frozen[key] = why
			// What runs goes on as it was; what does not is not begun.
			if g := c.gateways[key]; g != nil {
				owners[g.node] = o.Namespace + "/" + g.fleet.Name()
				c.publish(g)
			} else {
				c.withheld = append(c.withheld, whole(o, class))
				c.fleets.know(key, whole(o, class))
			}
			continue
		}
		part := p.For(key)
		g := c.gateway(o, class, part)
		owners[g.node] = o.Namespace + "/" + g.fleet.Name()
		c.feed(g, part)
	}
	c.owners.Store(&owners)
	for key, g := range c.gateways {
		if !seen[key] {
			if owners[g.node] == "" {
				c.xds.Put(g.node, nil)
			}
			delete(c.gateways, key)
		}
	}
	there := map[string]bool{}
	for i := range p.Backends {
		there[p.Backends[i].Object] = true
	}
	c.sights.keep(func(object string) bool { return there[object] })
	if c.fleets.only(seen) {
		c.stale = true
	}
	c.prune()
	c.metrics.round(c.now().Sub(begun), len(c.gateways), len(s.HTTPRoutes))
}

// oldest returns the Gateways of a controller by their node ids. An id is a short
// digest, so that somebody may look for a name that has another's; whoever was
// there first keeps it.
func oldest(s *source.Snapshot, controller string) map[string]*gwv1.Gateway {
	out := map[string]*gwv1.Gateway{}
	for _, o := range s.Gateways {
		class, ours := s.Class(string(o.Spec.GatewayClassName))
		if !ours || class.Controller != controller || o.DeletionTimestamp != nil {
			continue
		}
		node := source.NodeID(class, o.Namespace, o.Name)
		if first := out[node]; first == nil || o.CreationTimestamp.Before(&first.CreationTimestamp) {
			out[node] = o
		}
	}
	return out
}

// alone takes from a plan which Gateways call each other: without a ledger there
// is no account to be written twice, and pods of releases before plan.Format 2
// can read the plan.
func alone(p *plan.Plan) {
	for i := range p.Backends {
		p.Backends[i].Fronts = ""
	}
}

// apart are the Gateways whose pods count alone, with how many these are.
func (c *Controller) apart(s *source.Snapshot) map[string]int {
	out := map[string]int{}
	for _, o := range s.Gateways {
		switch p := parameters(s, o); {
		case c.settings.Counters != "":
		case p.Autoscaling != nil:
			out[keyOf(o)] = int(p.Autoscaling.Max)
		case p.Replicas != nil:
			out[keyOf(o)] = int(*p.Replicas)
		}
	}
	return out
}

// gateway brings what is known of a Gateway up to date. Its fleet is applied
// when it is to be another, or when what there is of it has changed.
func (c *Controller) gateway(o *gwv1.Gateway, class source.Class, p *plan.Plan) *gateway {
	g := c.gateways[keyOf(o)]
	if g == nil {
		g = &gateway{}
		c.gateways[keyOf(o)] = g
	}
	was := g.fleet
	g.reviewing = reviewing(p)
	f := c.fleetOf(o, class)
	f.Reviews = len(g.reviewing) > 0 || was != nil && was.Reviews // until no pod needs it: see unbind
	f.Guarded = len(p.Policies) > 0
	g.node, g.fleet = source.NodeID(class, o.Namespace, o.Name), f
	c.fleets.know(keyOf(o), *f)
	c.stale = c.stale || was != nil && was.Plane() != f.Plane()
	if was != nil && logs(was) != logs(f) {
		g.plan = nil
	}
	if mark := plan.Digest(c.seen(f)); mark != g.mark {
		g.mark = mark
		if c.lead.leading.Load() {
			c.fleets.want(keyOf(o), f)
		}
	}
	return g
}

// fleetOf is the fleet that a Gateway is to have, but for what its policies
// make of it.
func (c *Controller) fleetOf(o *gwv1.Gateway, class source.Class) *fleet.Fleet {
	f := &fleet.Fleet{
		Gateway: o, Class: class, Parameters: parameters(&c.snapshot, o), CA: c.ca.CA(), Image: c.o.Self.Image, Pull: c.o.Self.Pull, EnvoyImage: c.o.EnvoyImage,
		XDSAddress: c.o.XDSAddress, PullSecrets: c.o.PullSecrets, AssignsUser: c.o.AssignsUser,
		// Pods take counters and ledger up at their start, so they roll with them.
		Env: map[string]string{"EGRET_SETTINGS": rolling(c.settings)},
	}
	if f.Parameters.Plane == "" {
		f.Parameters.Plane = c.o.Plane
	}
	if f.Plane() == source.PlaneEnvoy {
		host, port := c.xdsHost()
		f.Files = envoy.Files(envoy.BootstrapOptions{
			NodeID: source.NodeID(class, o.Namespace, o.Name), Gateway: keyOf(o), Controller: host, Port: port,
		})
	}
	return f
}

// seen is what decides whether a fleet must be looked at again: what it is to
// be, and those of its objects that are watched.
func (c *Controller) seen(f *fleet.Fleet) any {
	type object struct {
		Labels, Annotations map[string]string
		Spec                any
	}
	var there []object
	for _, s := range c.snapshot.Services {
		if s.Namespace == f.Gateway.Namespace && s.Name == f.Name() {
			there = append(there, object{s.Labels, s.Annotations, s.Spec})
		}
	}
	for _, d := range c.snapshot.Deployments {
		if d.Namespace == f.Gateway.Namespace && d.Name == f.Name() {
			there = append(there, object{d.Labels, d.Annotations, d.Spec})
		}
	}
	for _, a := range c.snapshot.ServiceAccounts {
		if a.Namespace == f.Gateway.Namespace && a.Name == f.Name() {
			there = append(there, object{a.Labels, a.Annotations, "ServiceAccount"})
		}
	}
	for _, m := range c.snapshot.ConfigMaps {
		if m.Namespace == f.Gateway.Namespace && m.Name == f.Name() {
			there = append(there, object{m.Labels, m.Annotations, m.Data})
		}
	}
	return []any{f.Gateway.UID, f.Gateway.Spec, f.Class, f.Parameters, f.Files, string(f.CA), f.Image, f.Pull, f.EnvoyImage, f.XDSAddress, f.Env, f.Reviews, f.Guarded, there}
}

// feed gives a Gateway's pods what they may have now.
func (c *Controller) feed(g *gateway, p *plan.Plan) {
	hash, envoys := p.Hash(), g.runsEnvoy() || routesBy(c.xds.Streams(g.node))
	if g.plan == nil || hash != g.hash || envoys != g.envoys {
		g.envoys = envoys
		g.leave(hash)
		g.plan, g.hash = p, hash
		g.translate(c.o.SystemCAs)
	}
	c.publish(g)
}

func (c *Controller) publish(g *gateway) {
	if set := g.publish(c.settings, c.denied); set != nil {
		c.xds.Put(g.node, set)
	}
}

// prune has what is left of Gateways that are gone removed.
func (c *Controller) prune() {
	if !c.stale || !c.lead.leading.Load() {
		return
	}
	c.stale = false
	c.fleets.prune()
}

// led is called when this replica begins or ceases to lead.
func (c *Controller) led() {
	c.handed = nil
	for _, g := range c.gateways { // what another replica does meanwhile is not known
		g.applied, g.failed = false, nil
	}
	clear(c.delivered) // what was still owed when the lead went was not written
	if !c.lead.leading.Load() {
		select {
		case <-c.writes:
		default:
		}
		c.fleets.drop()
		c.source.Rest()
		return
	}
	c.since, c.stale = c.now(), true
	c.sights = sights{} // what was known before is older than what another leader has said
	for key, g := range c.gateways {
		c.fleets.want(key, g.fleet)
	}
	if c.synced.Load() {
		c.prune()
	}
}

// applied notes what came of applying a fleet.
func (c *Controller) applied(r applied) {
	if r.key == pruning {
		// What became wanted while it was removed comes back.
		for key, g := range c.gateways {
			if g.fleet.Reviews && c.lead.leading.Load() {
				c.fleets.want(key, g.fleet)
			}
		}
		return
	}
	if g := c.gateways[r.key]; g != nil {
		if r.err != nil && g.failed == nil {
			g.failing = c.now()
		}
		if g.applied, g.failed = r.err == nil, r.err; g.applied {
			g.state = r.state
		}
		g.bound = r.fleet.Reviews
		c.stale = c.stale || r.fleet.Reviews && !g.fleet.Reviews // applied after it was taken back
	}
}

// acknowledged tells a Gateway's engines which earlier plans its Envoys still
// route by, so that these are served until all have left them.
func (c *Controller) acknowledged(node string) {
	for _, g := range c.gateways {
		if g.node != node || g.plan == nil {
			continue
		}
		streams := c.xds.Streams(node)
		if envoys := g.runsEnvoy() || routesBy(streams); envoys != g.envoys {
			c.feed(g, g.plan)
		}
		if !g.envoys {
			continue
		}
		var routed []string
		for _, s := range streams {
			for _, sub := range s.Types {
				if v := versionOf(sub.Acked); sub.Type == envoy.TypeRoute && v.plan != "" {
					routed = append(routed, v.plan)
				}
			}
		}
		if keep := g.kept(routed); !slices.Equal(keep, g.keep) {
			g.keep = keep
			c.publish(g)
		}
	}
}
