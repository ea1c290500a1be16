package file

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/runtime"

	kuadrantv1 "github.com/egret-gateway/egret/api/kuadrant/v1"
)

const gatewayTarget = `targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: gw}`

func policy(kind, spec string) string {
	version := map[string]string{"TokenRateLimitPolicy": "v1alpha1"}[kind]
	if version == "" {
		version = "v1"
	}
	return fmt.Sprintf("{apiVersion: kuadrant.io/%s, kind: %s, metadata: {name: p}, spec: {%s}}", version, kind, spec)
}

func TestLimitWindow(t *testing.T) {
	t.Run("maas-112 a window of 1d is refused by the schema", func(t *testing.T) {
		refused(t, policy("TokenRateLimitPolicy", gatewayTarget+`, limits: {free: {rates: [{limit: 100, window: 1d}]}}`),
			`spec.limits.free.rates[0].window: "1d" should match '^([0-9]{1,5}(h|m|s|ms)){1,4}$'`)
		for _, window := range []string{"24h", "1m30s", "500ms", "1h1m1s1ms"} {
			_, problems := load(t, policy("TokenRateLimitPolicy", gatewayTarget+`, limits: {free: {rates: [{limit: 100, window: `+window+`}]}}`))
			if len(problems) > 0 {
				t.Errorf("window %s: %v", window, problems)
			}
		}
	})
}

// The rules of each policy kind and what they say when broken.
func TestPolicyRules(t *testing.T) {
	s := New(Options{}) // shared, for it keeps the compiled rules
	f := func(kind, spec string, want ...string) {
		t.Helper()
		_, problems := s.build(t.Context(), &input{docs: split("-", []byte(policy(kind, spec)))})
		var got []string
		for _, p := range problems {
			got = append(got, p.Field+": "+p.Why)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s {%s} (-want +got):\n%s", kind, spec, diff)
		}
	}

	const limits = `limits: {a: {rates: [{limit: 1, window: 1m}]}}`
	for _, kind := range []string{"RateLimitPolicy", "TokenRateLimitPolicy"} {
		f(kind, gatewayTarget+", "+limits)
		f(kind, gatewayTarget+", defaults: {strategy: merge, "+limits+"}")
		f(kind, gatewayTarget+", overrides: {"+limits+"}")
		f(kind, gatewayTarget, "spec: At least one spec.limits must be defined")
		f(kind, gatewayTarget+", limits: {}", "spec: At least one spec.limits must be defined")
		f(kind, gatewayTarget+", defaults: {}", "spec: At least one spec.defaults.limits must be defined")
		f(kind, gatewayTarget+", overrides: {limits: {}}", "spec: At least one spec.overrides.limits must be defined")
		f(kind, gatewayTarget+", "+limits+", defaults: {"+limits+"}", "spec: Implicit and explicit defaults are mutually exclusive")
		f(kind, gatewayTarget+", "+limits+", overrides: {"+limits+"}", "spec: Overrides and implicit defaults are mutually exclusive")
		f(kind, gatewayTarget+", defaults: {"+limits+"}, overrides: {"+limits+"}", "spec: Overrides and explicit defaults are mutually exclusive")
		f(kind, gatewayTarget+", defaults: {strategy: replace, "+limits+"}", `spec.defaults.strategy: "replace" is not allowed`)
		f(kind, strings.Replace(gatewayTarget, "gateway.networking.k8s.io", "apps", 1)+", "+limits,
			"spec.targetRef: Invalid targetRef.group. The only supported value is 'gateway.networking.k8s.io'")
	}
	service := strings.Replace(gatewayTarget, "kind: Gateway", "kind: Service", 1)
	f("TokenRateLimitPolicy", service+", "+limits, "spec.targetRef: Invalid targetRef.kind. The only supported values are 'HTTPRoute' and 'Gateway'")
	f("RateLimitPolicy", service+", "+limits, "spec.targetRef: Invalid targetRef.kind. The only supported values are 'HTTPRoute', 'GRPCRoute' and 'Gateway'")
	f("AuthPolicy", service+", rules: {authentication: {a: {anonymous: {}}}}",
		"spec.targetRef: Invalid targetRef.kind. The only supported values are 'HTTPRoute', 'GRPCRoute', and 'Gateway'")

	const rules = `rules: {authentication: {a: {anonymous: {}}}}`
	f("AuthPolicy", gatewayTarget+", "+rules)
	f("AuthPolicy", gatewayTarget+", rules: {response: {unauthorized: {code: 418}}}")
	f("AuthPolicy", gatewayTarget, "spec: At least one spec.rules must be defined")
	f("AuthPolicy", gatewayTarget+", defaults: {rules: {}}", "spec: At least one spec.defaults.rules must be defined")
	f("AuthPolicy", gatewayTarget+", overrides: {rules: {authentication: {}}}", "spec: At least one spec.overrides.rules must be defined")
	f("AuthPolicy", gatewayTarget+", "+rules+", defaults: {"+rules+"}", "spec: Implicit and explicit defaults are mutually exclusive")
	f("AuthPolicy", gatewayTarget+", "+rules+", overrides: {"+rules+"}", "spec: Implicit defaults and explicit overrides are mutually exclusive")
	f("AuthPolicy", gatewayTarget+", defaults: {"+rules+"}, overrides: {"+rules+"}", "spec: Explicit overrides and explicit defaults are mutually exclusive")
	f("AuthPolicy", gatewayTarget+`, rules: {authentication: {a: {jwt: {issuerUrl: "https://a", jwksUrl: "https://b"}}}}`,
		"spec.rules.authentication[a].jwt: Use one of: jwksUrl, issuerUrl")
	f("AuthPolicy", gatewayTarget+`, rules: {metadata: {a: {userInfo: {identitySource: a, userInfoUrl: "https://b"}}}}`,
		"spec.rules.metadata[a].userInfo: Use one of: identitySource, userInfoUrl")
	f("AuthPolicy", gatewayTarget+`, rules: {authentication: {a: {x509: {selector: {}, source: {xfccHeader: a, expression: b}}}}}`,
		"spec.rules.authentication[a].x509.source: Use one of: xfccHeader, clientCertHeader, expression")
	f("AuthPolicy", gatewayTarget+", rules: {response: {unauthorized: {code: 600}}}", "spec.rules.response.unauthorized.code: 600 should be less than or equal to 599")
}

// Parts that nothing enforces are stored, and can be seen to be there.
func TestUnsupportedPartsAreKept(t *testing.T) {
	snapshot, problems := load(t, policy("AuthPolicy", gatewayTarget+`, rules: {
		authentication: {intro: {oauth2Introspection: {endpoint: "https://a", credentialsRef: {name: s}}}},
		authorization: {rego: {opa: {rego: "allow = true"}}},
		metadata: {uma: {uma: {endpoint: "https://a", credentialsRef: {name: s}}}},
		callbacks: {log: {http: {url: "https://a"}}}}`))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	rules := snapshot.AuthPolicies[0].Spec.Rules
	got := []string{
		string(rules.Authentication["intro"].OAuth2Introspection.Raw),
		string(rules.Authorization["rego"].OPA.Raw),
		string(rules.Metadata["uma"].UMA.Raw),
		string(rules.Callbacks["log"].Raw),
	}
	want := []string{
		`{"credentialsRef":{"name":"s"},"endpoint":"https://a"}`,
		`{"allValues":false,"rego":"allow = true"}`,
		`{"credentialsRef":{"name":"s"},"endpoint":"https://a"}`,
		`{"http":{"contentType":"application/x-www-form-urlencoded","method":"GET","url":"https://a"},"metrics":false,"priority":0}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A reservation and free-form values keep what was written.
func TestPolicyValues(t *testing.T) {
	snapshot, problems := load(t, policy("TokenRateLimitPolicy", gatewayTarget+`, limits: {a: {rates: [{limit: 5000000000, window: 1m}], reservation: {amount: "int(requestBodyJSON('/max_tokens'))", ttl: 5m}}}`)+
		"\n---\n"+policy("AuthPolicy", gatewayTarget+`, rules: {
			authentication: {a: {plain: {selector: context}, cache: {key: {value: [1, {b: null}]}}}},
			authorization: {a: {patternMatching: {patterns: [{any: [{all: [{predicate: "true"}]}, {patternRef: p}]}]}}},
			response: {success: {headers: {X-Tier: {plain: {value: 5}}}}}}`))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	limit := snapshot.TokenRateLimitPolicies[0].Spec.Limits["a"]
	if limit.Rates[0].Limit != 5_000_000_000 || limit.Reservation.TTL != "5m" || !strings.Contains(limit.Reservation.Amount, "max_tokens") {
		t.Errorf("limit is %+v", limit)
	}
	rules := snapshot.AuthPolicies[0].Spec.Rules
	cache := rules.Authentication["a"].Cache
	if got := string(cache.Key.Value.Raw); got != `[1,{"b":null}]` || cache.TTL != 60 {
		t.Errorf("cache key is %s, TTL %d", got, cache.TTL)
	}
	if got := string(rules.Response.Success.Headers["X-Tier"].Plain.Value.Raw); got != "5" {
		t.Errorf("header value is %s", got)
	}
	want := []kuadrantv1.Pattern{{Any: []kuadrantv1.Pattern{{All: []kuadrantv1.Pattern{{Predicate: "true"}}}, {PatternRef: "p"}}}}
	if diff := cmp.Diff(want, rules.Authorization["a"].PatternMatching.Patterns); diff != "" {
		t.Error(diff)
	}
}

// Each field of our definitions has a field in the Go type, and the other way
// round, so that nothing a user may write is lost on the way.
func TestDefinitionsMatchTypes(t *testing.T) {
	for _, k := range kinds() {
		if k.plural == "" || k.group == "gateway.networking.k8s.io" || k.name == "LLMInferenceService" {
			continue
		}
		def, err := newDefinition(k.group, k.plural, k.versions[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"spec", "status"} {
			prop := def.structural.Properties[part]
			field := jsonFields(element(reflect.TypeOf(k.empty())))[part]
			compareFields(t, k.name+"."+part, prop, element(field), nil)
		}
	}
}

// compareFields walks schema and type side by side. Raw JSON, timestamps and
// recursion end the walk.
func compareFields(t *testing.T, path string, s schema.Structural, typ reflect.Type, above []reflect.Type) {
	for s.Items != nil {
		s = *s.Items
	}
	typ = element(typ)
	switch {
	case typ == reflect.TypeFor[runtime.RawExtension]() || slices.Contains(above, typ):
		return
	case s.AdditionalProperties != nil && s.AdditionalProperties.Structural != nil:
		if typ.Kind() != reflect.Map {
			t.Errorf("%s is a map in the definition and %v in Go", path, typ)
			return
		}
		compareFields(t, path+".*", *s.AdditionalProperties.Structural, typ.Elem(), above)
		return
	case len(s.Properties) == 0:
		return
	}
	fields := jsonFields(typ)
	for name, prop := range s.Properties {
		if fields[name] == nil {
			t.Errorf("%s.%s is in the definition and not in %v", path, name, typ)
			continue
		}
		compareFields(t, path+"."+name, prop, fields[name], append(above, typ))
	}
	for name := range fields {
		if _, ok := s.Properties[name]; !ok {
			t.Errorf("%s.%s is in %v and not in the definition", path, name, typ)
		}
	}
}
