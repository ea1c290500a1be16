package compile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/source"
)

const kindTLSPolicy = "BackendTLSPolicy"

// tlsTarget is what a BackendTLSPolicy is about: a Service, or one port of it
// by its name.
type tlsTarget struct {
	service name
	section string
}

func (t tlsTarget) String() string {
	if t.section == "" {
		return "Service " + t.service.String()
	}
	return "port " + t.section + " of Service " + t.service.String()
}

// tlsPolicy is a BackendTLSPolicy and what came of it. One that is invalid
// closes its target all the same: whoever wrote it wants no cleartext there.
type tlsPolicy struct {
	object  *gwv1.BackendTLSPolicy
	tls     *plan.ClientTLS
	targets []tlsTarget
	lost    []string // targets that an older policy has
	stray   []string // targets that are not there
	invalid *problem // why nothing can be reached by it
	refs    *problem // why references do not resolve
}

// compileTLSPolicies compiles the BackendTLSPolicies. Of several with one
// target the oldest counts (Gateway API).
func (c *compiler) compileTLSPolicies() {
	c.tlsPolicies = map[tlsTarget]*tlsPolicy{}
	for _, o := range byAge(c.snapshot.BackendTLSPolicies) {
		p := &tlsPolicy{object: o}
		p.tls, p.refs, p.invalid = c.validation(referrer{gwv1.GroupName, kindTLSPolicy, o.Namespace}, &o.Spec.Validation)
		for _, ref := range o.Spec.TargetRefs {
			t := tlsTarget{name{o.Namespace, string(ref.Name)}, string(deref(ref.SectionName, ""))}
			if ref.Group != "" || ref.Kind != "Service" {
				p.stray = append(p.stray, fmt.Sprintf("%s %s, which is no Service", ref.Kind, t.service))
				continue
			}
			p.targets = append(p.targets, t)
			svc := c.services[t.service]
			if svc == nil || t.section != "" && !slices.ContainsFunc(svc.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == t.section }) {
				p.stray = append(p.stray, t.String())
			}
			if holder := c.tlsPolicies[t]; holder != nil && holder != p {
				p.lost = append(p.lost, fmt.Sprintf("%s, which the older %s has", t, nameOf(holder.object)))
				continue
			}
			c.tlsPolicies[t] = p
		}
		c.allTLS = append(c.allTLS, p)
	}
}

// validation compiles how a backend proves who it is. Without anything to prove
// it by there is no connection: refs says which references do not resolve,
// invalid why nothing is left.
func (c *compiler) validation(from referrer, v *gwv1.BackendTLSPolicyValidation) (out *plan.ClientTLS, refs, invalid *problem) {
	const reason = string(gwv1.PolicyReasonInvalid)
	out = &plan.ClientTLS{SNI: strings.ToLower(string(v.Hostname))}
	known := string(deref(v.WellKnownCACertificates, ""))
	switch {
	case !isHostname(out.SNI):
		invalid = problemf(reason, "validation.hostname %q is no host name.", v.Hostname)
	case known == "" && len(v.CACertificateRefs) == 0:
		invalid = problemf(reason, "validation names no CA; give it caCertificateRefs, or wellKnownCACertificates: System.")
	case known != "" && len(v.CACertificateRefs) > 0:
		invalid = problemf(reason, "validation has caCertificateRefs and wellKnownCACertificates; keep one of them.")
	case known != "" && known != string(gwv1.WellKnownCACertificatesSystem):
		invalid = problemf(reason, "validation.wellKnownCACertificates %q is not known here; use System.", known)
	}
	for _, san := range v.SubjectAltNames {
		n := strings.ToLower(string(san.Hostname))
		if san.Type == gwv1.URISubjectAltNameType {
			n = string(san.URI)
		}
		if !bearable(strings.TrimPrefix(n, "*.")) || (san.Type == gwv1.URISubjectAltNameType) != strings.Contains(n, "://") {
			invalid = cmp.Or(invalid, problemf(reason, "validation.subjectAltNames: %q is no %s that a certificate could bear.", n, san.Type))
		}
		out.Names = append(out.Names, n)
	}
	var why []string
	for _, ref := range v.CACertificateRefs {
		ca, p := c.bundle(from, gwv1.ObjectReference{Group: ref.Group, Kind: ref.Kind, Name: ref.Name})
		if p == nil {
			out.CAs = append(out.CAs, ca)
			continue
		}
		refs, why = cmp.Or(refs, &problem{reason: p.reason}), append(why, p.message)
	}
	if refs != nil {
		refs.message = brief(why)
		if len(out.CAs) == 0 {
			invalid = cmp.Or(invalid, &problem{string(gwv1.BackendTLSPolicyReasonNoValidCACertificate), "None of the caCertificateRefs is valid: " + refs.message})
		}
	}
	return out, refs, invalid
}

// protect makes TLS of what a BackendTLSPolicy says about a Service's port. One
// about the port by its name wins over one about the whole Service.
func (c *compiler) protect(svc *corev1.Service, port corev1.ServicePort, b *backend) {
	p := c.tlsPolicies[tlsTarget{nameOf(svc), port.Name}]
	if p == nil {
		p = c.tlsPolicies[tlsTarget{nameOf(svc), ""}]
	}
	if p == nil {
		return
	}
	b.plan.TLS = p.tls
	if p.invalid != nil {
		b.fail(500, fmt.Sprintf("%s %s: %s", kindTLSPolicy, nameOf(p.object), p.invalid.message))
	}
}

// reportTLSPolicies reports on the policies, once for each Gateway of ours whose
// routes lead to their targets.
func (c *compiler) reportTLSPolicies() {
	through := c.leadingTo("Service")
	for _, p := range c.allTLS {
		gateways := map[name]bool{}
		for _, t := range p.targets {
			maps.Copy(gateways, through[t.service])
		}
		self := subject{kind: kindTLSPolicy, object: p.object}
		if len(gateways) == 0 && c.options.Alone && p.misses() != nil {
			c.promise(self, conditionAccepted, conditionAccepted, "", p.misses())
		}
		for gw := range gateways {
			self.parent = gw.ref()
			c.promise(self, conditionAccepted, conditionAccepted, "The backends are spoken to as the policy says.", cmp.Or(p.invalid, p.conflict(), p.misses()))
			c.promise(self, string(gwv1.BackendTLSPolicyConditionResolvedRefs), string(gwv1.BackendTLSPolicyReasonResolvedRefs), "All references resolved.", p.refs)
		}
	}
}

func (p *tlsPolicy) conflict() *problem {
	if len(p.lost) == 0 {
		return nil
	}
	return problemf(string(gwv1.PolicyReasonConflicted), "It does not count for %s.", brief(p.lost))
}

func (p *tlsPolicy) misses() *problem {
	if len(p.stray) == 0 {
		return nil
	}
	return problemf(string(gwv1.PolicyReasonTargetNotFound), "It targets %s; that is not there.", brief(p.stray))
}

// leadingTo returns the Gateways that have routes to the backends of a kind, by
// the backends' names.
func (c *compiler) leadingTo(kind string) map[name]map[name]bool {
	out := map[name]map[name]bool{}
	for k := range c.backends {
		if k.kind == kind {
			out[k.name] = map[name]bool{}
		}
	}
	for _, r := range c.attached {
		for i := range r.object.Spec.Rules {
			for _, ref := range r.object.Spec.Rules[i].BackendRefs {
				to := name{string(deref(ref.Namespace, gwv1.Namespace(r.ns))), string(ref.Name)}
				if known := out[to]; known != nil && string(deref(ref.Kind, "Service")) == kind {
					maps.Copy(known, r.gateways())
				}
			}
		}
	}
	return out
}

// ref is a Gateway as the ancestor of something.
func (n name) ref() source.Ref {
	return source.Ref{Group: gwv1.GroupName, Kind: "Gateway", Namespace: n.ns, Name: n.name}
}

// gateways are those that the route is attached to.
func (r *route) gateways() map[name]bool {
	out := map[name]bool{}
	for _, p := range r.parents {
		if p.problem == nil {
			out[name{p.ref.Namespace, p.ref.Name}] = true
		}
	}
	return out
}
