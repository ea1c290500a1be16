package envoy

import (
	"net/netip"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/egret-gateway/egret/plan"
)

// localEndpoints is endpoint discovery by egret extproc, which looks names up
// in the pod and leaves out addresses that nobody may dial (package endpoint).
// Envoy may start first: it asks again and again, which on a socket in the pod
// costs nothing, so that the start of a pod waits for no pause.
func localEndpoints() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:  corev3.ApiVersion_V3,
		InitialFetchTimeout: seconds(int(fetchTimeout / time.Second)),
		ConfigSourceSpecifier: &corev3.ConfigSource_ApiConfigSource{ApiConfigSource: &corev3.ApiConfigSource{
			ApiType: corev3.ApiConfigSource_GRPC, TransportApiVersion: corev3.ApiVersion_V3,
			SetNodeOnFirstMessageOnly: true, GrpcServices: []*corev3.GrpcService{discovery(ClusterLocal, 50*time.Millisecond, 250*time.Millisecond)},
		}},
	}
}

// fetchTimeout is how long a cluster waits for its first addresses before it
// goes without them, so that one name cannot hold back the others.
const fetchTimeout = 5 * time.Second

// endpoints tells the addresses of a Service, but for those that nobody may dial:
// users may write EndpointSlices. Endpoints that are Gateways are only in plans
// for a process that serves them itself.
func (t *translation) endpoints(b *plan.Backend) {
	var addresses []*corev3.Address
	for _, e := range b.Endpoints {
		if a, err := netip.ParseAddr(e.Address); err == nil && plan.Refused(a) == nil {
			addresses = append(addresses, tcp(e.Address, uint32(e.Port)))
		}
	}
	t.tell(TypeEndpoint, b.Name, assignment(b.Name, addresses...))
}
