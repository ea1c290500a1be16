package envoy

import (
	"net/netip"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/egret-gateway/egret/plan"
)

// clusterFault has no endpoint. It stands where the engine answers instead of
// a backend: for redirects, and for shares that cannot be served. Backends'
// names end in a port, so that none is called so.
const clusterFault = "egret-fault"

// cluster tells a backend, named as in the plan: "default-httpbin-backend-80"
// (acceptance gateway 83). Each has the filter of tries, needed or not: clusters
// change before routes do, and a route whose cluster the engine chooses leaves
// to that filter what must not travel.
func (t *translation) cluster(b *plan.Backend) {
	protocol := httpProtocol(b.Protocol == plan.HTTP2, tryFilter())
	if b.TLS != nil {
		shorten(protocol)
	}
	c := &clusterv3.Cluster{
		Name:                          b.Name,
		ClusterDiscoveryType:          &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:              &clusterv3.Cluster_EdsClusterConfig{EdsConfig: ads()},
		ConnectTimeout:                durationpb.New(plan.DefaultConnectTimeout),
		CircuitBreakers:               unlimited(),
		TypedExtensionProtocolOptions: packed(protocol),
		UpstreamConnectionOptions:     keepalive(),
		IgnoreHealthOnHostRemoval:     true,
	}
	if b.Proxy != nil {
		c.UpstreamConnectionOptions = nil // it is at a socket of the pod, which has no such options
	}
	if b.Host != "" {
		c.EdsClusterConfig.EdsConfig = localEndpoints()
	} else {
		t.endpoints(b)
	}
	if b.TLS != nil {
		c.TransportSocket = t.clientTLS(b)
	}
	t.tell(TypeCluster, c.Name, c)
}

// clientTLS originates TLS. An IP address is no SNI (RFC 6066 section 3, defect
// B-43).
func (t *translation) clientTLS(b *plan.Backend) *corev3.TransportSocket {
	alpn := "http/1.1"
	if b.Protocol == plan.HTTP2 {
		alpn = "h2"
	}
	common := &tlsv3.CommonTlsContext{TlsParams: tlsParams(), AlpnProtocols: []string{alpn}}
	if b.TLS.MinVersion == "1.3" {
		common.TlsParams.TlsMinimumProtocolVersion = tlsv3.TlsParameters_TLSv1_3
	}
	if b.TLS.Identity != "" {
		if s := t.certificate(b.TLS.Identity); s != nil {
			common.TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{s}
		}
	}
	t.verify(b, common)
	sni := b.TLS.SNI
	if sni == "" {
		sni = b.Host
	}
	if _, err := netip.ParseAddr(sni); err == nil {
		sni = ""
	}
	return transportSocket(&tlsv3.UpstreamTlsContext{Sni: sni, CommonTlsContext: common})
}

// fault tells clusterFault and returns its name.
func (t *translation) fault() string {
	t.tell(TypeCluster, clusterFault, &clusterv3.Cluster{
		Name:                 clusterFault,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:       seconds(1),
		LoadAssignment:       assignment(clusterFault),
	})
	return clusterFault
}
