package chart

import (
	"bytes"
	"encoding/json"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"sigs.k8s.io/yaml"
)

// everything is each value set to something that is not its default.
const everything = `
images:
  egret: registry.example.com/egret@sha256:1111
  maasAPI: registry.example.com/maas-api:1
  envoy: registry.example.com/envoy:1
  pullPolicy: IfNotPresent
  pullSecrets: [{name: registry}]
labels: {team: platform}
egret: {replicas: 1, goMemLimit: 900MiB, resources: {limits: {memory: 1Gi}}, args: [-v=4]}
wg: {enabled: true, replicas: 3, goMemLimit: 900MiB, resources: {limits: {memory: 1Gi}}, args: [-v=4]}
settings: {counters: "redis://valkey:6379/0", ledger: "postgres://egret@db/egret"}
maas:
  enabled: true
  namespaces: []
  host: maas.example.com
  certificate: router-certs-default
  routeNamespaces: [opendatahub, team-a]
  fleet: {replicas: 3, service: {type: ClusterIP}}
  issuer: https://issuer.example.com/abc
  tiers:
    - {name: trial, level: 0, groups: ["system:authenticated"], tokens: {limit: 2000000, window: 24h}}
  api:
    replicas: 2
    resources: {limits: {memory: 256Mi}}
    annotations: {opendatahub.io/managed: "false"}
    env: [{name: STORAGE_MODE, value: external}]
`

func TestEverything(t *testing.T) {
	all := objects(t, everything, "egret-system")
	f := func(name string, want any, keys ...string) {
		t.Helper()
		o, ok := all[name]
		if !ok {
			t.Errorf("no %s", name)
			return
		}
		if diff := cmp.Diff(want, o.at(keys...)); diff != "" {
			t.Errorf("%s: %s\n%s", name, strings.Join(keys, "."), diff)
		}
	}
	for name, o := range all {
		f(name, "Helm", "metadata", "labels", "app.kubernetes.io/managed-by")
		f(name, "platform", "metadata", "labels", "team")
		if o.text("kind") == "Deployment" {
			f(name, "platform", "spec", "template", "metadata", "labels", "team")
			f(name, nil, "spec", "selector", "matchLabels", "team")
			f(name, []any{map[string]any{"name": "registry"}}, "spec", "template", "spec", "imagePullSecrets")
		}
	}
	f("Deployment egret-system/egret-controller", 1.0, "spec", "replicas")
	f("Deployment egret-system/ai-gateway-controller", 3.0, "spec", "replicas")
	f("Deployment opendatahub/maas-api", 2.0, "spec", "replicas")
	f("Deployment opendatahub/maas-api", "false", "metadata", "annotations", "opendatahub.io/managed")
	f("Secret egret-system/egret-settings", map[string]any{"counters": "redis://valkey:6379/0", "ledger": "postgres://egret@db/egret"}, "stringData")
	f("ConfigMap openshift-ingress/maas-default-gateway-fleet", "replicas: 3\nservice:\n  type: ClusterIP\n", "data", "fleet.yaml")
	f("Gateway openshift-ingress/maas-default-gateway", "maas-default-gateway-fleet", "spec", "infrastructure", "parametersRef", "name")
	f("ConfigMap opendatahub/tier-to-group-mapping", "- groups:\n  - system:authenticated\n  level: 0\n  name: trial\n", "data", "tiers")
	f("TokenRateLimitPolicy openshift-ingress/gateway-token-rate-limits", map[string]any{"trial-user-tokens": map[string]any{
		"rates":    []any{map[string]any{"limit": 2e6, "window": "24h"}},
		"when":     []any{map[string]any{"predicate": `auth.identity.tier == "trial" && !request.path.endsWith("/v1/models")`}},
		"counters": []any{map[string]any{"expression": "auth.identity.userid"}},
	}}, "spec", "limits")

	contains(t, all, "Deployment egret-system/egret-controller", "registry.example.com/egret@sha256:1111", "IfNotPresent", "900MiB", `"1Gi"`, "-v=4", "--envoy-image=registry.example.com/envoy:1")
	contains(t, all, "Deployment opendatahub/maas-api", "registry.example.com/maas-api:1", "IfNotPresent", "256Mi", "STORAGE_MODE", "router-certs-default", "maas.example.com")
	contains(t, all, "Gateway openshift-ingress/maas-default-gateway", "maas.example.com", "router-certs-default", `["opendatahub","team-a"]`)
	contains(t, all, "AuthPolicy opendatahub/maas-api-auth-policy", "https://issuer.example.com/abc")
	missing(t, all, "PodDisruptionBudget egret-system/egret-controller") // nobody to stand by
	missing(t, all, "Namespace opendatahub")
	missing(t, objects(t, "", "egret-system"), "Secret egret-system/egret-settings") // may be the user's own
	contains(t, all, "Deployment egret-system/egret-controller", `"--pull-secrets=registry"`)

	own := objects(t, "{wg: {enabled: true}, settings: {existingSecret: team.redis}}", "egret-system")
	missing(t, own, "Secret egret-system/egret-settings")
	contains(t, own, "Deployment egret-system/egret-controller", `"--settings-secret=team.redis"`)
	contains(t, own, "Deployment egret-system/ai-gateway-controller", `"--settings-secret=team.redis"`)
}

func contains(t *testing.T, all map[string]object, name string, parts ...string) {
	t.Helper()
	data, err := json.Marshal(all[name])
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range parts {
		if !bytes.Contains(data, []byte(part)) {
			t.Errorf("%s does not have %s:\n%s", name, part, data)
		}
	}
}

func missing(t *testing.T, all map[string]object, name string) {
	t.Helper()
	if _, ok := all[name]; ok {
		t.Errorf("%s is there", name)
	}
}

func TestSchemaRefuses(t *testing.T) {
	f := func(values, want string) {
		t.Helper()
		_, err := render(t, values, "egret-system")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", values, err, want)
		}
	}
	f("replicas: 2", "'replicas' not allowed")
	f("egret: {replica: 2}", "'replica' not allowed")
	f("egret: {replicas: two}", "/egret/replicas")
	f("egret: {resources: {limit: {}}}", "'limit' not allowed")
	f("images: {pullPolicy: Sometimes}", "/images/pullPolicy")
	f("images: {pullSecrets: [registry]}", "/images/pullSecrets/0")
	f("labels: {app.kubernetes.io/name: mine}", "/labels/app.kubernetes.io~1name")
	f("settings: {counters: \"valkey:6379\"}", "/settings/counters")
	f("settings: {existingSecret: Mine}", "/settings/existingSecret")
	f("settings: {existingSecret: mine, counters: \"redis://valkey:6379/0\"}", "put them into Secret mine")
	f("maas: {host: \"https://maas.example.com\"}", "/maas/host")
	f("maas: {host: \"*.example.com\"}", "/maas/host")
	f("maas: {namespaces: [kube-system]}", "/maas/namespaces/0")
	f("maas: {routeNamespaces: []}", "/maas/routeNamespaces")
	f("maas: {tiers: [{name: free, level: 0, groups: []}]}", "'tokens'")
	f("maas: {tiers: [{name: 'a\" || true', level: 0, groups: [], tokens: {limit: 1, window: 1m}}]}", "/maas/tiers/0/name")
	f("maas: {tiers: [{name: free, level: 0, groups: [], tokens: {limit: 1, window: minute}}]}", "/maas/tiers/0/tokens/window")
}

// TestValuesDescribed: values.yaml and the schema name the same keys.
func TestValuesDescribed(t *testing.T) {
	c := load(t)
	var schema map[string]any
	if err := json.Unmarshal(c.Schema, &schema); err != nil {
		t.Fatal(err)
	}
	var values, known []string
	keysOf(c.Values, "", &values)
	propertiesOf(schema, schema, "", &known)
	known = slices.DeleteFunc(known, func(k string) bool { return k == ".global" })
	for _, list := range [][]string{values, known} {
		slices.Sort(list)
	}
	if diff := cmp.Diff(values, known); diff != "" {
		t.Errorf("values.yaml (-) and schema (+):\n%s", diff)
	}
}

// keysOf lists the paths of values, down to what the schema leaves open.
func keysOf(values map[string]any, at string, out *[]string) {
	for key, v := range values {
		*out = append(*out, at+"."+key)
		if m, ok := v.(map[string]any); ok && key != "requests" && key != "limits" {
			keysOf(m, at+"."+key, out)
		}
	}
}

func propertiesOf(root, schema map[string]any, at string, out *[]string) {
	if ref, ok := schema["$ref"].(string); ok {
		schema = root["definitions"].(map[string]any)[path.Base(ref)].(map[string]any)
	}
	properties, _ := schema["properties"].(map[string]any)
	for key, v := range properties {
		*out = append(*out, at+"."+key)
		propertiesOf(root, v.(map[string]any), at+"."+key, out)
	}
}

func TestLint(t *testing.T) {
	f := func(name, text string) {
		t.Run(name, func(t *testing.T) {
			var values map[string]any
			if err := yaml.Unmarshal([]byte(text), &values); err != nil {
				t.Fatal(err)
			}
			for _, m := range lint.RunAll(dir, values, "egret-system").Messages {
				if m.Severity > support.InfoSev {
					t.Error(m)
				}
			}
		})
	}
	f("defaults", "")
	f("MaaS", "maas: {enabled: true}")
	f("everything", everything)
}

// TestDefinitions: the chart brings Egret's own two kinds, and has no copy of
// them but the published ones.
func TestDefinitions(t *testing.T) {
	want := map[string]string{}
	for _, kind := range []string{"backends", "xbackenddestinations"} {
		name := "ainetworking.prototype.x-k8s.io_" + kind + ".yaml"
		data, err := os.ReadFile("../../manifests/crds/" + name)
		if err != nil {
			t.Fatal(err)
		}
		want["crds/"+name] = string(data)
	}
	got := map[string]string{}
	for _, crd := range load(t).CRDObjects() {
		got[crd.Name] = string(crd.File.Data)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNotes(t *testing.T) {
	f := func(values string, want ...string) {
		t.Helper()
		text := notes(t, values)
		for _, part := range want {
			if !strings.Contains(text, part) {
				t.Errorf("%s: the notes do not say %q:\n%s", values, part, text)
			}
		}
	}
	f("", "deployment/egret-controller -n egret-system", "Gateway of class egret.", "maas.enabled=true", "Secret egret-settings")
	f("settings: {existingSecret: mine}", "Secret mine in namespace egret-system")
	f("maas: {enabled: true}", "deployment/maas-api -n opendatahub", "HOST=$(kubectl get gateway", "/maas-api/v1/tokens")
	f(everything, "deployment/ai-gateway-controller -n egret-system", "HOST=maas.example.com")
	if text := notes(t, everything); strings.Contains(text, "counts limits for itself") || strings.Contains(text, "redis://") {
		t.Errorf("counters are set:\n%s", text)
	}
}
