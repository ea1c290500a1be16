// Package api is the room of the Go types of every resource that Egret owns
// or reads and that has no light-weight module of its own.
//
//	ainetworking/v0alpha0   XBackendDestination and the inert legacy Backend
//	kuadrant/v1             AuthPolicy, RateLimitPolicy
//	kuadrant/v1alpha1       TokenRateLimitPolicy
//	kserve/v1alpha1         the few fields of LLMInferenceService that a model list needs
//	maas                    the bodies of the MaaS REST API, for its server and its clients
//
// Gateway API types come from sigs.k8s.io/gateway-api and core types from
// k8s.io/api. The types here say what a field means; what a value may be is
// said once, by the CRDs in manifests/crds. Nothing here has behaviour beyond
// deep copies, which controller-gen writes.
package api

//go:generate go run sigs.k8s.io/controller-tools/cmd/controller-gen@v0.21.0 object paths=./...
