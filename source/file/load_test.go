package file

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/egret-gateway/egret/source"
)

// zeros is as many bytes of comment as one cares to read.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '#'
	}
	return len(p), nil
}

func problemLines(ps source.Problems) []string {
	var lines []string
	for _, p := range ps {
		lines = append(lines, p.String())
	}
	return lines
}

func TestBounds(t *testing.T) {
	const small = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: small}\n---\n"
	t.Run("a document that is too large leaves its neighbours alone", func(t *testing.T) {
		text := io.MultiReader(strings.NewReader(small), io.LimitReader(zeros{}, maxDocument+1))
		snapshot, problems := Load(t.Context(), Options{Paths: []string{"-"}, Stdin: text})
		want := []string{"-:4: the document that starts here exceeds 10 MiB; split it"}
		if diff := cmp.Diff(want, problemLines(problems)); diff != "" {
			t.Error(diff)
		}
		if len(snapshot.ConfigMaps) != 1 {
			t.Errorf("%d ConfigMaps", len(snapshot.ConfigMaps))
		}
	})
	t.Run("too many documents", func(t *testing.T) {
		in := &input{docs: make([]document, maxDocuments-1)}
		in.add(split("a.yaml", []byte("one\n---\ntwo\n---\nthree\n"))...)
		want := []string{"a.yaml:2: nothing is read from here on: the manifests hold more than 100000 documents; name fewer files"}
		if diff := cmp.Diff(want, problemLines(in.problems)); diff != "" || len(in.docs) != maxDocuments {
			t.Errorf("%d documents, %s", len(in.docs), diff)
		}
	})
	t.Run("manifests that are too large together", func(t *testing.T) {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "small.yaml"), []byte(small))
		paths := []string{filepath.Join(dir, "small.yaml"), "-"}
		snapshot, problems := Load(t.Context(), Options{Paths: paths, Stdin: zeros{}})
		want := []string{"-: is not read: all manifests together exceed 64 MiB; name fewer files, or a directory that holds manifests only"}
		if diff := cmp.Diff(want, problemLines(problems)); diff != "" {
			t.Error(diff)
		}
		if len(snapshot.ConfigMaps) != 1 {
			t.Errorf("%d ConfigMaps", len(snapshot.ConfigMaps))
		}
	})
}

func TestInputs(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"a.yaml", "b.yml", "c.json", "sub/d.yaml", "e.txt", ".hidden.yaml", ".git/f.yaml"} {
		writeFile(t, name, configMap(strings.TrimLeft(strings.ReplaceAll(name, "/", "-"), ".")))
	}
	f := func(paths []string, want string, wantProblems ...string) {
		t.Helper()
		snapshot, problems := Load(t.Context(), Options{Paths: paths})
		if got := (loaded{snapshot: snapshot}).names(); got != want {
			t.Errorf("%v: got %q, want %q", paths, got, want)
		}
		if diff := cmp.Diff(wantProblems, problemLines(problems)); diff != "" {
			t.Errorf("%v: problems (-want +got):\n%s", paths, diff)
		}
	}
	f([]string{"."}, "a.yaml b.yml c.json sub-d.yaml")
	f([]string{".", "a.yaml", filepath.Join(dir, "sub")}, "a.yaml b.yml c.json sub-d.yaml") // named twice, read once
	f([]string{"e.txt", ".hidden.yaml"}, "e.txt hidden.yaml")                               // named outright
	f([]string{"missing.yaml", "a.yaml"}, "a.yaml", "missing.yaml: does not exist; check the path")
	f([]string{"-"}, "", "-: standard input is not connected")
	f(nil, "")

	if os.Geteuid() != 0 { // who may read everything
		if err := os.Chmod("a.yaml", 0); err != nil {
			t.Fatal(err)
		}
		f([]string{"a.yaml"}, "", "a.yaml: cannot be read: permission denied; check its permissions")
	}
}

// Manifests that are embedded in the binary, with the user's own beside them.
func TestTree(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "own.yaml"), configMap("own"))
	tree := fstest.MapFS{
		"base/a.yaml":             {Data: configMap("embedded")},
		"base/kustomization.yaml": {Data: []byte("resources: [a.yaml]")},
		"crds.go":                 {Data: []byte("package crds")},
	}
	snapshot, problems := Load(t.Context(), Options{FS: tree, Paths: []string{dir}})
	if got := (loaded{snapshot: snapshot}).names(); got != "embedded own" || len(problems) > 0 {
		t.Errorf("got %q, problems: %v", got, problems)
	}
	if got := snapshot.Origin("ConfigMap", "default", "embedded"); got != "base/a.yaml:2" {
		t.Errorf("origin is %q", got)
	}
}

// A load that is called off ends without a word about what it did not read.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "a.yaml"), configMap("a"))
	snapshot, _ := Load(ctx, Options{Paths: []string{dir}})
	if len(snapshot.ConfigMaps) != 0 {
		t.Error("read all the same")
	}
}

func TestCoreDefaults(t *testing.T) {
	snapshot, problems := load(t, `
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: apps, creationTimestamp: null}
data: {a: YQ==, b: YQ==}
stringData: {b: plain}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: apps}
spec: {ports: [{port: 80}, {name: named, port: 81, targetPort: http}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: apps}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [192.0.2.1]}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: apps}
spec: {selector: {}, template: {metadata: {}, spec: {containers: []}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: b, namespace: apps}
roleRef: {kind: Role, name: r}
subjects: [{kind: Group, name: g}, {kind: ServiceAccount, name: a, namespace: n1}]
---
apiVersion: v1
kind: Namespace
metadata: {name: declared, labels: {team: a}}
`)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	secret := snapshot.Secrets[0]
	if diff := cmp.Diff(map[string][]byte{"a": []byte("a"), "b": []byte("plain")}, secret.Data); diff != "" || secret.StringData != nil {
		t.Errorf("secret data: %s", diff)
	}
	if secret.Type != corev1.SecretTypeOpaque || secret.Generation != 1 || !secret.CreationTimestamp.IsZero() {
		t.Errorf("secret type %s, generation %d, created %v", secret.Type, secret.Generation, secret.CreationTimestamp)
	}
	service := snapshot.Services[0].Spec
	got := fmt.Sprint(service.Type, service.Ports[0].Protocol, service.Ports[0].TargetPort.String(), service.Ports[1].TargetPort.String())
	if got != "ClusterIPTCP80http" {
		t.Errorf("service: %s", got)
	}
	if p := snapshot.EndpointSlices[0].Ports[0]; *p.Protocol != corev1.ProtocolTCP || *p.Name != "" {
		t.Errorf("slice port: %+v", p)
	}
	if n := *snapshot.Deployments[0].Spec.Replicas; n != 1 {
		t.Errorf("%d replicas", n)
	}
	binding := snapshot.RoleBindings[0]
	if binding.RoleRef.APIGroup != rbacv1.GroupName || binding.Subjects[0].APIGroup != rbacv1.GroupName || binding.Subjects[1].APIGroup != "" {
		t.Errorf("binding: %+v", binding)
	}
	var namespaces []string
	for _, ns := range snapshot.Namespaces {
		namespaces = append(namespaces, fmt.Sprint(ns.Name, ns.Labels))
	}
	want := []string{"apps map[kubernetes.io/metadata.name:apps]", "declared map[kubernetes.io/metadata.name:declared team:a]"}
	for i := range want {
		want[i] = strings.Replace(want[i], " map", "map", 1)
	}
	if diff := cmp.Diff(want, namespaces); diff != "" {
		t.Errorf("namespaces (-want +got):\n%s", diff)
	}
}

// What controllers say is dropped, except where it is the input.
func TestStatus(t *testing.T) {
	snapshot, problems := load(t, `
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceService
metadata: {name: opt, namespace: llm, generation: 3, annotations: {alpha.maas.opendatahub.io/tiers: "[]"}}
spec:
  model: {uri: "hf://facebook/opt-125m", name: facebook/opt-125m, criticality: High}
  replicas: 2
  router:
    gateway: {refs: [{name: maas-default-gateway, namespace: openshift-ingress}]}
    route: {http: {spec: {parentRefs: [{name: gw}]}, refs: [{name: r}]}}
status:
  observedGeneration: 3
  url: http://opt
  addresses: [{name: gateway-external, url: http://opt/llm}]
  conditions: [{type: Ready, status: "True", severity: Info, lastTransitionTime: "2026-01-01T00:00:00Z"}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, generation: 7}
spec: {gatewayClassName: egret, listeners: [{name: http, port: 80, protocol: HTTP}]}
status: {addresses: [{value: 192.0.2.1}], written: elsewhere}
`)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	model := snapshot.LLMInferenceServices[0]
	got := fmt.Sprint(*model.Spec.Model.Name, " ", model.Spec.Router.Gateway.Refs[0], " ", model.Spec.Router.Route.HTTP.Spec.ParentRefs[0].Name, " ",
		model.Status.ObservedGeneration, model.Generation, " ", model.Status.URL, " ", *model.Status.Addresses[0].Name, " ", model.Status.Conditions[0].Status)
	if want := "facebook/opt-125m {maas-default-gateway openshift-ingress} gw 3 3 http://opt gateway-external True"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if gw := snapshot.Gateways[0]; len(gw.Status.Addresses)+len(gw.Status.Conditions) != 0 || gw.Generation != 7 {
		t.Errorf("status is %+v, generation %d", gw.Status, gw.Generation)
	}
}

// What is written in YAML is read as kubectl would read it.
func TestScalars(t *testing.T) {
	f := func(yaml string, want any) {
		t.Helper()
		d := document{file: "-", line: 1, text: []byte("a: " + yaml)}
		root, err := d.parse()
		if err != nil {
			t.Fatal(err)
		}
		v, err := d.value(root)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]any{"a": want}, v); diff != "" {
			t.Errorf("%s (-want +got):\n%s", yaml, diff)
		}
	}
	f(`1`, int64(1))
	f(`9007199254740993`, int64(9007199254740993))
	f(`12345678901234567890`, float64(12345678901234567890))
	f(`0420`, int64(0o420))
	f(`0x10`, int64(16))
	f(`1.0`, 1.0)
	f(`1e3`, 1000.0)
	f(`true`, true)
	f(`on`, true)
	f(`No`, false)
	f(`"on"`, "on")
	f(`!!str on`, "on")
	f(`2026-01-01`, "2026-01-01")
	f(`~`, nil)
	f(``, nil)
	f("|\n  text\n", "text\n")
	f(`{b: [1, "2"]}`, map[string]any{"b": []any{int64(1), "2"}})
}
