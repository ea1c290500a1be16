package file

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/egret-gateway/egret/api/ainetworking/v0alpha0"
	"github.com/egret-gateway/egret/manifests/crds"
	"github.com/egret-gateway/egret/source"
)

// load reads manifests from standard input.
func load(t *testing.T, manifests string) (source.Snapshot, source.Problems) {
	t.Helper()
	return Load(t.Context(), Options{Paths: []string{"-"}, Stdin: strings.NewReader(manifests)})
}

// backend wraps the spec of a destination in an XBackendDestination.
func backend(destination string) string {
	return `{apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0, kind: XBackendDestination, metadata: {name: b}, spec: {destination: ` + destination + `}}`
}

// refused checks that exactly these "field: why" are what is wrong.
func refused(t *testing.T, manifests string, want ...string) {
	t.Helper()
	snapshot, problems := load(t, manifests)
	var got []string
	for _, p := range problems {
		got = append(got, p.Field+": "+p.Why)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\nproblems (-want +got):\n%s", manifests, diff)
	}
	if n := len(snapshot.Backends) + len(snapshot.TokenRateLimitPolicies); n != 0 {
		t.Errorf("%s\nwas refused and is in the snapshot all the same", manifests)
	}
}

// accepted returns the one backend of manifests that have no problem.
func accepted(t *testing.T, manifests string) *v0alpha0.XBackendDestination {
	t.Helper()
	snapshot, problems := load(t, manifests)
	if len(problems) > 0 || len(snapshot.Backends) != 1 {
		t.Fatalf("%s\n%d backends, problems: %v", manifests, len(snapshot.Backends), problems)
	}
	return snapshot.Backends[0]
}

func definitionOf(t *testing.T, group, plural string) apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	data, err := crds.JSON(group, plural)
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := json.Unmarshal(data, &crd); err != nil {
		t.Fatal(err)
	}
	return crd
}

func TestBackendDefinition(t *testing.T) {
	crd := definitionOf(t, v0alpha0.Group, "xbackenddestinations")
	version := crd.Spec.Versions[0]

	t.Run("gateway-1 group, version, kind, plural, scope and status subresource", func(t *testing.T) {
		type identity struct {
			Name, Group, Version, Kind, List, Plural, Singular string
			Scope                                              apiextensionsv1.ResourceScope
			Status, Scale, Served, Storage                     bool
		}
		got := identity{
			crd.Name, crd.Spec.Group, version.Name, crd.Spec.Names.Kind, crd.Spec.Names.ListKind, crd.Spec.Names.Plural, crd.Spec.Names.Singular,
			crd.Spec.Scope, version.Subresources.Status != nil, version.Subresources.Scale != nil, version.Served, version.Storage,
		}
		want := identity{
			"xbackenddestinations.ainetworking.prototype.x-k8s.io", "ainetworking.prototype.x-k8s.io", "v0alpha0",
			"XBackendDestination", "XBackendDestinationList", "xbackenddestinations", "xbackenddestination",
			apiextensionsv1.NamespaceScoped, true, false, true, true,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("gateway-11 kubectl get xbd shows type, host, ports and readiness", func(t *testing.T) {
		var columns []string
		for _, c := range version.AdditionalPrinterColumns {
			columns = append(columns, c.Name+" "+c.JSONPath)
		}
		want := []string{
			"Type .spec.destination.type",
			"Host .spec.destination.fqdn.hostname",
			"Ports .spec.destination.ports[*].number",
			`Available .status.controllers[*].conditions[?(@.type=="Available")].status`,
			"Age .metadata.creationTimestamp",
		}
		if diff := cmp.Diff(want, columns); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"xbd"}, crd.Spec.Names.ShortNames); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"gateway-api", "ai-gateway"}, crd.Spec.Names.Categories); diff != "" {
			t.Error(diff)
		}
	})
}

// publishedBackends are the backend manifests that users already have.
const publishedBackends = `
apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0
kind: XBackendDestination
metadata: {name: httpbin-backend, namespace: default}
spec:
  destination:
    type: Fqdn
    fqdn: {hostname: httpbin.org}
    ports: [{number: 80, protocol: HTTP}]
---
apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0
kind: XBackendDestination
metadata: {name: httpbin-tls-backend, namespace: default}
spec:
  destination:
    type: Fqdn
    fqdn: {hostname: httpbin.org}
    ports:
    - number: 443
      protocol: HTTP
      tls: {mode: Simple, insecureSkipVerify: true, sni: httpbin.org}
---
apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0
kind: XBackendDestination
metadata: {name: external-model-backend, namespace: default}
spec:
  destination:
    type: Fqdn
    fqdn: {hostname: model-simulator.external-models.svc.cluster.local}
    ports: [{number: 8000, protocol: HTTP}]
---
apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0
kind: XBackendDestination
metadata: {name: external-model-backend-kind, namespace: default}
spec:
  destination:
    type: Fqdn
    fqdn: {hostname: 172.18.0.1}
    ports: [{number: 8000, protocol: HTTP}]
---
apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0
kind: XBackendDestination
metadata: {name: vllm-backend, namespace: default}
spec:
  destination:
    type: Fqdn
    fqdn: {hostname: ec2-34-202-9-189.compute-1.amazonaws.com}
    ports: [{number: 8000, protocol: HTTP}]
`

func TestBackendValidation(t *testing.T) {
	t.Run("gateway-2 every published backend manifest is admitted unchanged", func(t *testing.T) {
		snapshot, problems := load(t, publishedBackends)
		if len(problems) > 0 || len(snapshot.Notices) > 0 {
			t.Errorf("problems: %v, notices: %v", problems, snapshot.Notices)
		}
		var hosts []string
		for _, b := range snapshot.Backends {
			hosts = append(hosts, b.Name+" "+b.Spec.Destination.Fqdn.Hostname)
		}
		want := []string{
			"external-model-backend model-simulator.external-models.svc.cluster.local",
			"external-model-backend-kind 172.18.0.1",
			"httpbin-backend httpbin.org",
			"httpbin-tls-backend httpbin.org",
			"vllm-backend ec2-34-202-9-189.compute-1.amazonaws.com",
		}
		if diff := cmp.Diff(want, hosts); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("gateway-3 exactly one of fqdn and service", func(t *testing.T) {
		const message = "spec.destination: exactly one of the fields in [fqdn service] must be set"
		refused(t, backend(`{type: Fqdn, fqdn: {hostname: a}, service: {name: a, namespace: b}, ports: [{number: 80, protocol: HTTP}]}`), message)
		refused(t, backend(`{type: Fqdn, ports: [{number: 80, protocol: HTTP}]}`), message,
			"spec.destination: type must name the field that is set: Fqdn needs fqdn, Service needs service")
	})

	t.Run("gateway-4 the type names the member that is set", func(t *testing.T) {
		const message = "spec.destination: type must name the field that is set: Fqdn needs fqdn, Service needs service"
		refused(t, backend(`{type: Fqdn, service: {name: a, namespace: b}, ports: [{number: 80, protocol: HTTP}]}`), message)
		refused(t, backend(`{type: Service, fqdn: {hostname: a}, ports: [{number: 80, protocol: HTTP}]}`), message)
	})

	t.Run("gateway-5 ports, numbers, protocols and TLS modes", func(t *testing.T) {
		f := func(ports string, want ...string) {
			t.Helper()
			refused(t, backend(`{type: Fqdn, fqdn: {hostname: a}, `+ports+`}`), want...)
		}
		f(`ports: []`, "spec.destination.ports: should have at least 1 items")
		f(``, "spec.destination.ports: is missing")
		f(`ports: [{number: 0, protocol: HTTP}]`, "spec.destination.ports[0].number: 0 should be greater than or equal to 1")
		f(`ports: [{number: 65536, protocol: HTTP}]`, "spec.destination.ports[0].number: 65536 should be less than or equal to 65535")
		f(`ports: [{number: 80, protocol: TLS}]`, `spec.destination.ports[0].protocol: "TLS" is not allowed`)
		f(`ports: [{number: 80, protocol: HTTP, tls: {sni: a}}]`, "spec.destination.ports[0].tls.mode: is missing")
	})

	port := func(more string) string {
		return backend(`{type: Fqdn, fqdn: {hostname: a}, ports: [{number: 443, protocol: HTTP, ` + more + `}]}`)
	}
	t.Run("gateway-6 the MCP path defaults to /mcp", func(t *testing.T) {
		b := accepted(t, port(`protocolOptions: {mcp: {}}`))
		if got := b.Spec.Destination.Ports[0].ProtocolOptions.MCP.Path; got != "/mcp" {
			t.Errorf("path is %q", got)
		}
	})

	t.Run("gateway-7 a client certificate is a core Secret by default", func(t *testing.T) {
		ref := accepted(t, port(`tls: {mode: Mutual, clientCertificateRef: {name: x}}`)).Spec.Destination.Ports[0].TLS.ClientCertificateRef
		if ref.Kind == nil || *ref.Kind != "Secret" || ref.Group == nil || *ref.Group != "" {
			t.Errorf("reference is %+v", ref)
		}
	})

	t.Run("gateway-8 a CA bundle needs group and kind", func(t *testing.T) {
		refused(t, port(`tls: {mode: Simple, caBundleRef: [{kind: ConfigMap, name: x}]}`), "spec.destination.ports[0].tls.caBundleRef[0].group: is missing")
		refused(t, port(`tls: {mode: Simple, caBundleRef: [{group: "", name: x}]}`), "spec.destination.ports[0].tls.caBundleRef[0].kind: is missing")
	})

	t.Run("gateway-9 rawConfig is read back as it was", func(t *testing.T) {
		const raw = `{"a":[1,2.5,{"b":null}],"big":9007199254740993,"c":{"d":{"e":"f"}},"g":true}`
		b := accepted(t, `{apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0, kind: XBackendDestination, metadata: {name: b}, spec: {
			destination: {type: Fqdn, fqdn: {hostname: a}, ports: [{number: 80, protocol: HTTP}]},
			extensions: [{name: x, type: "example.com/X:v1", rawConfig: `+raw+`}]}}`)
		if got := string(b.Spec.Extensions[0].RawConfig.Raw); got != raw {
			t.Errorf("rawConfig is %s", got)
		}
	})

	t.Run("gateway-10 status is optional, and bounded when written", testBackendStatus)

	t.Run("gateway-12 a legacy Backend of the same name stays apart", func(t *testing.T) {
		const legacy = `{apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0, kind: Backend, metadata: {name: b}, spec: {destination: {type: Ip, ip: {address: 192.0.2.1}, ports: [{number: 80, protocol: HTTP}]}}}`
		snapshot, problems := load(t, legacy+"\n---\n"+backend(`{type: Fqdn, fqdn: {hostname: a}, ports: [{number: 80, protocol: HTTP}]}`))
		if len(problems) > 0 || len(snapshot.Backends) != 1 || len(snapshot.LegacyBackends) != 1 {
			t.Errorf("%d backends, %d legacy, problems: %v", len(snapshot.Backends), len(snapshot.LegacyBackends), problems)
		}
		refused(t, strings.Replace(legacy, "ip: {address: 192.0.2.1}", "ip: {address: a}, fqdn: {hostname: a}", 1),
			"spec.destination: exactly one of the fields in [fqdn service ip] must be set")
	})
}

func testBackendStatus(t *testing.T) {
	accepted(t, backend(`{type: Fqdn, fqdn: {hostname: a}, ports: [{number: 80, protocol: HTTP}]}`))
	// A typed client sends an empty status, which a create drops.
	b := accepted(t, strings.TrimSuffix(backend(`{type: Fqdn, fqdn: {hostname: a}, ports: [{number: 80, protocol: HTTP}]}`), "}")+`, status: {controllers: null}}`)
	if len(b.Status.Controllers) != 0 {
		t.Errorf("status is %+v", b.Status)
	}

	def, err := newDefinition(v0alpha0.Group, "xbackenddestinations", v0alpha0.Version)
	if err != nil {
		t.Fatal(err)
	}
	write := func(names ...string) field.ErrorList {
		var controllers []any
		for _, name := range names {
			controllers = append(controllers, map[string]any{"name": name})
		}
		return def.check(t.Context(), map[string]any{
			"spec": map[string]any{"destination": map[string]any{
				"type": "Fqdn", "fqdn": map[string]any{"hostname": "a"},
				"ports": []any{map[string]any{"number": int64(80), "protocol": "HTTP"}},
			}},
			"status": map[string]any{"controllers": controllers},
		})
	}
	if errs := write("a.dev/1", "a.dev/2", "a.dev/3", "a.dev/4", "a.dev/5", "a.dev/6", "a.dev/7", "a.dev/8"); len(errs) > 0 {
		t.Errorf("eight controllers: %v", errs)
	}
	f := func(want string, names ...string) {
		t.Helper()
		if errs := write(names...); len(errs) != 1 || !strings.Contains(errs[0].Error(), want) {
			t.Errorf("%v: got %v, want %q", names, errs, want)
		}
	}
	f("must have at most 8 items", "a.dev/1", "a.dev/2", "a.dev/3", "a.dev/4", "a.dev/5", "a.dev/6", "a.dev/7", "a.dev/8", "a.dev/9")
	f("should match", "no-slash")
	f("Duplicate value", "a.dev/1", "a.dev/1")
}
