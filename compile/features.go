package compile

import gwv1 "sigs.k8s.io/gateway-api/apis/v1"

// Features is what the GatewayClasses claim to support, sorted: names of
// Gateway API's conformance suite whose tests both planes pass.
func Features() []gwv1.FeatureName {
	return []gwv1.FeatureName{
		"Gateway",
		"HTTPRoute",
		"HTTPRouteBackendRequestHeaderModification",
		"HTTPRouteHostRewrite",
		"HTTPRouteMethodMatching",
		"HTTPRoutePathRedirect",
		"HTTPRoutePathRewrite",
		"HTTPRoutePortRedirect",
		"HTTPRouteQueryParamMatching",
		"HTTPRouteRequestTimeout",
		"HTTPRouteResponseHeaderModification",
		"HTTPRouteSchemeRedirect",
		"ReferenceGrant",
	}
}
