package compile

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/egret-gateway/egret/api/ainetworking/v0alpha0"
	"github.com/egret-gateway/egret/plan"
)

// Annotations on Services and XBackendDestinations.
const (
	annotationCredential = "egret.dev/forward-credential"
	annotationUsage      = "egret.dev/ask-usage"
)

// backendKey is one port of one object that routes send traffic to.
type backendKey struct {
	kind string
	name
	port int32
}

// backend is a backend that a route refers to, or why it cannot be one.
type backend struct {
	plan    plan.Backend
	problem *problem

	// Of an XBackendDestination: why it cannot serve, and what it does that
	// it should not.
	unavailable *problem
	degraded    []*problem
	notes       []string // what else is worth saying of it
}

// resolve returns the name of the backend that a backendRef refers to. Kind
// Backend stands for XBackendDestination; its group may be left out.
func (c *compiler) resolve(from referrer, ref *gwv1.BackendRef) (string, *problem) {
	target := name{string(deref(ref.Namespace, gwv1.Namespace(from.namespace))), string(ref.Name)}
	group, kind := string(deref(ref.Group, "")), string(deref(ref.Kind, "Service"))
	to := referent{namespace: target.ns, name: target.name}
	switch {
	case group == "" && kind == "Service":
		to.kinds = []string{kind}
	case (group == v0alpha0.Group && kind == v0alpha0.KindXBackendDestination) ||
		((group == v0alpha0.Group || group == "") && kind == v0alpha0.KindBackend):
		kind = v0alpha0.KindXBackendDestination
		to.group, to.kinds = v0alpha0.Group, []string{kind, v0alpha0.KindBackend}
	case group == gwxv1alpha1.GroupName && kind == kindXBackend:
		to.group, to.kinds = group, []string{kind}
	default:
		return "", problemf(string(gwv1.RouteReasonInvalidKind),
			"backendRef %s is of kind %q in group %q; use Service, or %s in group %s", ref.Name, kind, group, v0alpha0.KindXBackendDestination, v0alpha0.Group)
	}
	if !c.granted(from, to) {
		return "", problemf(string(gwv1.RouteReasonRefNotPermitted),
			"%s %s is in another namespace, and no ReferenceGrant there lets %s in %s use it", kind, target, from.kind, from.namespace)
	}
	b := c.backend(backendKey{kind, target, c.portOf(kind, target, ref)})
	return b.plan.Name, b.problem
}

// portOf returns the port that a backendRef selects. It may be left out where
// there is no choice.
func (c *compiler) portOf(kind string, target name, ref *gwv1.BackendRef) int32 {
	if ref.Port == nil && kind == v0alpha0.KindXBackendDestination {
		if d := c.destinations[target]; d != nil && len(d.Spec.Destination.Ports) == 1 {
			return int32(d.Spec.Destination.Ports[0].Number)
		}
	}
	if x := c.xbackends[target]; x != nil && ref.Port == nil && kind == kindXBackend {
		return int32(x.Spec.Port.Port)
	}
	return int32(deref(ref.Port, 0))
}

// backend compiles a backend at its first use.
func (c *compiler) backend(k backendKey) *backend {
	if b := c.backends[k]; b != nil {
		return b
	}
	b := &backend{}
	switch k.kind {
	case "Service":
		c.compileService(k, b)
	case kindXBackend:
		c.compileXBackend(k, b)
	default:
		c.compileDestination(k, b)
	}
	if b.problem == nil {
		b.plan.Name = c.unique(b.plan.Name, k)
	}
	c.backends[k] = b
	return b
}

// unique keeps the names of backends apart: "a-b" in "c" and "b-c" in "a"
// would share one, and so would two ports of a Service with one target port.
func (c *compiler) unique(wish string, k backendKey) string {
	if holder, taken := c.names[wish]; taken && holder != k {
		wish += "-" + plan.Digest([]string{k.kind, k.ns, k.name.name, strconv.Itoa(int(k.port))})[:8]
	}
	c.names[wish] = k
	return wish
}

// fail makes the backend answer for itself: the references to it are sound,
// but it cannot serve.
func (b *backend) fail(status int, reason string) {
	if b.plan.Fault == nil {
		b.plan.Fault = &plan.Fault{Status: status, Reason: reason}
	}
}

// planBackends returns the backends that targets of the plan's rules name.
func (c *compiler) planBackends() []plan.Backend {
	wanted := map[string]bool{}
	for _, r := range c.attached {
		for _, u := range r.rules {
			for _, t := range u.plan.Leads() {
				wanted[t.Backend] = wanted[t.Backend] || u.placed
			}
		}
	}
	var out []plan.Backend
	for b := range maps.Values(c.backends) {
		if b.problem == nil && wanted[b.plan.Name] {
			out = append(out, b.plan)
		}
	}
	slices.SortFunc(out, func(a, b plan.Backend) int { return cmp.Compare(a.Name, b.Name) })
	return slices.CompactFunc(out, func(a, b plan.Backend) bool { return a.Name == b.Name })
}
