package xdstest

import (
	"context"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/egret-gateway/egret/xds"
)

// open opens a stream. Envoy bounds the size of a response by nothing.
func open(ctx context.Context, conn grpc.ClientConnInterface, incremental bool) (wire, error) {
	ads := discovery.NewAggregatedDiscoveryServiceClient(conn)
	size := grpc.MaxCallRecvMsgSize(1 << 30)
	if incremental {
		s, err := ads.DeltaAggregatedResources(ctx, size)
		return delta{s}, err
	}
	s, err := ads.StreamAggregatedResources(ctx, size)
	return world{s}, err
}

type delta struct {
	discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
}

func (d delta) send(r request) error {
	return d.Send(&discovery.DeltaDiscoveryRequest{
		Node: node(r), TypeUrl: r.typ, ResponseNonce: r.nonce, ErrorDetail: refusal(r),
		ResourceNamesSubscribe: r.subscribe, ResourceNamesUnsubscribe: r.unsubscribe, InitialResourceVersions: r.initial,
	})
}

func (d delta) recv() (Response, error) {
	m, err := d.Recv()
	if err != nil {
		return Response{}, err
	}
	out := Response{Type: m.GetTypeUrl(), Removed: m.GetRemovedResources(), Version: m.GetSystemVersionInfo(), Nonce: m.GetNonce(), Bytes: proto.Size(m)}
	for _, r := range m.GetResources() {
		out.Changed = append(out.Changed, xds.Resource{Type: r.GetResource().GetTypeUrl(), Name: r.GetName(), Version: r.GetVersion(), Value: r.GetResource().GetValue()})
	}
	return out, nil
}

type world struct {
	discovery.AggregatedDiscoveryService_StreamAggregatedResourcesClient
}

func (w world) send(r request) error {
	return w.Send(&discovery.DiscoveryRequest{
		Node: node(r), TypeUrl: r.typ, ResponseNonce: r.nonce, ErrorDetail: refusal(r), ResourceNames: r.names, VersionInfo: r.version,
	})
}

func (w world) recv() (Response, error) {
	m, err := w.Recv()
	if err != nil {
		return Response{}, err
	}
	out := Response{Type: m.GetTypeUrl(), Version: m.GetVersionInfo(), Nonce: m.GetNonce(), Bytes: proto.Size(m)}
	for _, r := range m.GetResources() {
		out.Changed = append(out.Changed, xds.NewResource(r.GetTypeUrl(), name(r.GetValue()), r.GetValue()))
	}
	return out, nil
}

// name returns field 1, which is the name in all of Envoy's resources.
func name(message []byte) string {
	if num, typ, n := protowire.ConsumeTag(message); n > 0 && num == 1 && typ == protowire.BytesType {
		if b, m := protowire.ConsumeBytes(message[n:]); m > 0 {
			return string(b)
		}
	}
	return ""
}

func node(r request) *core.Node {
	if r.node == "" {
		return nil
	}
	return &core.Node{Id: r.node, UserAgentName: r.agent}
}

func refusal(r request) *statuspb.Status {
	if r.refusal == "" {
		return nil
	}
	return &statuspb.Status{Code: 3, Message: r.refusal}
}
