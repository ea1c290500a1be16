package envoy

import (
	"fmt"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/egret-gateway/egret/plan"
)

// routes tells the virtual hosts of listeners that share a connection manager.
// They are apart from the listener, so that an edit of a route drains no
// connection (defect B-41). The Host's port is not looked at (defect B-27).
func (t *translation) routes(name string, port *plan.Port, listeners []plan.Listener) {
	out := &routev3.RouteConfiguration{Name: name, IgnorePortInHostMatching: true}
	digests := t.plan.Digests(port)
	seen := map[string]bool{}
	for i := range listeners {
		l := &listeners[i]
		// What its routes do not name is answered by the listener itself, with
		// 404, and falls to no other listener.
		for _, v := range append(l.VHosts[:len(l.VHosts):len(l.VHosts)], plan.VHost{Domain: "*"}) {
			domain := v.Domain
			if domain == "*" && l.Host != "" {
				domain = l.Host
			}
			if seen[domain] || taken(domain, listeners[:i]) {
				continue
			}
			seen[domain] = true
			host := t.host(port, l, &v, domain, digests)
			if len(listeners) > 1 {
				host.TypedPerFilterConfig = about(MetaListener, l.Name)
			}
			out.VirtualHosts = append(out.VirtualHosts, host)
		}
	}
	t.tell(TypeRoute, name, out)
}

// taken reports whether a more specific listener has all of a domain.
func taken(domain string, before []plan.Listener) bool {
	for _, l := range before {
		if l.Host == domain || strings.HasPrefix(l.Host, "*.") && strings.HasSuffix(domain, l.Host[1:]) {
			return true
		}
	}
	return false
}

func (t *translation) host(port *plan.Port, l *plan.Listener, v *plan.VHost, domain string, digests map[string]string) *routev3.VirtualHost {
	out := &routev3.VirtualHost{Name: fmt.Sprintf("%s-vh-%d-%s", t.name, port.Number, domain), Domains: []string{domain}}
	for i := range v.Entries {
		e := &v.Entries[i]
		name, rule := plan.EntryName(l.Name, v.Domain, e.ID), t.rules[e.Rule]
		told := []string{MetaEntry, name, MetaDigest, digests[name]}
		if chosen(rule) {
			told = append(told, MetaChoose, "1")
		}
		out.Routes = append(out.Routes, &routev3.Route{
			Name:   e.ID,
			Match:  match(&e.Match),
			Action: &routev3.Route_Route{Route: t.action(rule)},
			// The engine refuses what is too long for it; Envoy must not be first.
			RequestBodyBufferLimit: wrapperspb.UInt64(uint64(2 * t.opts.BodyLimit)),
			TypedPerFilterConfig:   about(told...),
			ResponseHeadersToAdd:   t.shown(rule),
		})
	}
	return out
}

// shown are what answers have added for the engine: of TLS, nothing but this
// tells when a server's certificate ends.
func (t *translation) shown(r *plan.Rule) []*corev3.HeaderValueOption {
	for _, target := range r.Leads() {
		if b := t.backends[target.Backend]; b != nil && b.TLS != nil {
			return []*corev3.HeaderValueOption{{
				Header:       &corev3.HeaderValue{Key: HeaderEnds, Value: "%UPSTREAM_PEER_CERT_V_END(%s)%"},
				AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
			}}
		}
	}
	return nil
}

func match(m *plan.Match) *routev3.RouteMatch {
	out := &routev3.RouteMatch{}
	switch prefix := strings.TrimRight(m.Path.Value, "/"); {
	case m.Path.Kind == plan.PathExact:
		out.PathSpecifier = &routev3.RouteMatch_Path{Path: m.Path.Value}
	case m.Path.Kind == plan.PathRegex:
		out.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: m.Path.Value}}
	case prefix == "":
		out.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: "/"}
	default:
		out.PathSpecifier = &routev3.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: prefix}
	}
	if m.Method != "" { // defect B-20
		out.Headers = append(out.Headers, header(":method", exactly(m.Method)))
	}
	for _, h := range m.Headers {
		out.Headers = append(out.Headers, header(h.Name, valueMatch(h)))
	}
	for _, q := range m.Query { // defect B-21
		out.QueryParameters = append(out.QueryParameters, &routev3.QueryParameterMatcher{
			Name: q.Name, QueryParameterMatchSpecifier: &routev3.QueryParameterMatcher_StringMatch{StringMatch: valueMatch(q)},
		})
	}
	return out
}

func header(name string, value *matcherv3.StringMatcher) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: name, HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: value}}
}

func valueMatch(v plan.ValueMatch) *matcherv3.StringMatcher {
	if v.Regex {
		return matching(v.Value)
	}
	return exactly(v.Value)
}

// action forwards, in any case: redirects and faults are the engine's answers,
// and no status of them is Envoy's to number (defect B-13).
func (t *translation) action(r *plan.Rule) *routev3.RouteAction {
	weighted := &routev3.WeightedCluster{}
	asks := false
	for i, target := range r.Targets {
		cluster := target.Backend
		if cluster == "" {
			cluster = t.fault()
		}
		weighted.Clusters = append(weighted.Clusters, &routev3.WeightedCluster_ClusterWeight{
			Name: cluster, Weight: count(uint32(target.Weight)), TypedPerFilterConfig: about(MetaTarget, fmt.Sprint(i)),
		})
		b := t.backends[target.Backend]
		asks = asks || b != nil && b.AskUsage
	}
	for _, target := range r.Models.Chosen() {
		b := t.backends[target.Backend]
		asks = asks || b != nil && b.AskUsage
	}
	if len(r.Targets) == 0 {
		weighted.Clusters = []*routev3.WeightedCluster_ClusterWeight{{Name: t.fault(), Weight: count(1)}}
	}
	out := &routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_WeightedClusters{WeightedClusters: weighted},
		Timeout:          limit(r.Timeouts.Request),
		IdleTimeout:      idle(r.Timeouts),
		FlushTimeout:     limit(r.Timeouts.Idle),
		RetryPolicy:      retries(asks),
	}
	if chosen(r) {
		out.ClusterSpecifier = &routev3.RouteAction_ClusterHeader{ClusterHeader: HeaderCluster}
	}
	if r.Timeouts.Backend > 0 {
		out.RetryPolicy.PerTryTimeout = limit(r.Timeouts.Backend)
	}
	return out
}

// chosen reports whether the engine chooses the cluster, once it has read the
// body (docs/decisions/015-models.md). The route must then match again as it
// did: what else is to change in the request changes in the filter of the
// cluster.
func chosen(r *plan.Rule) bool { return len(r.Models.Chosen()) > 0 }

// idle is how long nothing may come or go on a stream. Envoy counts the wait
// for the first byte of an answer too, which may last as long as the request
// (acceptance gateway 79, 80), and it counts that only once the request has
// been read: so a silence is cut a little after the request's own time-out would
// have been, which bounds uploads that have stopped as well. Silence within an
// answer is measured by the engine beside it.
func idle(ts plan.Timeouts) *durationpb.Duration {
	const behind = 5 * time.Second
	switch {
	case ts.Request < 0:
		return seconds(0)
	case ts.Explicit:
		return durationpb.New(ts.Request + behind)
	}
	return durationpb.New(max(ts.Request+behind, ts.Idle))
}

// retries repeat what never left, what a server of HTTP/2 turned away before it
// began it, as one does that is about to leave (RFC 9113 8.7), and, where the
// filter of a cluster may ask for it, what that filter has changed.
func retries(asked bool) *routev3.RetryPolicy {
	out := &routev3.RetryPolicy{
		RetryOn:      "connect-failure,refused-stream,reset-before-request",
		NumRetries:   count(2),
		RetryBackOff: &routev3.RetryPolicy_RetryBackOff{BaseInterval: durationpb.New(time.Millisecond)},
	}
	if asked {
		out.RetryOn += ",retriable-headers"
		out.RetriableHeaders = []*routev3.HeaderMatcher{{Name: HeaderRetry, HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{PresentMatch: true}}}
	}
	return out
}

// limit is a time-out in Envoy's words, where 0 is none.
func limit(d time.Duration) *durationpb.Duration {
	return durationpb.New(max(d, 0))
}
