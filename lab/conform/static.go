package conform

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/egret-gateway/egret/envoy"
	"github.com/egret-gateway/egret/plan"
)

type obj = map[string]any
type list = []any

func typed(name string, more obj) obj {
	more["@type"] = "type.googleapis.com/" + name
	return more
}

const (
	filterType   = "envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor"
	perRouteType = "envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute"
	optionsType  = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
)

func static(w *World, dir string) obj {
	socket, admin := filepath.Join(dir, "extproc.sock"), filepath.Join(dir, "admin.sock")
	p := w.Plan
	var ls, cs list
	for i := range p.Ports {
		l := staticListener(p, &p.Ports[i])
		if inner(p)[p.Ports[i].Gateway] {
			l["address"] = obj{"pipe": obj{"path": innerSocket(dir, p.Ports[i].Gateway, p.Ports[i].Number)}}
		}
		ls = append(ls, l)
	}
	cs = append(cs, obj{
		"name":                             envoy.ClusterLocal,
		"typed_extension_protocol_options": obj{optionsType: typed(optionsType, obj{"explicit_http_config": obj{"http2_protocol_options": obj{}}})},
		"load_assignment":                  obj{"cluster_name": envoy.ClusterLocal, "endpoints": list{obj{"lb_endpoints": list{obj{"endpoint": obj{"address": obj{"pipe": obj{"path": socket}}}}}}}},
	}, obj{"name": "nowhere", "load_assignment": obj{"cluster_name": "nowhere"}})
	for i := range p.Backends {
		cs = append(cs, staticCluster(w, &p.Backends[i], dir))
	}
	return obj{
		"node":             obj{"id": "conform", "cluster": "conform"},
		"admin":            obj{"address": obj{"pipe": obj{"path": admin}}},
		"static_resources": obj{"listeners": ls, "clusters": cs},
		"layered_runtime":  obj{"layers": list{obj{"name": "l", "static_layer": obj{"re2.max_program_size.error_level": 100000}}}},
	}
}

func innerSocket(dir, gateway string, port int32) string {
	return filepath.Join(dir, strings.ReplaceAll(door(gateway, port), "/", "_"))
}

func staticCluster(w *World, b *plan.Backend, dir string) obj {
	var eps list
	add := func(host string) {
		a, port := upstreamAddress(w, host)
		eps = append(eps, obj{"endpoint": obj{"address": obj{"socket_address": obj{"address": a, "port_value": port}}}})
	}
	for _, e := range b.Endpoints {
		if e.Gateway != "" {
			eps = append(eps, obj{"endpoint": obj{"address": obj{"pipe": obj{"path": innerSocket(dir, e.Gateway, e.Port)}}}})
			continue
		}
		add(e.Address)
	}
	options := typed(optionsType, obj{"explicit_http_config": obj{"http_protocol_options": obj{"enable_trailers": true}}})
	if b.AskUsage {
		inner := filter(obj{"initial_metadata": meta(envoy.MetaTry, "1")})
		inner["metadata_options"] = obj{"forwarding_namespaces": obj{"untyped": list{envoy.Namespace}}}
		options["http_filters"] = list{
			obj{"name": "envoy.filters.http.match_delegate", "typed_config": typed("envoy.extensions.common.matching.v3.ExtensionWithMatcher", obj{
				"extension_config": obj{"name": "envoy.filters.http.ext_proc", "typed_config": inner},
				"xds_matcher": obj{"matcher_list": obj{"matchers": list{obj{
					"predicate": obj{"not_matcher": obj{"single_predicate": obj{
						"input":        obj{"name": "i", "typed_config": typed("envoy.extensions.matching.common_inputs.network.v3.DynamicMetadataInput", obj{"filter": envoy.Namespace, "path": list{obj{"key": envoy.KeyTry}}})},
						"custom_match": obj{"name": "m", "typed_config": typed("envoy.extensions.matching.input_matchers.metadata.v3.Metadata", obj{"value": obj{"present_match": true}})},
					}}},
					"on_match": obj{"action": obj{"name": "skip", "typed_config": typed("envoy.extensions.filters.common.matcher.action.v3.SkipFilter", obj{})}},
				}}}},
			})},
			obj{"name": "envoy.filters.http.upstream_codec", "typed_config": typed("envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec", obj{})},
		}
	}
	if b.Host != "" {
		return obj{
			"name": b.Name, "connect_timeout": "5s", "type": "EDS",
			"eds_cluster_config": obj{"eds_config": obj{"resource_api_version": "V3", "api_config_source": obj{
				"api_type": "GRPC", "transport_api_version": "V3", "set_node_on_first_message_only": true, "grpc_services": list{obj{"envoy_grpc": obj{"cluster_name": envoy.ClusterLocal}}},
			}}},
			"typed_extension_protocol_options": obj{optionsType: options},
		}
	}
	return obj{
		"name": b.Name, "connect_timeout": "5s",
		"load_assignment":                  obj{"cluster_name": b.Name, "endpoints": list{obj{"lb_endpoints": eps}}},
		"typed_extension_protocol_options": obj{optionsType: options},
	}
}

func meta(kv ...string) list {
	var out list
	for i := 0; i < len(kv); i += 2 {
		out = append(out, obj{"key": kv[i], "value": kv[i+1]})
	}
	return out
}

func filter(service obj) obj {
	service["envoy_grpc"] = obj{"cluster_name": envoy.ClusterLocal}
	return typed(filterType, obj{
		"grpc_service": service, "allow_mode_override": true, "message_timeout": "30s",
		"mutation_rules":      obj{"allow_all_routing": true, "allow_envoy": true},
		"request_attributes":  list{"source.address", "request.protocol"},
		"response_attributes": list{"response.code_details"},
		"processing_mode":     obj{"request_header_mode": "SEND", "response_header_mode": "SEND", "request_trailer_mode": "SKIP", "response_trailer_mode": "SKIP"},
	})
}

func perRoute(kv ...string) obj {
	return obj{"envoy.filters.http.ext_proc": typed(perRouteType, obj{"overrides": obj{"grpc_initial_metadata": meta(kv...)}})}
}

func staticListener(p *plan.Plan, port *plan.Port) obj {
	f := filter(obj{"initial_metadata": meta(envoy.MetaGateway, port.Gateway, envoy.MetaPort, fmt.Sprint(port.Number))})
	f["route_cache_action"] = "RETAIN"
	f["metadata_options"] = obj{"receiving_namespaces": obj{"untyped": list{envoy.Namespace}}}
	hcm := typed("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", obj{
		"stat_prefix": "s", "generate_request_id": false, "preserve_external_request_id": true, "use_remote_address": true,
		"skip_xff_append": true, "server_header_transformation": "PASS_THROUGH", "upgrade_configs": list{obj{"upgrade_type": "websocket"}},
		"common_http_protocol_options": obj{"max_headers_count": 1000},
		"http_protocol_options":        obj{"enable_trailers": true, "ignore_http_11_upgrade": list{obj{"safe_regex": obj{"regex": "[^wW].*"}}}},
		"access_log": list{obj{"name": "als",
			"filter": obj{"metadata_filter": obj{"matcher": obj{"filter": envoy.Namespace, "path": list{obj{"key": envoy.KeyID}}, "value": obj{"string_match": obj{"safe_regex": obj{"regex": ".+"}}}}, "match_if_key_not_found": false}},
			"typed_config": typed("envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig", obj{"common_config": obj{
				"log_name": "egret", "transport_api_version": "V3", "buffer_size_bytes": 0, "grpc_service": obj{"envoy_grpc": obj{"cluster_name": envoy.ClusterLocal}},
			}}),
		}},
		"local_reply_config": obj{"mappers": list{obj{
			"filter":               obj{"metadata_filter": obj{"matcher": obj{"filter": envoy.Namespace, "path": list{obj{"key": envoy.KeyID}}, "value": obj{"string_match": obj{"safe_regex": obj{"regex": ".+"}}}}, "match_if_key_not_found": false}},
			"body_format_override": obj{"text_format_source": obj{"inline_string": "%RESPONSE_CODE%\n"}, "content_type": "text/plain; charset=utf-8"},
			"headers_to_add":       list{obj{"header": obj{"key": "x-request-id", "value": "%REQ(x-request-id)%"}}},
		}}},
		"http_filters": list{
			obj{"name": "envoy.filters.http.ext_proc", "typed_config": f},
			obj{"name": "envoy.filters.http.router", "typed_config": typed("envoy.extensions.filters.http.router.v3.Router", obj{"suppress_envoy_headers": true})},
		},
		"route_config": obj{"ignore_port_in_host_matching": true, "virtual_hosts": staticHosts(p, port)},
	})
	return obj{
		"name": door(port.Gateway, port.Number), "address": obj{"socket_address": obj{"address": "127.0.0.1", "port_value": 0}},
		"filter_chains": list{obj{"filters": list{obj{"name": "hcm", "typed_config": hcm}}}},
	}
}

func staticHosts(p *plan.Plan, port *plan.Port) (out list) {
	digests := p.Digests(port)
	seen := map[string]bool{}
	for _, l := range port.Listeners {
		hosts := append([]plan.VHost{}, l.VHosts...)
		own := or(l.Host, "*")
		hosts = append(hosts, plan.VHost{Domain: own})
		for _, v := range hosts {
			domain := v.Domain
			if domain == "*" {
				domain = own
			}
			if seen[domain] {
				continue
			}
			seen[domain] = true
			routes := list{}
			for i := range v.Entries {
				name := plan.EntryName(l.Name, v.Domain, v.Entries[i].ID)
				routes = append(routes, staticRoute(p, &v.Entries[i], name, digests[name]))
			}
			out = append(out, obj{"name": l.Name + domain, "domains": list{domain}, "routes": routes})
		}
	}
	return out
}

func value(m plan.ValueMatch) obj {
	if m.Regex {
		return obj{"safe_regex": obj{"regex": m.Value}}
	}
	return obj{"exact": m.Value}
}

func staticRoute(p *plan.Plan, e *plan.Entry, name, digest string) obj {
	m := obj{}
	switch prefix := strings.TrimRight(e.Match.Path.Value, "/"); {
	case e.Match.Path.Kind == plan.PathExact:
		m["path"] = e.Match.Path.Value
	case e.Match.Path.Kind == plan.PathRegex:
		m["safe_regex"] = obj{"regex": e.Match.Path.Value}
	case prefix == "":
		m["prefix"] = "/"
	default:
		m["path_separated_prefix"] = prefix
	}
	var hs, qs list
	if e.Match.Method != "" {
		hs = append(hs, obj{"name": ":method", "string_match": obj{"exact": e.Match.Method}})
	}
	for _, h := range e.Match.Headers {
		hs = append(hs, obj{"name": h.Name, "string_match": value(h)})
	}
	for _, q := range e.Match.Query {
		qs = append(qs, obj{"name": q.Name, "string_match": value(q)})
	}
	if hs != nil {
		m["headers"] = hs
	}
	if qs != nil {
		m["query_parameters"] = qs
	}
	var rule *plan.Rule
	for i := range p.Rules {
		if p.Rules[i].Name == e.Rule {
			rule = &p.Rules[i]
		}
	}
	var clusters list
	for i, t := range rule.Targets {
		clusters = append(clusters, obj{"name": or(t.Backend, "nowhere"), "weight": t.Weight, "typed_per_filter_config": perRoute(envoy.MetaTarget, fmt.Sprint(i))})
	}
	if clusters == nil {
		clusters = list{obj{"name": "nowhere", "weight": 1}}
	}
	t := rule.Timeouts
	action := obj{
		"weighted_clusters": obj{"clusters": clusters}, "timeout": duration(t.Request), "idle_timeout": duration(t.Idle),
		"retry_policy": obj{"retry_on": "connect-failure,reset-before-request,retriable-headers", "num_retries": 2, "retriable_headers": list{obj{"name": envoy.HeaderRetry, "present_match": true}},
			"retry_back_off": obj{"base_interval": "0.001s"}},
	}
	if t.Explicit {
		action["idle_timeout"] = "0s"
	}
	if t.Backend > 0 {
		action["retry_policy"].(obj)["per_try_timeout"] = duration(t.Backend)
	}
	return obj{
		"name": e.ID, "match": m, "route": action, "request_body_buffer_limit": 32 << 20,
		"typed_per_filter_config": perRoute(envoy.MetaEntry, name, envoy.MetaDigest, digest),
	}
}

func duration(d time.Duration) string {
	if d < 0 {
		return "0s"
	}
	return fmt.Sprintf("%.3fs", d.Seconds())
}
