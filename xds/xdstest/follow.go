package xdstest

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tls "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/egret-gateway/egret/xds"
)

// References is a Follow that reads Envoy's resources as Envoy does: a cluster
// of type EDS makes it ask for endpoints, a connection manager with RDS for
// routes, and a TLS context with SDS for secrets. Types that are not linked in
// are not looked into.
func References(r xds.Resource) map[string][]string {
	out := map[string][]string{}
	visit(&anypb.Any{TypeUrl: r.Type, Value: r.Value}, out)
	return out
}

// visit walks a message with all that is packed in it.
func visit(m proto.Message, out map[string][]string) {
	switch m := m.(type) {
	case *anypb.Any:
		if inner, err := unpack(m); err == nil {
			visit(inner, out)
		}
		return
	case *cluster.Cluster:
		if m.GetType() == cluster.Cluster_EDS {
			name := m.GetEdsClusterConfig().GetServiceName()
			if name == "" {
				name = m.GetName()
			}
			out[xds.TypeEndpoints] = append(out[xds.TypeEndpoints], name)
		}
	case *hcm.Rds:
		out[xds.TypeRoute] = append(out[xds.TypeRoute], m.GetRouteConfigName())
	case *tls.SdsSecretConfig:
		out[xds.TypeSecret] = append(out[xds.TypeSecret], m.GetName())
	}
	m.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil:
		case f.IsMap():
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				if f.MapValue().Message() != nil {
					visit(v.Message().Interface(), out)
				}
				return true
			})
		case f.IsList():
			for i := range v.List().Len() {
				visit(v.List().Get(i).Message().Interface(), out)
			}
		default:
			visit(v.Message().Interface(), out)
		}
		return true
	})
}

func unpack(m *anypb.Any) (proto.Message, error) {
	if _, err := protoregistry.GlobalTypes.FindMessageByURL(m.GetTypeUrl()); err != nil {
		return nil, err
	}
	return m.UnmarshalNew()
}
