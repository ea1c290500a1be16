package envoybin

import (
	"encoding/json"
	"fmt"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/egret-gateway/egret/xds"
)

// Object is a message as JSON has it.
type Object = map[string]any

// Static is what a bootstrap has of its own, without a server to ask.
type Static struct {
	Listeners []Object `json:"listeners"`
	Clusters  []Object `json:"clusters"`
	Secrets   []Object `json:"secrets"`
}

// Add takes in the resources that a gateway's Envoys would get from a server.
// All names get the prefix, so that several gateways fit beside each other.
// Listeners come to be at the address that is said for them; nil leaves them
// where they are. Types of configuration within the resources must be linked
// in.
func (s *Static) Add(prefix string, resources []xds.Resource, address func(listener string) Object) error {
	a := adder{prefix: prefix, routes: map[string]Object{}, endpoints: map[string]Object{}}
	byType := map[string][]Object{}
	for _, r := range resources {
		o, err := Decode(r)
		if err != nil {
			return err
		}
		byType[r.Type] = append(byType[r.Type], o)
		switch r.Type {
		case xds.TypeRoute:
			a.routes[r.Name] = o
		case xds.TypeEndpoints:
			a.endpoints[r.Name] = o
		}
	}
	for _, l := range byType[xds.TypeListener] {
		if address != nil {
			l["address"] = address(l["name"].(string))
		}
	}
	for _, t := range []string{xds.TypeListener, xds.TypeCluster, xds.TypeSecret} {
		for _, o := range byType[t] {
			o["name"] = prefix + o["name"].(string)
			a.walk(o)
		}
	}
	s.Listeners = append(s.Listeners, byType[xds.TypeListener]...)
	s.Clusters = append(s.Clusters, byType[xds.TypeCluster]...)
	s.Secrets = append(s.Secrets, byType[xds.TypeSecret]...)
	return nil
}

// Decode makes a resource legible, all that is packed in it included.
func Decode(r xds.Resource) (Object, error) {
	m, ok := map[string]proto.Message{
		xds.TypeListener: &listenerv3.Listener{}, xds.TypeRoute: &routev3.RouteConfiguration{}, xds.TypeCluster: &clusterv3.Cluster{},
		xds.TypeEndpoints: &endpointv3.ClusterLoadAssignment{}, xds.TypeSecret: &tlsv3.Secret{},
	}[r.Type]
	if !ok {
		return nil, fmt.Errorf("%s %s is nothing of Envoy's", r.Type, r.Name)
	}
	if err := proto.Unmarshal(r.Value, m); err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.Type, r.Name, err)
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.Type, r.Name, err)
	}
	var out Object
	return out, json.Unmarshal(text, &out)
}

type adder struct {
	prefix            string
	routes, endpoints map[string]Object
}

// walk puts what a message would ask a server for in the place of the question.
func (a *adder) walk(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			a.walk(e)
		}
	case Object:
		a.answer(v)
		for _, e := range v {
			a.walk(e)
		}
	}
}

func (a *adder) answer(m Object) {
	if rds, ok := m["rds"].(Object); ok {
		m["route_config"] = a.routes[rds["route_config_name"].(string)]
		delete(m, "rds")
	}
	if _, ok := m["sds_config"]; ok {
		m["name"] = a.prefix + m["name"].(string)
		delete(m, "sds_config")
	}
	if weighted, ok := m["weighted_clusters"].(Object); ok {
		for _, c := range weighted["clusters"].([]any) {
			c.(Object)["name"] = a.prefix + c.(Object)["name"].(string)
		}
	}
	if eds, ok := m["eds_cluster_config"].(Object); ok {
		name := m["name"].(string)[len(a.prefix):]
		eds["service_name"] = name
		if eds["eds_config"].(Object)["ads"] != nil {
			delete(m, "eds_cluster_config")
			m["type"], m["load_assignment"] = "STATIC", a.endpoints[name]
		}
	}
}
