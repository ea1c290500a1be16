package envoy

import (
	"fmt"
	"time"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	inspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/egret-gateway/egret/plan"
)

// headTimeout bounds a TLS handshake, and a request's head, as on the native
// plane.
const headTimeout = 10 * time.Second

// listener tells a port and the routes of its listeners. Listeners of plain
// HTTP share one connection manager, since nothing tells them apart before the
// Host is read (defect B-26). Those of HTTPS have one each, by SNI.
func (t *translation) listener(port *plan.Port) {
	l := &listenerv3.Listener{
		Name:                          fmt.Sprintf("listener-%d", port.Number),
		Address:                       t.bind(port.Number),
		PerConnectionBufferLimitBytes: count(streamWindow),
	}
	if port.TLS {
		l.ListenerFilters = []*listenerv3.ListenerFilter{{
			Name:       "envoy.filters.listener.tls_inspector",
			ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: pack(&inspectorv3.TlsInspector{})},
		}}
		l.ListenerFiltersTimeout = durationpb.New(headTimeout)
		for i := range port.Listeners {
			l.FilterChains = append(l.FilterChains, t.secureChain(port, &port.Listeners[i]))
		}
	} else if len(port.Listeners) > 0 {
		l.FilterChains = []*listenerv3.FilterChain{t.chain(port, port.Listeners)}
	}
	if len(l.FilterChains) > 0 {
		t.tell(TypeListener, l.Name, l)
	}
}

func (t *translation) bind(port int32) *corev3.Address {
	if !t.opts.IPv6 {
		return tcp("0.0.0.0", uint32(port))
	}
	a := tcp("::", uint32(port))
	a.GetSocketAddress().Ipv4Compat = true
	return a
}

// chain serves listeners with one connection manager and tells its routes. It
// is named after the first of them; names of listeners are unique in a Gateway.
func (t *translation) chain(port *plan.Port, listeners []plan.Listener) *listenerv3.FilterChain {
	first := listeners[0].Name
	routes := fmt.Sprintf("listener_%s_routes", first)
	meta := []string{MetaGateway, t.gateway, MetaPort, fmt.Sprint(port.Number)}
	if len(listeners) == 1 {
		meta = append(meta, MetaListener, first)
	}
	m := t.manager(fmt.Sprintf("gateway_%s_listener_%s", t.name, first), routes)
	m.HttpFilters = listenerFilters(meta...)
	t.routes(routes, port, listeners)
	return &listenerv3.FilterChain{
		Name:    first,
		Filters: []*listenerv3.Filter{{Name: "envoy.filters.network.http_connection_manager", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(m)}}},
	}
}

// secureChain serves one listener by TLS 1.2 or 1.3 (defect B-11).
func (t *translation) secureChain(port *plan.Port, l *plan.Listener) *listenerv3.FilterChain {
	chain := t.chain(port, []plan.Listener{*l})
	if l.Host != "" {
		chain.FilterChainMatch = &listenerv3.FilterChainMatch{ServerNames: []string{l.Host}}
	}
	common := &tlsv3.CommonTlsContext{TlsParams: tlsParams(), AlpnProtocols: []string{"h2", "http/1.1"}}
	if l.TLS != nil {
		for _, name := range l.TLS.Certificates {
			if s := t.certificate(name); s != nil {
				common.TlsCertificateSdsSecretConfigs = append(common.TlsCertificateSdsSecretConfigs, s)
			}
		}
	}
	chain.TransportSocket = transportSocket(&tlsv3.DownstreamTlsContext{CommonTlsContext: common})
	chain.TransportSocketConnectTimeout = durationpb.New(headTimeout)
	return chain
}

// manager reads requests as the native plane does and changes nothing in them:
// that is the engine's (docs/decisions/012-ext-proc.md), but for X-Envoy-*,
// which must be gone before a route is chosen. There is no
// internal_address_config on purpose: even an empty one makes every client one
// whose X-Envoy-* fields Envoy obeys.
func (t *translation) manager(prefix, routes string) *hcmv3.HttpConnectionManager {
	h2 := http2Options()
	h2.MaxConcurrentStreams = count(maxStreams)
	return &hcmv3.HttpConnectionManager{
		StatPrefix: prefix,
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
			ConfigSource: ads(), RouteConfigName: routes,
		}},
		UseRemoteAddress:              on(),
		SkipXffAppend:                 true,
		EarlyHeaderMutationExtensions: []*corev3.TypedExtensionConfig{withoutSteering()},
		GenerateRequestId:             off(),
		PreserveExternalRequestId:     true,
		ServerHeaderTransformation:    hcmv3.HttpConnectionManager_PASS_THROUGH,
		StripTrailingHostDot:          true, // "a.example.com." is "a.example.com"
		NormalizePath:                 off(),
		PathWithEscapedSlashesAction:  hcmv3.HttpConnectionManager_KEEP_UNCHANGED,
		UpgradeConfigs:                []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: "websocket"}},
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{
			IdleTimeout: durationpb.New(idleConnection), MaxHeadersCount: count(maxFields),
		},
		// An upgrade to anything but a WebSocket is no upgrade.
		HttpProtocolOptions: &corev3.Http1ProtocolOptions{
			AcceptHttp_10: true, EnableTrailers: true, IgnoreHttp_11Upgrade: []*matcherv3.StringMatcher{matching("[^wW].*")},
		},
		Http2ProtocolOptions:  h2,
		MaxRequestHeadersKb:   count(maxHeaderKiB),
		RequestHeadersTimeout: durationpb.New(headTimeout),
		StreamIdleTimeout:     durationpb.New(plan.DefaultIdleTimeout),
		AccessLog:             accessLogs(t.opts.AccessLog),
		LocalReplyConfig:      localReplies(),
	}
}

// withoutSteering takes X-Envoy-* out of every request, known to Envoy or not.
// The engine does so too, for both planes.
func withoutSteering() *corev3.TypedExtensionConfig {
	prefix := &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: "x-envoy-"}}
	return &corev3.TypedExtensionConfig{Name: "envoy.http.early_header_mutation.header_mutation", TypedConfig: pack(&earlyv3.HeaderMutation{
		Mutations: []*mutationv3.HeaderMutation{{Action: &mutationv3.HeaderMutation_RemoveOnMatch_{
			RemoveOnMatch: &mutationv3.HeaderMutation_RemoveOnMatch{KeyMatcher: prefix},
		}}},
	})}
}
