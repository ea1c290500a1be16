package conform

import (
	"maps"
	"path/filepath"
	"strings"

	"github.com/egret-gateway/egret/envoy"
	"github.com/egret-gateway/egret/lab/envoybin"
	"github.com/egret-gateway/egret/plan"
)

type obj = envoybin.Object

// static is a bootstrap with all of a world's gateways in it, as the
// controller words them (envoy.Translate), without a controller to ask. What
// stands around a gateway is the scenario's: ports are free ones of the
// loopback, TLS is left out on both sides but for upstreams that have
// certificates, and backends are at the world's upstream.
func static(w *World, dir string) (obj, error) {
	var s envoybin.Static
	behind := inner(w.Plan)
	for _, gateway := range w.Plan.Gateways() {
		have := len(s.Listeners)
		resources := envoy.Translate(plain(w.Plan.For(gateway)), gateway, envoy.Options{SystemCAs: []byte(w.realm.pki.public)})
		if err := s.Add(gateway+":", resources, func(listener string) obj {
			if behind[gateway] {
				return pipeAt(dir, gateway+":"+strings.TrimPrefix(listener, "listener-"))
			}
			return socketAt("127.0.0.1", 0)
		}); err != nil {
			return nil, err
		}
		for _, l := range s.Listeners[have:] {
			l["name"] = strings.Replace(l["name"].(string), ":listener-", ":", 1) // what door returns
		}
	}
	s.Clusters = append(s.Clusters, unprefixed(s.Clusters)...)
	backends := map[string]*plan.Backend{}
	for i := range w.Plan.Backends {
		backends[w.Plan.Backends[i].Name] = &w.Plan.Backends[i]
	}
	for _, c := range s.Clusters {
		name := bare(c["name"].(string))
		b := backends[name]
		if w.upstream.behind == "" && (b == nil || w.upstream.secure[b.Host] == nil) {
			delete(c, "transport_socket")
		}
		if b != nil && b.Host == "" {
			c["load_assignment"] = obj{"cluster_name": name, "endpoints": []any{obj{"lb_endpoints": endpoints(w, b, dir)}}}
		}
	}
	s.Clusters = append(s.Clusters, obj{
		"name": envoy.ClusterLocal,
		"typed_extension_protocol_options": obj{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": obj{
			"@type":                "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
			"explicit_http_config": obj{"http2_protocol_options": obj{}},
		}},
		"load_assignment": obj{"cluster_name": envoy.ClusterLocal, "endpoints": []any{obj{"lb_endpoints": []any{
			obj{"endpoint": obj{"address": pipeAt(dir, "extproc.sock")}},
		}}}},
	})
	return obj{
		"node":             obj{"id": "conform", "cluster": "conform"},
		"admin":            obj{"address": pipeAt(dir, "admin.sock")},
		"static_resources": s,
		"layered_runtime":  obj{"layers": []any{obj{"name": "l", "static_layer": obj{"re2.max_program_size.error_level": 1 << 20}}}},
	}, nil
}

// unprefixed are the clusters under the names that the engine knows, for
// requests whose cluster it chooses. Gateways that share a backend share its
// address.
func unprefixed(of []obj) (out []obj) {
	seen := map[string]bool{}
	for _, c := range of {
		name := bare(c["name"].(string))
		if seen[name] {
			continue
		}
		seen[name] = true
		alias := maps.Clone(c)
		alias["name"] = name
		out = append(out, alias)
	}
	return out
}

// bare is a cluster's name without its gateway.
func bare(name string) string {
	if _, rest, ok := strings.Cut(name, ":"); ok {
		return rest
	}
	return name
}

// plain is the plan with ports of HTTPS as ports of HTTP.
func plain(p *plan.Plan) *plan.Plan {
	for i := range p.Ports {
		p.Ports[i].TLS = false
	}
	return p
}

func endpoints(w *World, b *plan.Backend, dir string) (out []any) {
	for _, e := range b.Endpoints {
		address := pipeAt(dir, door(e.Gateway, e.Port))
		if e.Gateway == "" {
			ip, port := upstreamAddress(w, e.Address)
			address = socketAt(ip, port)
		}
		out = append(out, obj{"endpoint": obj{"address": address}})
	}
	return out
}

func socketAt(ip string, port int) obj {
	return obj{"socket_address": obj{"address": ip, "port_value": port}}
}

func pipeAt(dir, name string) obj {
	return obj{"pipe": obj{"path": filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))}}
}
