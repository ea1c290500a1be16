// Package conformance runs the official Gateway API conformance suite, profile
// GATEWAY-HTTP, on the test cluster, once per plane: GatewayClass egret is the
// native plane, wg-ai-gateway is Envoy. It is a module of its own, as the suite
// brings dependencies that Egret does not have.
//
//	make conformance
//	lab/conformance/run.sh egret -run-test HTTPRouteMatching -debug
//
// options.yaml is what both runs have in common; open.txt names the tests that
// do not pass, and why. A run that differs from it in either direction fails, as
// does one whose reports differ from the published ones in docs/conformance.
package conformance
