package endpoint

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/netip"
	"slices"
	"strconv"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoints "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	eds "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// typeURL of what is served.
const typeURL = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"

// resource is what Envoy is told of one backend.
type resource struct {
	version string
	value   *anypb.Any
}

// tell works out what Envoy is told now. The caller holds s.mu.
func (s *Server) tell() {
	next := map[string]resource{}
	for backend, to := range s.backends {
		if to.shut {
			next[backend] = assignment(backend, nil) // known at once, so that Envoy does not wait for it
		} else if to.relay != "" {
			next[backend] = relayed(backend, to.relay)
		} else if a, known := s.addresses(backend, to); known {
			next[backend] = assignment(backend, a)
		}
	}
	if maps.EqualFunc(s.told, next, func(a, b resource) bool { return a.version == b.version }) {
		return
	}
	s.told = next
	close(s.changed)
	s.changed = make(chan struct{})
}

// addresses are where a backend is, as far as the operator's lists for it let it
// be there; not known before the first lookup.
func (s *Server) addresses(backend string, to destination) (out []netip.AddrPort, known bool) {
	if mapped, ok := s.opts.Names(to.host, to.port); ok {
		if a, err := netip.ParseAddrPort(mapped); err == nil && s.opts.Guard(a.Addr()) == nil {
			out = append(out, a)
		}
		return out, true
	}
	n := s.hosts[to.host]
	for _, a := range n.addrs {
		if err := to.fence.Outside(a); err != nil {
			if key := backend + " " + a.String(); !s.withheld[key] {
				if len(s.withheld) >= addresses*addresses {
					clear(s.withheld)
				}
				s.withheld[key] = true
				s.opts.Log.Warn("an address of a backend is left out", "backend", backend, "host", to.host, "error", err)
			}
			continue
		}
		out = append(out, netip.AddrPortFrom(a, uint16(to.port)))
	}
	return out, n.known
}

// others is how many more addresses a connection may try.
const others = 4

// assignment spreads connections over all addresses, those of IPv4 where there
// are some; each connection tries others when its own does not answer (RFC
// 8305).
func assignment(backend string, at []netip.AddrPort) resource {
	group := &endpoints.LocalityLbEndpoints{}
	for i, a := range at {
		if a.Addr().Is6() && at[0].Addr().Is4() {
			continue
		}
		e := &endpoints.Endpoint{Address: address(a)}
		for k := 1; k < len(at) && k <= others; k++ {
			e.AdditionalAddresses = append(e.AdditionalAddresses, &endpoints.Endpoint_AdditionalAddress{Address: address(at[(i+k)%len(at)])})
		}
		group.LbEndpoints = append(group.LbEndpoints, &endpoints.LbEndpoint{HostIdentifier: &endpoints.LbEndpoint_Endpoint{Endpoint: e}})
	}
	return tellable(backend, group)
}

// relayed is a backend behind a socket of the pod.
func relayed(backend, socket string) resource {
	at := &core.Address{Address: &core.Address_Pipe{Pipe: &core.Pipe{Path: socket}}}
	return tellable(backend, &endpoints.LocalityLbEndpoints{LbEndpoints: []*endpoints.LbEndpoint{
		{HostIdentifier: &endpoints.LbEndpoint_Endpoint{Endpoint: &endpoints.Endpoint{Address: at}}},
	}})
}

func tellable(backend string, group *endpoints.LocalityLbEndpoints) resource {
	m := &endpoints.ClusterLoadAssignment{ClusterName: backend}
	if len(group.LbEndpoints) > 0 {
		m.Endpoints = []*endpoints.LocalityLbEndpoints{group}
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic("BUG: addresses that protobuf cannot express: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return resource{version: hex.EncodeToString(sum[:8]), value: &anypb.Any{TypeUrl: typeURL, Value: b}}
}

func address(a netip.AddrPort) *core.Address {
	return &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
		Address: a.Addr().String(), PortSpecifier: &core.SocketAddress_PortValue{PortValue: uint32(a.Port())},
	}}}
}

// Register adds endpoint discovery to a gRPC server.
func (s *Server) Register(g grpc.ServiceRegistrar) {
	eds.RegisterEndpointDiscoveryServiceServer(g, &service{server: s})
}

type service struct {
	eds.UnimplementedEndpointDiscoveryServiceServer
	server *Server
}

// StreamEndpoints serves what a stream asks for, and again when that changes.
func (v *service) StreamEndpoints(stream eds.EndpointDiscoveryService_StreamEndpointsServer) error {
	asked := make(chan *discovery.DiscoveryRequest)
	go func() {
		defer close(asked)
		for {
			m, err := stream.Recv()
			if err != nil {
				return
			}
			select {
			case asked <- m:
			case <-stream.Context().Done():
				return
			}
		}
	}()
	w := watcher{server: v.server, sent: map[string]string{}}
	for {
		news, out := w.next()
		if out != nil {
			if err := stream.Send(out); err != nil {
				return nil
			}
		}
		select {
		case m, open := <-asked:
			if !open {
				return nil
			}
			w.take(m)
		case <-news:
		}
	}
}

// watcher is what one stream wants and has.
type watcher struct {
	server *Server
	names  []string
	sent   map[string]string // versions by name
	nonce  int
}

// take reads a request. One that answers an older response changes nothing.
func (w *watcher) take(m *discovery.DiscoveryRequest) {
	if n := m.GetResponseNonce(); n != "" && n != strconv.Itoa(w.nonce) {
		return
	}
	if e := m.GetErrorDetail(); e != nil {
		w.server.opts.Log.Error("Envoy refuses endpoints", "error", e.GetMessage())
	}
	w.names = slices.Clone(m.GetResourceNames())
	maps.DeleteFunc(w.sent, func(name, _ string) bool { return !slices.Contains(w.names, name) })
}

// next is what to send now, if anything, and when to ask again.
func (w *watcher) next() (news <-chan struct{}, out *discovery.DiscoveryResponse) {
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	var changed []*anypb.Any
	for _, name := range w.names {
		if r, ok := w.server.told[name]; ok && w.sent[name] != r.version {
			w.sent[name] = r.version
			changed = append(changed, r.value)
		}
	}
	if len(changed) > 0 {
		w.nonce++
		n := strconv.Itoa(w.nonce)
		out = &discovery.DiscoveryResponse{VersionInfo: n, Nonce: n, TypeUrl: typeURL, Resources: changed}
	}
	return w.server.changed, out
}
