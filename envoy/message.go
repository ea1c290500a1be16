package envoy

import (
	"net/netip"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"sigs.k8s.io/yaml"
)

// pack wraps a message; equal messages become equal bytes, which versions and
// so silence depend on (acceptance gateway 100).
func pack(m proto.Message) *anypb.Any {
	out := &anypb.Any{}
	if err := anypb.MarshalFrom(out, m, proto.MarshalOptions{Deterministic: true}); err != nil {
		panic("BUG: a message that protobuf cannot express: " + err.Error())
	}
	return out
}

// printYAML prints a message for people and for Envoy's files.
func printYAML(m proto.Message) []byte {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err == nil {
		text, err = yaml.JSONToYAML(text) // sorts keys; protojson alone varies its spaces
	}
	if err != nil {
		panic("BUG: a message that YAML cannot express: " + err.Error())
	}
	return text
}

func seconds(n int) *durationpb.Duration     { return durationpb.New(time.Duration(n) * time.Second) }
func on() *wrapperspb.BoolValue              { return wrapperspb.Bool(true) }
func off() *wrapperspb.BoolValue             { return wrapperspb.Bool(false) }
func count(n uint32) *wrapperspb.UInt32Value { return wrapperspb.UInt32(n) }
func indent(text []byte) string {
	return strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n  ") + "\n"
}
func file(path string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: path}}
}
func inline(bytes []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: bytes}}
}

func tcp(host string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

func pipe(path string) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: path}}}
}

// assignment lists the addresses of a cluster, in one locality.
func assignment(cluster string, addresses ...*corev3.Address) *endpointv3.ClusterLoadAssignment {
	out := &endpointv3.ClusterLoadAssignment{ClusterName: cluster}
	if len(addresses) == 0 {
		return out
	}
	locality := &endpointv3.LocalityLbEndpoints{}
	for _, a := range addresses {
		locality.LbEndpoints = append(locality.LbEndpoints, &endpointv3.LbEndpoint{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: a}},
		})
	}
	out.Endpoints = []*endpointv3.LocalityLbEndpoints{locality}
	return out
}

// unlimited lifts Envoy's default of 1024 connections, requests and requests
// waiting per cluster; what bounds a request is its listener and its policy.
func unlimited() *clusterv3.CircuitBreakers {
	out := &clusterv3.CircuitBreakers{}
	for _, p := range []corev3.RoutingPriority{corev3.RoutingPriority_DEFAULT, corev3.RoutingPriority_HIGH} {
		out.Thresholds = append(out.Thresholds, &clusterv3.CircuitBreakers_Thresholds{
			Priority: p, MaxConnections: count(1 << 20), MaxPendingRequests: count(1 << 20), MaxRequests: count(1 << 20), MaxRetries: count(1 << 20),
		})
	}
	return out
}

// keepalive finds peers that are gone although nothing is being sent.
func keepalive() *clusterv3.UpstreamConnectionOptions {
	return &clusterv3.UpstreamConnectionOptions{TcpKeepalive: &corev3.TcpKeepalive{
		KeepaliveTime: count(30), KeepaliveInterval: count(10), KeepaliveProbes: count(4),
	}}
}

// tlsParams allows TLS 1.2 and 1.3 in both directions, as the native plane
// does; Envoy's default towards backends would end at 1.2.
func tlsParams() *tlsv3.TlsParameters {
	return &tlsv3.TlsParameters{
		TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2,
		TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
	}
}

func transportSocket(context proto.Message) *corev3.TransportSocket {
	return &corev3.TransportSocket{Name: "envoy.transport_sockets.tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(context)}}
}

// altNames accepts a certificate that bears one of the names.
func altNames(names ...string) []*tlsv3.SubjectAltNameMatcher {
	var out []*tlsv3.SubjectAltNameMatcher
	for _, name := range names {
		kind := tlsv3.SubjectAltNameMatcher_DNS
		switch _, err := netip.ParseAddr(name); {
		case err == nil:
			kind = tlsv3.SubjectAltNameMatcher_IP_ADDRESS
		case strings.Contains(name, "://"):
			kind = tlsv3.SubjectAltNameMatcher_URI
		}
		out = append(out, &tlsv3.SubjectAltNameMatcher{SanType: kind, Matcher: exactly(name)})
	}
	return out
}

func exactly(value string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: value}}
}

func matching(regex string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: regex}}}
}
