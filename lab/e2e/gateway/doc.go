// Package gateway holds the acceptance list of the egress gateway to a real
// cluster, from the outside: what the API server admits and keeps, what status,
// addresses, Events and objects come of a Gateway, and what a call through it
// meets. One installation of both controllers serves all of it, and everything
// is done on both planes: class egret is the native one, class wg-ai-gateway
// Envoy's.
//
//	make cluster-up && make images
//	go test -tags cluster ./lab/e2e/gateway -run TestGateway/references
//
// The parts run beside each other, as most of their time is waiting. Objects
// are in namespaces of the test, but for the samples, which name "default".
// What needs the controllers to end, and hundreds of routes, is elsewhere.
// Without the build tag "cluster" there is nothing here.
package gateway
