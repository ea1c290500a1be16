package compile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/source"
)

// gateway is a Gateway of a class that is served.
type gateway struct {
	name
	object    *gwv1.Gateway
	listeners []*listener // as in the spec
	problem   *problem    // why nothing of it is served
}

// compileClasses reports on the GatewayClasses that are ours.
func (c *compiler) compileClasses() {
	for _, class := range c.snapshot.GatewayClasses {
		if _, ours := c.snapshot.Class(class.Name); ours && c.controls(class.Name) {
			c.promise(subject{kind: "GatewayClass", object: class}, string(gwv1.GatewayClassConditionStatusAccepted),
				string(gwv1.GatewayClassReasonAccepted),
				"GatewayClass is accepted by "+string(class.Spec.ControllerName)+".",
				c.badParameters(class))
		}
	}
}

// controls reports whether the class is one that this process serves.
func (c *compiler) controls(class string) bool {
	if slices.Contains(c.options.Classes, class) {
		return true
	}
	found, ours := c.snapshot.Class(class)
	return ours && (len(c.options.Controllers) == 0 || slices.Contains(c.options.Controllers, found.Controller))
}

// badParameters says why a class's parameters cannot be used: they are a
// ConfigMap, which holds settings of the fleet, or nothing.
func (c *compiler) badParameters(class *gwv1.GatewayClass) *problem {
	ref := class.Spec.ParametersRef
	if ref == nil {
		return nil
	}
	return c.badReference(string(ref.Group), string(ref.Kind), name{string(deref(ref.Namespace, "")), ref.Name})
}

// badInfrastructure is the same for the parameters of one Gateway.
func (c *compiler) badInfrastructure(o *gwv1.Gateway) *problem {
	if o.Spec.Infrastructure == nil || o.Spec.Infrastructure.ParametersRef == nil {
		return nil
	}
	ref := o.Spec.Infrastructure.ParametersRef
	return c.badReference(string(ref.Group), string(ref.Kind), name{o.Namespace, ref.Name})
}

// badAddresses refuses to promise what the Service before the pods cannot be
// asked for: more than one address, or a name.
func badAddresses(o *gwv1.Gateway) *problem {
	const reason = string(gwv1.GatewayReasonUnsupportedAddress)
	for _, a := range o.Spec.Addresses {
		if kind := deref(a.Type, gwv1.IPAddressType); kind != gwv1.IPAddressType {
			return problemf(reason, "Address %q is of type %s; only one of type IPAddress can be asked for.", a.Value, kind)
		}
	}
	if n := len(o.Spec.Addresses); n > 1 {
		return problemf(reason, "%d addresses are asked for; a Gateway has one.", n)
	}
	return nil
}

func (c *compiler) badReference(group, kind string, target name) *problem {
	const reason = string(gwv1.GatewayReasonInvalidParameters)
	object := c.configMaps[target]
	if group != "" || kind != "ConfigMap" || object == nil {
		return problemf(reason, "parametersRef %s %s is not a ConfigMap that exists; create it or remove the reference", kind, target.name)
	}
	if _, err := source.ParseParameters(object); err != nil {
		return problemf(reason, "%v", err)
	}
	return nil
}

func (c *compiler) compileGateways() {
	bad := map[string]*problem{}
	for _, class := range c.snapshot.GatewayClasses {
		bad[class.Name] = c.badParameters(class)
	}
	for _, o := range c.snapshot.Gateways {
		class := string(o.Spec.GatewayClassName)
		if !c.controls(class) {
			c.pass(o)
			continue
		}
		g := &gateway{name: nameOf(o), object: o, problem: cmp.Or(bad[class], c.badInfrastructure(o), badAddresses(o))}
		for i := range o.Spec.Listeners {
			g.listeners = append(g.listeners, c.compileListener(g, &o.Spec.Listeners[i]))
		}
		markConflicts(g.listeners)
		c.ours[g.name] = g
	}
}

// pass leaves a Gateway to others, but for one whose class nobody has where
// nobody else is there to miss it.
func (c *compiler) pass(o *gwv1.Gateway) {
	class := string(o.Spec.GatewayClassName)
	known := slices.ContainsFunc(c.snapshot.GatewayClasses, func(g *gwv1.GatewayClass) bool { return g.Name == class })
	if _, ours := c.snapshot.Class(class); c.options.Alone && !known && !ours {
		c.report(subject{kind: "Gateway", object: o}, string(gwv1.GatewayConditionAccepted), metav1.ConditionUnknown,
			string(gwv1.GatewayReasonPending), "GatewayClass "+class+" not found, so nobody serves this Gateway; class egret is served here.")
	}
}

// serves reports whether a listener of g on the port is in the plan.
func (g *gateway) serves(port int32) bool {
	return slices.ContainsFunc(g.listeners, func(l *listener) bool { return l.port == port && l.programmed() })
}

// reportGateways reports on our Gateways and on each of their listeners.
func (c *compiler) reportGateways() {
	for _, g := range c.ours {
		self := subject{kind: "Gateway", object: g.object}
		var good, bad []string
		for _, l := range g.listeners {
			c.reportListener(self, l)
			if l.programmed() {
				good = append(good, l.name)
			} else {
				bad = append(bad, l.name)
			}
		}
		c.reportGateway(self, g, good, bad)
	}
}

func (c *compiler) reportGateway(self subject, g *gateway, good, bad []string) {
	accepted, programmed := string(gwv1.GatewayConditionAccepted), string(gwv1.GatewayConditionProgrammed)
	switch {
	case g.problem != nil:
		c.report(self, accepted, metav1.ConditionFalse, g.problem.reason, g.problem.message)
		c.report(self, programmed, metav1.ConditionFalse, string(gwv1.GatewayReasonInvalid), "The Gateway is not accepted.")
	case len(good) == 0:
		why := fmt.Sprintf("No listener can serve: %s; see their conditions.", strings.Join(bad, ", "))
		c.report(self, accepted, metav1.ConditionFalse, string(gwv1.GatewayReasonListenersNotValid), why)
		c.report(self, programmed, metav1.ConditionFalse, string(gwv1.GatewayReasonInvalid), why)
	case len(bad) > 0:
		c.report(self, accepted, metav1.ConditionTrue, string(gwv1.GatewayReasonListenersNotValid),
			fmt.Sprintf("Serving %s, but not %s; see their conditions.", strings.Join(good, ", "), strings.Join(bad, ", ")))
		c.report(self, programmed, metav1.ConditionTrue, string(gwv1.GatewayReasonProgrammed), "Gateway is programmed and ready")
	default:
		c.report(self, accepted, metav1.ConditionTrue, string(gwv1.GatewayReasonAccepted), "Gateway configuration is valid")
		c.report(self, programmed, metav1.ConditionTrue, string(gwv1.GatewayReasonProgrammed), "Gateway is programmed and ready")
	}
}

// ports returns what is to be bound, with the listeners that share each port.
func (c *compiler) ports() []plan.Port {
	var out []plan.Port
	for _, g := range c.ours {
		byNumber := map[int32]*plan.Port{}
		for _, l := range g.listeners {
			if !l.programmed() {
				continue
			}
			p := byNumber[l.port]
			if p == nil {
				p = &plan.Port{Gateway: g.String(), Number: l.port, TLS: l.tls}
				byNumber[l.port] = p
			}
			p.Listeners = append(p.Listeners, l.plan())
		}
		for _, p := range byNumber {
			slices.SortFunc(p.Listeners, func(a, b plan.Listener) int {
				return cmp.Or(moreSpecific(a.Host, b.Host), cmp.Compare(a.Name, b.Name))
			})
			out = append(out, *p)
		}
	}
	slices.SortFunc(out, func(a, b plan.Port) int {
		return cmp.Or(cmp.Compare(a.Gateway, b.Gateway), cmp.Compare(a.Number, b.Number))
	})
	return out
}

// section is the part of s that has a name, such as a listener.
func (s subject) section(name string) subject {
	s.parent = source.Ref{SectionName: name}
	return s
}
