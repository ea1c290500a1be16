package envoy

import (
	"fmt"
	"path"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	injectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/credential_injector/v3"
	codecv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/upstream_codec/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	genericv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/injected_credentials/generic/v3"
	connectionsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	heapv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/fixed_heap/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
)

// Files of the ConfigMap that is mounted, whole, beside CAPath. They name each
// other by path, so the folder is the same in every pod.
const (
	BootstrapPath = "/etc/envoy/envoy.yaml"
	tokenFile     = "xds-token.yaml"
	caFile        = "xds-ca.yaml"
)

// DefaultController is where the controller of the published manifests serves
// xDS (acceptance gateway 43).
const DefaultController = "ai-gateway-controller.ai-gateway-system.svc.cluster.local"

// PortXDS is the port on which controllers serve xDS.
const PortXDS = 15001

// BootstrapOptions is what differs between the bootstraps of two fleets.
type BootstrapOptions struct {
	NodeID  string // source.NodeID
	Gateway string // namespace/name; the node's cluster
	// Controller is the host name of the controller; "" = DefaultController.
	// Its certificate must bear it.
	Controller string
	Port       uint32 // of Controller; 0 = PortXDS

	// Memory is how much Envoy may have, in bytes: from 95 % of it on requests
	// are refused with 503. 0 = no such bound.
	Memory uint64

	// Paths in the pod; "" = AdminPath, SocketPath, TokenPath and CAPath. The
	// folder of CA is that of the Files.
	Admin, Socket, Token, CA string
}

func (o BootstrapOptions) withDefaults() BootstrapOptions {
	for _, d := range []struct {
		field *string
		value string
	}{{&o.Controller, DefaultController}, {&o.Admin, AdminPath}, {&o.Socket, SocketPath}, {&o.Token, TokenPath}, {&o.CA, CAPath}} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if o.Port == 0 {
		o.Port = PortXDS
	}
	return o
}

// Files returns what a fleet's ConfigMap holds for Envoy, by key: the bootstrap
// as envoy.yaml, and two files that it names. Envoy re-reads the token and the
// CA when the kubelet has renewed their folders, but only where they are said
// to it as secrets of a file each.
func Files(o BootstrapOptions) map[string]string {
	o = o.withDefaults()
	return map[string]string{
		path.Base(BootstrapPath): string(Bootstrap(o)),
		tokenFile:                string(secretFile(tokenSecret(o))),
		caFile:                   string(secretFile(caSecret(o))),
	}
}

// Bootstrap returns the configuration that Envoy starts with, in YAML. Equal
// options give equal bytes. It says who the pod is and where the controller
// and egret extproc are; all else comes from these two (acceptance gateway 43,
// 98).
func Bootstrap(o BootstrapOptions) []byte {
	o = o.withDefaults()
	ads := &corev3.ConfigSource{ResourceApiVersion: corev3.ApiVersion_V3, ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}}}
	return printYAML(&bootstrapv3.Bootstrap{
		Node: &corev3.Node{Id: o.NodeID, Cluster: o.Gateway},
		DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{
			AdsConfig: &corev3.ApiConfigSource{
				ApiType:                   corev3.ApiConfigSource_DELTA_GRPC,
				TransportApiVersion:       corev3.ApiVersion_V3,
				GrpcServices:              []*corev3.GrpcService{discovery(ClusterXDS, 250*time.Millisecond, 2*time.Second)},
				SetNodeOnFirstMessageOnly: true,
			},
			CdsConfig: ads,
			LdsConfig: ads,
		},
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{Clusters: []*clusterv3.Cluster{controller(o), local(o)}},
		Admin:           &bootstrapv3.Admin{Address: pipe(o.Admin)},
		LayeredRuntime:  runtime(),
		OverloadManager: overload(o.Memory),
	})
}

// maxConnections are those of all clients and ports at once. Past it new ones
// are closed, so that the pod is not killed for its memory.
const maxConnections = 50_000

// overload sheds load before the kernel ends the process.
func overload(memory uint64) *overloadv3.OverloadManager {
	out := &overloadv3.OverloadManager{ResourceMonitors: []*overloadv3.ResourceMonitor{
		monitor("envoy.resource_monitors.global_downstream_max_connections", &connectionsv3.DownstreamConnectionsConfig{MaxActiveDownstreamConnections: maxConnections}),
	}}
	if memory == 0 {
		return out
	}
	const heap = "envoy.resource_monitors.fixed_heap"
	out.RefreshInterval = durationpb.New(250 * time.Millisecond)
	out.ResourceMonitors = append(out.ResourceMonitors, monitor(heap, &heapv3.FixedHeapConfig{MaxHeapSizeBytes: memory}))
	for _, a := range []struct {
		name string
		at   float64
	}{{"envoy.overload_actions.shrink_heap", 0.90}, {"envoy.overload_actions.stop_accepting_requests", 0.95}} {
		out.Actions = append(out.Actions, &overloadv3.OverloadAction{Name: a.name, Triggers: []*overloadv3.Trigger{{
			Name: heap, TriggerOneof: &overloadv3.Trigger_Threshold{Threshold: &overloadv3.ThresholdTrigger{Value: a.at}},
		}}})
	}
	return out
}

func monitor(name string, config proto.Message) *overloadv3.ResourceMonitor {
	return &overloadv3.ResourceMonitor{Name: name, ConfigType: &overloadv3.ResourceMonitor_TypedConfig{TypedConfig: pack(config)}}
}

// runtime holds the limits that Envoy has no other place for.
func runtime() *bootstrapv3.LayeredRuntime {
	layer, err := structpb.NewStruct(map[string]any{
		// A route may hold any regular expression that the compiler took; Envoy's
		// own bound of 100 instructions would refuse the whole configuration.
		"re2.max_program_size.error_level": 1 << 20,
	})
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return &bootstrapv3.LayeredRuntime{Layers: []*bootstrapv3.RuntimeLayer{
		{Name: "egret", LayerSpecifier: &bootstrapv3.RuntimeLayer_StaticLayer{StaticLayer: layer}},
	}}
}

// controller is the cluster of the xDS server: TLS by its own CA and name, and
// the pod's token on every stream.
func controller(o BootstrapOptions) *clusterv3.Cluster {
	folder := path.Dir(o.CA)
	identity := &corev3.TypedExtensionConfig{Name: "envoy.http.injected_credentials.generic", TypedConfig: pack(&genericv3.Generic{
		Credential:        &tlsv3.SdsSecretConfig{Name: tokenFile, SdsConfig: watched(path.Join(folder, tokenFile), folder)},
		HeaderValuePrefix: "Bearer ",
	})}
	return &clusterv3.Cluster{
		Name:                 ClusterXDS,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS},
		ConnectTimeout:       seconds(5),
		LoadAssignment:       assignment(ClusterXDS, tcp(o.Controller, o.Port)),
		DnsLookupFamily:      clusterv3.Cluster_ALL,
		TransportSocket: transportSocket(&tlsv3.UpstreamTlsContext{
			Sni: o.Controller,
			CommonTlsContext: &tlsv3.CommonTlsContext{
				TlsParams:     tlsParams(),
				AlpnProtocols: []string{"h2"},
				ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
					DefaultValidationContext:         &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: altNames(o.Controller)},
					ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: caFile, SdsConfig: watched(path.Join(folder, caFile), folder)},
				}},
			},
		}),
		TypedExtensionProtocolOptions: onePerConnection(
			&hcmv3.HttpFilter{Name: "token", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(&injectorv3.CredentialInjector{
				Credential: identity, Overwrite: true,
			})}},
		),
		UpstreamConnectionOptions: keepalive(),
	}
}

// onePerConnection is httpProtocol for the one stream to the controller. The
// next stream takes a connection of its own: behind the controller's address
// there may be several of which one leads, and a connection stays with the one
// that it found. A controller that is gone without a word is noticed within 15 s.
func onePerConnection(filters ...*hcmv3.HttpFilter) map[string]*anypb.Any {
	o := httpProtocol(true, filters...)
	o.CommonHttpProtocolOptions.MaxRequestsPerConnection = count(1)
	o.GetExplicitHttpConfig().GetHttp2ProtocolOptions().ConnectionKeepalive = &corev3.KeepaliveSettings{Interval: seconds(10), Timeout: seconds(5)}
	return packed(o)
}

// local is the cluster of egret extproc in the same pod.
func local(o BootstrapOptions) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                          ClusterLocal,
		ClusterDiscoveryType:          &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:                seconds(1),
		LoadAssignment:                assignment(ClusterLocal, pipe(o.Socket)),
		CircuitBreakers:               unlimited(),
		TypedExtensionProtocolOptions: packed(httpProtocol(true)),
	}
}

func tokenSecret(o BootstrapOptions) *tlsv3.Secret {
	return &tlsv3.Secret{Name: tokenFile, Type: &tlsv3.Secret_GenericSecret{GenericSecret: &tlsv3.GenericSecret{Secret: file(o.Token)}}}
}

func caSecret(o BootstrapOptions) *tlsv3.Secret {
	return &tlsv3.Secret{Name: caFile, Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
		TrustedCa:        file(o.CA),
		WatchedDirectory: &corev3.WatchedDirectory{Path: path.Dir(o.CA)},
	}}}
}

// watched reads a secret from a file of a mounted volume. The kubelet renews a
// volume by moving a link in its folder.
func watched(file, folder string) *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion: corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{PathConfigSource: &corev3.PathConfigSource{
			Path: file, WatchedDirectory: &corev3.WatchedDirectory{Path: folder},
		}},
	}
}

func grpcService(cluster string) *corev3.GrpcService {
	return &corev3.GrpcService{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: cluster}}}
}

// discovery is a grpcService that resources come from. A lost stream is opened
// again after first, and after most at the latest; Envoy's own pauses would
// grow to half a minute, in which a pod does not hear of a new leader.
func discovery(cluster string, first, most time.Duration) *corev3.GrpcService {
	out := grpcService(cluster)
	out.GetEnvoyGrpc().RetryPolicy = &corev3.RetryPolicy{RetryBackOff: &corev3.BackoffStrategy{
		BaseInterval: durationpb.New(first), MaxInterval: durationpb.New(most),
	}}
	return out
}

func upstreamCodec() *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: "envoy.filters.http.upstream_codec", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(&codecv3.UpstreamCodec{})}}
}

// secretFile is a file of one secret, as Envoy reads it from a path.
func secretFile(s *tlsv3.Secret) []byte {
	return []byte(fmt.Sprintf("resources:\n- %s", indent(printYAML(pack(s)))))
}
