package envoy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/egret-gateway/egret/compile"
	"github.com/egret-gateway/egret/envoy"
	"github.com/egret-gateway/egret/lab/envoybin"
	"github.com/egret-gateway/egret/manifests"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/source/file"
)

// TestAccepted: what the compiler makes of all its scenarios, of the installed
// manifests and of the examples is accepted by real Envoys, none left out.
func TestAccepted(t *testing.T) {
	var s envoybin.Static
	s.Clusters = append(s.Clusters, envoybin.Object{"name": envoy.ClusterLocal, "load_assignment": envoybin.Object{"cluster_name": envoy.ClusterLocal}})
	port := 0
	for name, p := range everyPlan(t) {
		for _, gateway := range p.Gateways() {
			for i, o := range []envoy.Options{{AccessLog: true}, {IPv6: true, SystemCAs: authorityPEM(t)}} {
				resources := envoy.Translate(p.For(gateway), gateway, o)
				if err := s.Add(fmt.Sprintf("%s %s %d ", name, gateway, i), resources, func(string) envoybin.Object {
					port++
					return envoybin.Object{"socket_address": envoybin.Object{"address": "127.0.0.1", "port_value": port}}
				}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	t.Logf("%d listeners, %d clusters, %d secrets", len(s.Listeners), len(s.Clusters), len(s.Secrets))
	path := bootstrapOf(t, &s)
	for _, version := range envoybin.Versions {
		t.Run("B-11 B-12 B-13 B-26 gateway-98 every translation is accepted by Envoy "+version, func(t *testing.T) {
			t.Parallel()
			if err := validate(t, version, path); err != nil {
				t.Error(err)
			}
		})
	}
}

// bootstrapOf writes a bootstrap that has everything in itself.
func bootstrapOf(t *testing.T, s *envoybin.Static) string {
	t.Helper()
	text, err := json.Marshal(envoybin.Object{
		"node":             envoybin.Object{"id": "test", "cluster": "test"},
		"static_resources": s,
		"layered_runtime":  envoybin.Object{"layers": []any{envoybin.Object{"name": "l", "static_layer": envoybin.Object{"re2.max_program_size.error_level": 1 << 20}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "envoy.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// everyPlan compiles all manifests that there are, by name.
func everyPlan(t *testing.T) map[string]*plan.Plan {
	t.Helper()
	texts := map[string][]byte{}
	scenarios, err := filepath.Glob("../compile/testdata/*.txtar")
	if err != nil || len(scenarios) == 0 {
		t.Fatalf("%d scenarios, error %v", len(scenarios), err)
	}
	for _, path := range scenarios {
		a, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range a.Files {
			if f.Name == "in.yaml" {
				texts[strings.TrimSuffix(filepath.Base(path), ".txtar")] = f.Data
			}
		}
	}
	texts["manifests"] = together(t, manifests.FS)
	examples, err := os.ReadDir("../examples")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range examples {
		texts["example "+e.Name()] = together(t, os.DirFS("../examples/"+e.Name()))
	}
	c := newCompiler(t)
	plans := map[string]*plan.Plan{}
	for name, text := range texts {
		plans[name] = c.plan(text)
	}
	return plans
}

// together is all YAML of a folder.
func together(t *testing.T, from fs.FS) []byte {
	t.Helper()
	var out bytes.Buffer
	err := fs.WalkDir(from, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yaml" || d.Name() == "kustomization.yaml" {
			return err
		}
		text, err := fs.ReadFile(from, path)
		out.WriteString("\n---\n")
		out.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// compiler makes plans of manifests. It is dear to make and shared by a test's
// cases.
type compiler struct {
	t    *testing.T
	path string
	from *file.Source
}

func newCompiler(t *testing.T) *compiler {
	path := filepath.Join(t.TempDir(), "manifests.yaml")
	return &compiler{t, path, file.New(file.Options{Paths: []string{path}})}
}

// plan compiles as for a cluster. What is wrong in the manifests is left out
// and said elsewhere.
func (c *compiler) plan(text []byte) *plan.Plan {
	c.t.Helper()
	if err := os.WriteFile(c.path, text, 0o600); err != nil {
		c.t.Fatal(err)
	}
	snapshot, _ := c.from.Load(c.t.Context())
	p, _ := compile.Compile(snapshot, compile.Options{Namespace: "egret-system"})
	return p
}

func authorityPEM(t *testing.T) []byte { return []byte(newIssuer(t).pem) }
