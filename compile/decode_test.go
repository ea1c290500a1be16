package compile

import (
	"bytes"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/egret-gateway/egret/source"
)

// decode reads manifests without defaults or validation: compile must bear
// what an API server would have refused.
func decode(t testing.TB, manifests []byte) source.Snapshot {
	t.Helper()
	var s source.Snapshot
	for _, doc := range bytes.Split(manifests, []byte("\n---\n")) {
		if len(bytes.TrimSpace(doc)) == 0 {
			continue
		}
		var head struct{ Kind string }
		if err := yaml.Unmarshal(doc, &head); err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		switch head.Kind {
		case "GatewayClass":
			add(t, doc, &s.GatewayClasses)
		case "Gateway":
			add(t, doc, &s.Gateways)
		case "HTTPRoute":
			add(t, doc, &s.HTTPRoutes)
		case "ReferenceGrant":
			add(t, doc, &s.ReferenceGrants)
		case "BackendTLSPolicy":
			add(t, doc, &s.BackendTLSPolicies)
		case "XBackend":
			add(t, doc, &s.XBackends)
		case "XBackendDestination":
			add(t, doc, &s.Backends)
		case "Backend":
			add(t, doc, &s.LegacyBackends)
		case "AuthPolicy":
			add(t, doc, &s.AuthPolicies)
		case "RateLimitPolicy":
			add(t, doc, &s.RateLimitPolicies)
		case "TokenRateLimitPolicy":
			add(t, doc, &s.TokenRateLimitPolicies)
		case "Namespace":
			add(t, doc, &s.Namespaces)
		case "Service":
			add(t, doc, &s.Services)
		case "EndpointSlice":
			add(t, doc, &s.EndpointSlices)
		case "Secret":
			add(t, doc, &s.Secrets)
		case "ConfigMap":
			add(t, doc, &s.ConfigMaps)
		default:
			t.Fatalf("no kind %q in\n%s", head.Kind, doc)
		}
	}
	for _, o := range s.Secrets {
		for k, v := range o.StringData {
			if o.Data == nil {
				o.Data = map[string][]byte{}
			}
			o.Data[k] = []byte(v)
		}
	}
	return s
}

func add[T any](t testing.TB, doc []byte, to *[]*T) {
	t.Helper()
	o := new(T)
	if err := yaml.UnmarshalStrict(doc, o); err != nil {
		t.Fatalf("%v in\n%s", err, doc)
	}
	*to = append(*to, o)
}
