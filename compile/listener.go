package compile

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/source"
)

// listener is one listener of a gateway.
type listener struct {
	gateway *gateway
	spec    *gwv1.Listener
	name    string
	host    string // lower case; "" takes every name
	port    int32
	tls     bool
	kinds   []string // of routes that may attach
	certs   []string // names of plan Secrets

	refused  *problem // not accepted, whatever the others are
	conflict *problem // with another listener
	refs     *problem // certificates or route kinds that do not resolve

	routes map[*route][]string // attached routes and the host names they serve here
	vhosts []plan.VHost
}

func (c *compiler) compileListener(g *gateway, spec *gwv1.Listener) *listener {
	l := &listener{
		gateway: g,
		spec:    spec,
		name:    string(spec.Name),
		host:    strings.ToLower(string(deref(spec.Hostname, ""))),
		port:    int32(spec.Port),
		routes:  map[*route][]string{},
	}
	if !c.options.Alone && l.port == source.PodPort {
		l.refused = problemf(string(gwv1.ListenerReasonPortUnavailable),
			"Port %d is where the data plane's pods answer probes; choose another.", l.port)
		return l
	}
	switch spec.Protocol {
	case gwv1.HTTPProtocolType:
	case gwv1.HTTPSProtocolType:
		l.tls = true
		c.terminate(l)
	default:
		l.refused = problemf(string(gwv1.ListenerReasonUnsupportedProtocol),
			"Protocol %s is not supported; use HTTP or HTTPS.", spec.Protocol)
	}
	l.allowKinds()
	return l
}

// terminate resolves the certificates of an HTTPS listener.
func (c *compiler) terminate(l *listener) {
	switch {
	case l.spec.TLS == nil || len(l.spec.TLS.CertificateRefs) == 0:
		l.refs = problemf(string(gwv1.ListenerReasonInvalidCertificateRef),
			"An HTTPS listener needs a certificate; name a Secret in tls.certificateRefs.")
		return
	case deref(l.spec.TLS.Mode, gwv1.TLSModeTerminate) != gwv1.TLSModeTerminate:
		l.refused = problemf(string(gwv1.ListenerReasonUnsupportedValue), "HTTPS is always terminated; set tls.mode to Terminate.")
		return
	case wantsClientCertificate(l):
		l.refused = problemf(string(gwv1.ListenerReasonUnsupportedValue),
			"Validation of client certificates is not supported, and without it the listener would be open; remove tls.frontend of the Gateway or the listener.")
		return
	}
	for _, ref := range l.spec.TLS.CertificateRefs {
		cert, p := c.certificate(gatewayRef(l.gateway.ns), ref)
		if p != nil {
			if l.refs == nil {
				l.refs = p
			}
			continue
		}
		if !slices.Contains(l.certs, cert) {
			l.certs = append(l.certs, cert)
		}
	}
}

func wantsClientCertificate(l *listener) bool {
	tls := l.gateway.object.Spec.TLS
	if tls == nil || tls.Frontend == nil {
		return false
	}
	for _, p := range tls.Frontend.PerPort {
		if int32(p.Port) == l.port {
			return p.TLS.Validation != nil
		}
	}
	return tls.Frontend.Default.Validation != nil
}

// allowKinds finds the route kinds that may attach: those asked for that are
// supported, HTTPRoute if none are.
func (l *listener) allowKinds() {
	if l.refused != nil {
		return
	}
	if l.spec.AllowedRoutes == nil || len(l.spec.AllowedRoutes.Kinds) == 0 {
		l.kinds = []string{"HTTPRoute"}
		return
	}
	for _, k := range l.spec.AllowedRoutes.Kinds {
		if string(k.Kind) == "HTTPRoute" && deref(k.Group, gwv1.GroupName) == gwv1.GroupName {
			l.kinds = []string{"HTTPRoute"}
		} else if l.refs == nil {
			l.refs = problemf(string(gwv1.ListenerReasonInvalidRouteKinds),
				"Routes of kind %s are not supported on an %s listener; allow HTTPRoute.", k.Kind, l.spec.Protocol)
		}
	}
}

// markConflicts marks the listeners that a request could not tell apart. As
// Gateway API demands, none of them wins (its suite's
// GatewayListenerProtocolAndRouteKindConflicts). Listeners of protocols that
// are not supported take no part.
func markConflicts(ls []*listener) {
	for i, a := range ls {
		for _, b := range ls[:i] {
			if a.port != b.port || a.unsupported() || b.unsupported() {
				continue
			}
			switch {
			case a.tls != b.tls:
				a.conflicts(b, gwv1.ListenerReasonProtocolConflict, "speaks another protocol")
				b.conflicts(a, gwv1.ListenerReasonProtocolConflict, "speaks another protocol")
			case a.host == b.host:
				a.conflicts(b, gwv1.ListenerReasonHostnameConflict, "has the same hostname")
				b.conflicts(a, gwv1.ListenerReasonHostnameConflict, "has the same hostname")
			}
		}
	}
}

func (l *listener) unsupported() bool {
	return l.refused != nil && l.refused.reason == string(gwv1.ListenerReasonUnsupportedProtocol)
}

func (l *listener) conflicts(other *listener, reason gwv1.ListenerConditionReason, how string) {
	if l.conflict == nil {
		l.conflict = problemf(string(reason), "Listener %s %s on port %d; neither serves until one is changed.", other.name, how, l.port)
	}
}

// programmed reports whether the listener is in the plan.
func (l *listener) programmed() bool {
	return l.gateway.problem == nil && l.refused == nil && l.conflict == nil &&
		len(l.kinds) > 0 && (!l.tls || len(l.certs) > 0)
}

// admits reports whether routes of the kind and namespace may attach.
func (l *listener) admits(kind, ns string, namespaces map[string]map[string]string) bool {
	if !slices.Contains(l.kinds, kind) {
		return false
	}
	from, selector := gwv1.NamespacesFromSame, (*metav1.LabelSelector)(nil)
	if l.spec.AllowedRoutes != nil && l.spec.AllowedRoutes.Namespaces != nil {
		from = deref(l.spec.AllowedRoutes.Namespaces.From, from)
		selector = l.spec.AllowedRoutes.Namespaces.Selector
	}
	switch from {
	case gwv1.NamespacesFromAll:
		return true
	case gwv1.NamespacesFromSame:
		return ns == l.gateway.ns
	case gwv1.NamespacesFromSelector:
		s, err := metav1.LabelSelectorAsSelector(selector)
		have, known := namespaces[ns]
		return err == nil && known && s.Matches(labels.Set(have))
	}
	return false
}

// plan returns the listener for the plan.
func (l *listener) plan() plan.Listener {
	out := plan.Listener{Name: l.name, Host: l.host, VHosts: l.vhosts}
	if l.tls {
		out.TLS = &plan.ServerTLS{Certificates: l.certs}
	}
	return out
}

func (c *compiler) reportListener(gateway subject, l *listener) {
	self := gateway.section(l.name)
	from := len(c.conditions)
	accepted := l.refused
	if accepted == nil && l.conflict != nil {
		accepted = &problem{string(gwv1.ListenerReasonInvalid), l.conflict.message}
	}
	c.promise(self, string(gwv1.ListenerConditionAccepted), string(gwv1.ListenerReasonAccepted), "Listener is valid", accepted)
	c.promise(self, string(gwv1.ListenerConditionResolvedRefs), string(gwv1.ListenerReasonResolvedRefs), "All references resolved", l.refs)

	var unserved *problem
	if !l.programmed() {
		unserved = problemf(string(gwv1.ListenerReasonInvalid), "The listener does not serve; see its other conditions.")
	}
	c.promise(self, string(gwv1.ListenerConditionProgrammed), string(gwv1.ListenerReasonProgrammed),
		fmt.Sprintf("Serving on port %d", l.port), unserved)

	if l.conflict != nil {
		c.report(self, string(gwv1.ListenerConditionConflicted), metav1.ConditionTrue, l.conflict.reason, l.conflict.message)
	} else {
		c.report(self, string(gwv1.ListenerConditionConflicted), metav1.ConditionFalse,
			string(gwv1.ListenerReasonNoConflicts), "No conflicts")
	}
	for i := from; i < len(c.conditions); i++ {
		c.conditions[i].Kinds = strings.Join(l.kinds, ",")
		c.conditions[i].Attached = int32(len(l.routes))
	}
}
