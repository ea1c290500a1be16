package xdstest_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"testing/synctest"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tls "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/egret-gateway/egret/xds"
	"github.com/egret-gateway/egret/xds/xdstest"
)

func pack(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func resource(t *testing.T, name string, m proto.Message) xds.Resource {
	a := pack(t, m)
	return xds.NewResource(a.GetTypeUrl(), name, a.GetValue())
}

// configuration is a listener with a route table, and so many clusters with
// endpoints behind TLS.
func configuration(t *testing.T, clusters int) *xds.Set {
	manager := pack(t, &hcm.HttpConnectionManager{RouteSpecifier: &hcm.HttpConnectionManager_Rds{Rds: &hcm.Rds{RouteConfigName: "http"}}})
	rs := []xds.Resource{
		resource(t, "http", &listener.Listener{Name: "http", FilterChains: []*listener.FilterChain{{
			Filters: []*listener.Filter{{Name: "hcm", ConfigType: &listener.Filter_TypedConfig{TypedConfig: manager}}},
		}}}),
		resource(t, "http", &route.RouteConfiguration{Name: "http"}),
		resource(t, "ca", &tls.Secret{Name: "ca"}),
	}
	context := pack(t, &tls.UpstreamTlsContext{CommonTlsContext: &tls.CommonTlsContext{
		ValidationContextType: &tls.CommonTlsContext_ValidationContextSdsSecretConfig{ValidationContextSdsSecretConfig: &tls.SdsSecretConfig{Name: "ca"}},
	}})
	for i := range clusters {
		name := fmt.Sprint("c", i)
		rs = append(rs,
			resource(t, name, &cluster.Cluster{
				Name: name, ClusterDiscoveryType: &cluster.Cluster_Type{Type: cluster.Cluster_EDS},
				TransportSocket: &core.TransportSocket{Name: "tls", ConfigType: &core.TransportSocket_TypedConfig{TypedConfig: context}},
			}),
			resource(t, name, &endpoint.ClusterLoadAssignment{ClusterName: name}))
	}
	return xds.NewSet([]string{xds.TypeSecret, xds.TypeCluster, xds.TypeEndpoints, xds.TypeListener, xds.TypeRoute}, rs)
}

// TestFollow: a peer asks for what its resources name, and ends with the whole
// configuration, in either protocol; many of them at once.
func TestFollow(t *testing.T) {
	f := func(delta bool) {
		synctest.Test(t, func(t *testing.T) {
			server := xds.NewServer(xds.Options{
				Authenticate: func(context.Context) (xds.Peer, error) {
					return xds.Peer{Nodes: func(string) bool { return true }}, nil
				},
			})
			l, g := bufconn.Listen(1<<20), grpc.NewServer(xds.ServerOptions()...)
			server.Register(g)
			go func() { _ = g.Serve(l) }()
			t.Cleanup(g.Stop)
			set := configuration(t, 100)
			var peers []*xdstest.Peer
			for i := range 10 {
				p := &xdstest.Peer{Node: fmt.Sprint("node-", i), Delta: delta, Follow: xdstest.References}
				server.Put(p.Node, set)
				conn, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
					grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close() })
				if err := p.Open(t.Context(), conn); err != nil {
					t.Fatal(err)
				}
				for _, typ := range []string{xds.TypeCluster, xds.TypeListener} {
					if err := p.Subscribe(typ); err != nil {
						t.Fatal(err)
					}
				}
				go func() { _ = p.Run() }()
				peers = append(peers, p)
			}
			synctest.Wait()
			for _, p := range peers {
				for i := range set.Types {
					if got, want := len(p.Have(set.Types[i].Type)), len(set.Types[i].Resources); got != want {
						t.Errorf("%s has %d of %d %s", p.Node, got, want, set.Types[i].Type)
					}
				}
			}
		})
	}
	t.Run("incremental", func(*testing.T) { f(true) })
	t.Run("gateway-98 state of the world", func(*testing.T) { f(false) })
}
