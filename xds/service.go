package xds

import (
	"strconv"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/anypb"
)

// service is the gRPC service of a Server: its two methods are the two
// protocols.
type service struct {
	discovery.UnimplementedAggregatedDiscoveryServiceServer
	server *Server
}

// DeltaAggregatedResources serves the incremental protocol.
func (s *service) DeltaAggregatedResources(g discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	return s.server.serve(delta{g}, true)
}

// StreamAggregatedResources serves the state of the world.
func (s *service) StreamAggregatedResources(g discovery.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	return s.server.serve(world{g}, false)
}

type delta struct {
	discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
}

func (d delta) accept() error { return d.SendHeader(metadata.MD{}) }

func (d delta) recv() (*request, error) {
	m, err := d.Recv()
	if err != nil {
		return nil, err
	}
	return &request{
		node: m.GetNode().GetId(), agent: agent(m.GetNode()), typ: m.GetTypeUrl(), nonce: m.GetResponseNonce(),
		refused: m.GetErrorDetail() != nil, refusal: m.GetErrorDetail().GetMessage(),
		subscribe: m.GetResourceNamesSubscribe(), unsubscribe: m.GetResourceNamesUnsubscribe(), initial: m.GetInitialResourceVersions(),
	}, nil
}

func (d delta) send(r *reply) error {
	m := &discovery.DeltaDiscoveryResponse{
		TypeUrl: r.sub.typ, Nonce: r.nonce, SystemVersionInfo: r.version, RemovedResources: r.removed,
		Resources: make([]*discovery.Resource, 0, len(r.changed)),
	}
	for _, res := range r.changed {
		m.Resources = append(m.Resources, &discovery.Resource{Name: res.Name, Version: res.Version, Resource: pack(res)})
	}
	return d.Send(m)
}

type world struct {
	discovery.AggregatedDiscoveryService_StreamAggregatedResourcesServer
}

func (w world) accept() error { return w.SendHeader(metadata.MD{}) }

func (w world) recv() (*request, error) {
	m, err := w.Recv()
	if err != nil {
		return nil, err
	}
	return &request{
		node: m.GetNode().GetId(), agent: agent(m.GetNode()), typ: m.GetTypeUrl(), nonce: m.GetResponseNonce(),
		refused: m.GetErrorDetail() != nil, refusal: m.GetErrorDetail().GetMessage(),
		names: m.GetResourceNames(), have: m.GetVersionInfo(),
	}, nil
}

func (w world) send(r *reply) error {
	m := &discovery.DiscoveryResponse{TypeUrl: r.sub.typ, Nonce: r.nonce, VersionInfo: r.version, Resources: make([]*anypb.Any, 0, len(r.changed))}
	for _, res := range r.changed {
		m.Resources = append(m.Resources, pack(res))
	}
	return w.Send(m)
}

func pack(r *Resource) *anypb.Any { return &anypb.Any{TypeUrl: r.Type, Value: r.Value} }

func nonce(n uint64) string { return strconv.FormatUint(n, 10) }

// agent says what kind of peer it is: "envoy 1.40.0", "egret-proxy dev".
func agent(n *core.Node) string {
	name, version := n.GetUserAgentName(), n.GetUserAgentVersion()
	if b := n.GetUserAgentBuildVersion().GetVersion(); b != nil {
		version = strconv.Itoa(int(b.GetMajorNumber())) + "." + strconv.Itoa(int(b.GetMinorNumber())) + "." + strconv.Itoa(int(b.GetPatch()))
	}
	if len(name)+len(version) > 128 {
		return ""
	}
	if version == "" {
		return name
	}
	return name + " " + version
}
