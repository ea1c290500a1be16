package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/plan"
)

// TestFor: a Gateway's data plane gets what its own ports lead to and no more,
// least of all the secrets of others (B-30).
func TestFor(t *testing.T) {
	entry := func(rule, policy string) []plan.VHost {
		return []plan.VHost{{Domain: "*", Entries: []plan.Entry{{ID: rule, Rule: rule, Policy: policy}}}}
	}
	p := &plan.Plan{
		Ports: []plan.Port{
			{Gateway: "a/g", Number: 443, Listeners: []plan.Listener{{Name: "l", TLS: &plan.ServerTLS{Certificates: []string{"secret/a/cert"}}, VHosts: entry("ra", "pa")}}},
			{Gateway: "b/g", Number: 80, Listeners: []plan.Listener{{Name: "l", VHosts: entry("rb", "pb")}}},
		},
		Rules: []plan.Rule{{Name: "ra", Targets: []plan.Target{{Backend: "ba"}, {Backend: "shared"}}}, {Name: "rb", Targets: []plan.Target{{Backend: "shared"}}}},
		Policies: []plan.Policy{
			{Name: "pa", Auth: &plan.Auth{Metadata: []plan.Metadata{{HTTP: plan.HTTPCall{Secret: "secret/a/shared"}}}}},
			{Name: "pb", Auth: &plan.Auth{Authentication: []plan.Authentication{{APIKey: &plan.APIKey{Keys: []plan.APIKeyRef{{Secret: "secret/b/key"}}}}}}},
		},
		Backends: []plan.Backend{{Name: "ba", TLS: &plan.ClientTLS{CAs: []string{"configmap/a/ca"}, Identity: "secret/a/id"}}, {Name: "shared"}, {Name: "unused"}},
	}
	for _, n := range []string{"configmap/a/ca", "secret/a/cert", "secret/a/id", "secret/a/shared", "secret/b/key", "secret/c/other"} {
		p.Secrets = append(p.Secrets, plan.Secret{Name: n})
	}
	names := func(of *plan.Plan) (out []string) {
		for _, x := range of.Ports {
			out = append(out, x.Gateway)
		}
		for _, x := range of.Rules {
			out = append(out, x.Name)
		}
		for _, x := range of.Policies {
			out = append(out, x.Name)
		}
		for _, x := range of.Backends {
			out = append(out, x.Name)
		}
		for _, x := range of.Secrets {
			out = append(out, x.Name)
		}
		return out
	}
	f := func(gateway string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, names(p.For(gateway))); diff != "" {
			t.Errorf("%s: -want +got\n%s", gateway, diff)
		}
	}
	f("a/g", "a/g", "ra", "pa", "ba", "shared", "configmap/a/ca", "secret/a/cert", "secret/a/id", "secret/a/shared")
	f("b/g", "b/g", "rb", "pb", "shared", "secret/b/key")
	f("c/g")
	if diff := cmp.Diff([]string{"a/g", "b/g"}, p.Gateways()); diff != "" {
		t.Error(diff)
	}
}
