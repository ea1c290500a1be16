package chart

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const (
	controllers = "resources: [../manifests/maas/controller, classes.yaml]"
	wg          = "resources: [../manifests/openshift/controller.yaml]"
	kubernetes  = "resources: [../manifests/maas/kubernetes]"
	openshift   = "resources: [../manifests/maas/openshift]"
	hosted      = `
resources: [../manifests/maas/kubernetes, parameters.yaml]
components: [../manifests/maas/host]`
)

// TestSameAsManifests holds each object of the chart to the one that the plain
// manifests, as kustomize builds them, install. Allowed to differ is only what
// normal takes away, and what a case names.
func TestSameAsManifests(t *testing.T) {
	f := func(name, values, namespace, kustomization string, allow func(ours, plain map[string]object)) {
		t.Run(name, func(t *testing.T) {
			ours, plain := objects(t, values, namespace), build(t, kustomization)
			delete(plain, "Namespace "+namespace) // helm install --create-namespace
			if allow != nil {
				allow(ours, plain)
			}
			normal(t, ours)
			normal(t, plain)
			if diff := cmp.Diff(plain, ours); diff != "" {
				t.Errorf("the chart (+) is not the manifests (-):\n%s", diff)
			}
		})
	}
	f("defaults", "", "egret-system", controllers, nil)
	f("MaaS", "maas: {enabled: true}", "egret-system", kubernetes, nil)
	f("MaaS with a host", "maas: {enabled: true, host: maas.example.com, certificate: own-tls}", "egret-system", hosted, nil)
	f("MaaS on OpenShift", `
maas:
  enabled: true
  namespaces: [opendatahub]
  api: {annotations: {opendatahub.io/managed: "false"}}`, "egret-system", openshift, nil)
	f("class wg-ai-gateway", "{egret: {enabled: false}, wg: {enabled: true}}", "ai-gateway-system", wg,
		func(ours, _ map[string]object) {
			// The chart has one Service for both controllers, with the metrics' port.
			spec := ours["Service ai-gateway-system/ai-gateway-controller"]["spec"].(map[string]any)
			spec["ports"] = spec["ports"].([]any)[:1]
		})
}

// build is what kustomize makes of a kustomization beside manifests.
func build(t *testing.T, kustomization string) map[string]object {
	t.Helper()
	fs := filesys.MakeFsInMemory()
	files, err := published()
	if err != nil {
		t.Fatal(err)
	}
	files["overlay/kustomization.yaml"] = []byte(kustomization)
	files["overlay/classes.yaml"] = classes(t, files["manifests/maas/base/gateway.yaml"])
	files["overlay/parameters.yaml"] = []byte(`
apiVersion: v1
kind: ConfigMap
metadata:
  name: maas-parameters
  annotations: {config.kubernetes.io/local-config: "true"}
data: {host: maas.example.com, certificate: own-tls}`)
	for name, data := range files {
		if err := fs.WriteFile(name, data); err != nil {
			t.Fatal(err)
		}
	}
	options := krusty.MakeDefaultOptions()
	options.LoadRestrictions = types.LoadRestrictionsNone // single files beside the overlay
	built, err := krusty.MakeKustomizer(options).Run(fs, "overlay")
	if err != nil {
		t.Fatal(err)
	}
	data, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]object{}
	read(t, kustomization, data, out)
	return out
}

// published are the YAML files under manifests, by path.
func published() (map[string][]byte, error) {
	manifests, out := os.DirFS("../../manifests"), map[string][]byte{}
	err := fs.WalkDir(manifests, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || path.Ext(name) != ".yaml" {
			return err
		}
		data, err := fs.ReadFile(manifests, name)
		out["manifests/"+name] = data
		return err
	})
	return out, err
}

// classes are the GatewayClasses of a file, which the manifests have beside the
// gateway of MaaS and the chart beside the controller.
func classes(t *testing.T, data []byte) []byte {
	t.Helper()
	all := map[string]object{}
	read(t, "gateway.yaml", data, all)
	maps.DeleteFunc(all, func(name string, _ object) bool { return !strings.HasPrefix(name, "GatewayClass ") })
	var out []byte
	for _, o := range all {
		text, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		out = append(append(out, "---\n"...), text...)
	}
	return out
}

// normal takes away what Helm adds, and reads YAML that stands in a ConfigMap.
func normal(t *testing.T, all map[string]object) {
	t.Helper()
	for _, o := range all {
		meta := o["metadata"].(map[string]any)
		drop(meta, "labels", "app.kubernetes.io/managed-by", "helm.sh/chart")
		drop(meta, "annotations", "helm.sh/resource-policy")
		if o.text("kind") != "ConfigMap" {
			continue
		}
		data := o["data"].(map[string]any)
		for key, text := range data {
			var v any
			if err := yaml.UnmarshalStrict([]byte(text.(string)), &v); err != nil {
				t.Errorf("%s: %s: %v", o.name(), key, err)
			}
			data[key] = v
		}
	}
}

// drop takes keys from a map in meta, and the map when nothing is left in it.
func drop(meta map[string]any, field string, keys ...string) {
	m, _ := meta[field].(map[string]any)
	for _, key := range keys {
		delete(m, key)
	}
	if len(m) == 0 {
		delete(meta, field)
	}
}
