package envoy

import (
	"time"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	treev3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	matchingv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/matching/v3"
	actionv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/matcher/action/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	inputv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"
	metadatav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/input_matchers/metadata/v3"
	typematcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

const filterExtProc = "envoy.filters.http.ext_proc"

// messageTimeout bounds one answer of egret extproc, which calls others
// itself: the provider of an identity, the store of the counters.
const messageTimeout = 30 * time.Second

// listenerFilters ask the engine about every request, then route it
// (docs/decisions/012-ext-proc.md). The route stays unless the answer says to
// look again, as it does where the engine chooses the cluster. The engine's absence is an answer of 500:
// nothing passes undecided.
func listenerFilters(meta ...string) []*hcmv3.HttpFilter {
	ask := extProc(meta...)
	ask.MetadataOptions = &extprocv3.MetadataOptions{ReceivingNamespaces: namespaces()}
	ask.ProcessingMode.RequestTrailerMode = extprocv3.ProcessingMode_SEND // names that mean trust are taken out; requests without any ask nothing more
	return []*hcmv3.HttpFilter{
		httpFilter(filterExtProc, ask),
		httpFilter("envoy.filters.http.router", &routerv3.Router{SuppressEnvoyHeaders: true}),
	}
}

// tryFilter asks the engine about every try of a request whose second try
// would differ; requests without KeyTry pass it by.
func tryFilter() *hcmv3.HttpFilter {
	ask := extProc(MetaTry, "1")
	ask.MetadataOptions = &extprocv3.MetadataOptions{ForwardingNamespaces: namespaces()}
	return httpFilter("envoy.filters.http.match_delegate", &matchingv3.ExtensionWithMatcher{
		ExtensionConfig: &corev3.TypedExtensionConfig{Name: filterExtProc, TypedConfig: pack(ask)},
		XdsMatcher: &treev3.Matcher{MatcherType: &treev3.Matcher_MatcherList_{MatcherList: &treev3.Matcher_MatcherList{
			Matchers: []*treev3.Matcher_MatcherList_FieldMatcher{{
				Predicate: &treev3.Matcher_MatcherList_Predicate{MatchType: &treev3.Matcher_MatcherList_Predicate_NotMatcher{NotMatcher: hasTry()}},
				OnMatch: &treev3.Matcher_OnMatch{OnMatch: &treev3.Matcher_OnMatch_Action{
					Action: extension("skip", &actionv3.SkipFilter{}),
				}},
			}},
		}}},
	})
}

// hasTry holds where the engine wrote KeyTry about the request.
func hasTry() *treev3.Matcher_MatcherList_Predicate {
	input := &inputv3.DynamicMetadataInput{Filter: Namespace, Path: []*inputv3.DynamicMetadataInput_PathSegment{
		{Segment: &inputv3.DynamicMetadataInput_PathSegment_Key{Key: KeyTry}},
	}}
	present := &metadatav3.Metadata{Value: &typematcherv3.ValueMatcher{MatchPattern: &typematcherv3.ValueMatcher_PresentMatch{PresentMatch: true}}}
	return &treev3.Matcher_MatcherList_Predicate{MatchType: &treev3.Matcher_MatcherList_Predicate_SinglePredicate_{
		SinglePredicate: &treev3.Matcher_MatcherList_Predicate_SinglePredicate{
			Input:   extension("try", input),
			Matcher: &treev3.Matcher_MatcherList_Predicate_SinglePredicate_CustomMatch{CustomMatch: extension("present", present)},
		},
	}}
}

// extProc is what both filters have in common. The heads are always shown;
// the engine asks for bodies and an answer's trailers as it needs them.
func extProc(meta ...string) *extprocv3.ExternalProcessor {
	service := grpcService(ClusterLocal)
	service.InitialMetadata = pairs(meta...)
	return &extprocv3.ExternalProcessor{
		GrpcService:        service,
		AllowModeOverride:  true,
		MessageTimeout:     durationpb.New(messageTimeout),
		MutationRules:      &mutationv3.HeaderMutationRules{AllowAllRouting: on(), AllowEnvoy: on()},
		RequestAttributes:  []string{"source.address", "request.protocol"},
		ResponseAttributes: []string{"response.code_details"},
		ProcessingMode: &extprocv3.ProcessingMode{
			RequestHeaderMode: extprocv3.ProcessingMode_SEND, ResponseHeaderMode: extprocv3.ProcessingMode_SEND,
			RequestTrailerMode: extprocv3.ProcessingMode_SKIP, ResponseTrailerMode: extprocv3.ProcessingMode_SKIP,
		},
	}
}

// about adds to what the filter of the listener says to the engine, by virtual
// host, route or weighted cluster.
func about(meta ...string) map[string]*anypb.Any {
	return map[string]*anypb.Any{filterExtProc: pack(&extprocv3.ExtProcPerRoute{Override: &extprocv3.ExtProcPerRoute_Overrides{
		Overrides: &extprocv3.ExtProcOverrides{GrpcInitialMetadata: pairs(meta...)},
	}})}
}

func pairs(meta ...string) (out []*corev3.HeaderValue) {
	for i := 0; i < len(meta); i += 2 {
		out = append(out, &corev3.HeaderValue{Key: meta[i], Value: meta[i+1]})
	}
	return out
}

func namespaces() *extprocv3.MetadataOptions_MetadataNamespaces {
	return &extprocv3.MetadataOptions_MetadataNamespaces{Untyped: []string{Namespace}}
}

func httpFilter(name string, config proto.Message) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(config)}}
}

// extension is a part of a matcher.
func extension(name string, config proto.Message) *xdscorev3.TypedExtensionConfig {
	return &xdscorev3.TypedExtensionConfig{Name: name, TypedConfig: pack(config)}
}
