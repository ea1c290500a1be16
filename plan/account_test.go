package plan_test

import (
	"strings"
	"testing"

	"github.com/egret-gateway/egret/plan"
)

func TestBears(t *testing.T) {
	f := func(want bool, names ...string) {
		t.Helper()
		for _, name := range names {
			if plan.Bears(name) != want {
				t.Errorf("Bears(%q) = %v", name, !want)
			}
		}
	}
	f(true, "Authorization", "authorization", "Proxy-Authorization", "X-Api-Key", "x_api_key", "API-KEY", "X-Provider-Api-Key", "X-Goog-Api-Key",
		"Cookie", "X-Auth-Token", "X-Amz-Security-Token", "X-Vault-Token", "Private-Token", "Ocp-Apim-Subscription-Key", "Openai-Organization", "X-Apikey",
		"X-Client-Secret", "X-Amz-Date", "X-Forwarded-Client-Cert", "X-Key", "Key", "Xi-Api-Key", "X-Vendor-Key", "Dpop", "Signature-Input")
	f(false, "Idempotency-Key", "X-Idempotency-Key", "Sec-Websocket-Key", "Content-Type", "Accept", "Openai-Beta", "Anthropic-Version", "Anthropic-Beta",
		"X-Request-Id", "Traceparent", "X-Max-Tokens", "X-Stainless-Lang", "User-Agent", "X-Cookiecutter", "X-Cache-Key", "X-Keyboard", "X-Maas-Proof")
	q := func(want bool, names ...string) {
		t.Helper()
		for _, name := range names {
			if plan.BearsQuery(name) != want {
				t.Errorf("BearsQuery(%q) = %v", name, !want)
			}
		}
	}
	q(true, "key", "Key", "api_key", "api-key", "access_token", "X-Amz-Signature", "sig", "subscription-key")
	q(false, "api-version", "alt", "model", "page_token", "keys", "")
}

// TestAccountFormat: what an older plane would make of accounts, and what this
// one makes of those that it does not know.
func TestAccountFormat(t *testing.T) {
	with := func(a plan.Account) *plan.Plan {
		return &plan.Plan{Backends: []plan.Backend{{Name: "b", Protocol: plan.HTTP, Accounts: []plan.Account{a}}}}
	}
	if n := with(plan.Account{Scheme: plan.SchemeHeader}).Needs(); n != 3 {
		t.Errorf("needs format %d", n)
	}
	f := func(a plan.Account, want string) {
		t.Helper()
		err := with(a).Check()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	f(plan.Account{Scheme: plan.SchemeHeader}, "")
	f(plan.Account{Scheme: plan.SchemeNone}, "")
	f(plan.Account{Scheme: plan.SchemeAWS, AWS: &plan.AWS{}}, "")
	f(plan.Account{Scheme: plan.SchemeGCP, Token: &plan.Token{}}, "")
	f(plan.Account{Scheme: "hawk"}, `scheme "hawk"`)
	f(plan.Account{}, `scheme ""`)
	f(plan.Account{Scheme: plan.SchemeAWS}, "lacks")
	f(plan.Account{Scheme: plan.SchemeOAuth2}, "lacks")
	f(plan.Account{Scheme: plan.SchemeHeader, Token: &plan.Token{}}, "more")
}

// TestAccountSecrets: a Gateway's pods get the Secrets of its own backends'
// accounts, and none of others.
func TestAccountSecrets(t *testing.T) {
	t.Run("gateway-108 keys go to the Gateways that need them", func(t *testing.T) {
		port := func(gateway, rule string) plan.Port {
			return plan.Port{Gateway: gateway, Number: 80, Listeners: []plan.Listener{{VHosts: []plan.VHost{{Entries: []plan.Entry{{Rule: rule}}}}}}}
		}
		backend := func(name string) plan.Backend {
			return plan.Backend{Name: name, Accounts: []plan.Account{{Secret: "secret/" + name}}}
		}
		p := &plan.Plan{
			Ports:    []plan.Port{port("a/g", "ra"), port("b/g", "rb")},
			Rules:    []plan.Rule{{Name: "ra", Targets: []plan.Target{{Backend: "a"}}}, {Name: "rb", Targets: []plan.Target{{Backend: "b"}}}},
			Backends: []plan.Backend{backend("a"), backend("b")},
			Secrets:  []plan.Secret{{Name: "secret/a"}, {Name: "secret/b"}},
		}
		for _, g := range []string{"a", "b"} {
			if got := p.For(g + "/g").Secrets; len(got) != 1 || got[0].Name != "secret/"+g {
				t.Errorf("%s gets %v", g, got)
			}
		}
	})
}
