package conform

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/compile"
	"github.com/egret-gateway/egret/lab/envoybin"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/ident/local"
	"github.com/egret-gateway/egret/source/file"
)

// bodies are the data planes that every scenario runs through.
var bodies = []struct {
	name string
	open func(context.Context, *World) (Body, error)
}{
	{"native", newNative},
	{"processor", newProcessor},
}

// stage is what all scenarios of a test share, because it is dear to make: the
// reader of manifests with its definitions, and the realm.
type stage struct {
	manifests string
	from      *file.Source
	realm     *realm
}

func newStage(t *testing.T) *stage {
	manifests := filepath.Join(t.TempDir(), "manifests.yaml")
	people, err := local.Open(t.Context(), local.Options{State: nothing{}})
	if err != nil {
		t.Fatal(err)
	}
	known := newPKI()
	system := filepath.Join(t.TempDir(), "system.pem")
	if err := os.WriteFile(system, []byte(known.public), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", system) // read once, by the first who asks
	return &stage{manifests, file.New(file.Options{Paths: []string{manifests}}), &realm{Realm: people, pki: known}}
}

// compile makes the plan of a scenario's manifests.
func (g *stage) compile(t *testing.T, s *Scenario) *plan.Plan {
	if err := os.WriteFile(g.manifests, g.realm.pki.fill(s.Manifests), 0o600); err != nil {
		t.Fatal(err)
	}
	snapshot, problems := g.from.Load(t.Context())
	if len(problems) > 0 {
		t.Fatalf("%s: %v", s.Title, problems.Err())
	}
	g.realm.Load(&snapshot)
	p, conditions := compile.Compile(snapshot, compile.Options{Alone: true})
	for _, c := range conditions {
		if c.Bad() {
			t.Logf("%s %s %s: %s", c.Key(), c.Type, c.Reason, c.Message)
		}
	}
	for i := range p.Backends {
		b := &p.Backends[i]
		if name, ours := strings.CutSuffix(b.Host, secureSuffix); !ours && g.realm.pki.servers[name] == nil {
			b.TLS = nil // the scripted upstream speaks none
		}
	}
	return p
}

func TestScenarios(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("testdata: %d files, error %v", len(paths), err)
	}
	stage := newStage(t)
	for _, path := range paths {
		s, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(s.Title, func(t *testing.T) { run(t, s, stage.compile(t, s), stage.realm) })
	}
}

// run plays a scenario on every body, holds each against the script and all
// against each other.
func run(t *testing.T, s *Scenario, p *plan.Plan, who *realm) {
	observed := map[string][]Observed{}
	for _, b := range bodies {
		t.Run(b.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				seen, err := play(p, who, s.Steps, b.open)
				n := 0
				for i := range s.Steps {
					for range max(1, s.Steps[i].Repeat) {
						if n < len(seen) {
							s.Steps[i].check(t, n+1, &seen[n])
						}
						n++
					}
				}
				if err != nil {
					t.Errorf("request %d: %v", len(seen)+1, err)
				}
				observed[b.name] = seen
			})
		})
	}
	if diff := cmp.Diff(observed["native"], observed["processor"]); diff != "" {
		t.Errorf("the bodies differ (-native +processor)\n%s", diff)
	}
	for _, version := range envoybin.Versions {
		t.Run("envoy "+version, func(t *testing.T) { beside(t, version, s, p, who, observed["native"]) })
	}
}

// beside plays a scenario through a real Envoy. What the native plane did is
// the script now: all that it was held against holds here too.
func beside(t *testing.T, version string, s *Scenario, p *plan.Plan, who *realm, native []Observed) {
	known := of(s.Title)
	var steps []Step
	for i, step := range s.Steps {
		if !slices.ContainsFunc(known, func(d difference) bool { return d.unplayed && d.concerns(i+1, &step) }) {
			steps = append(steps, step)
		}
	}
	seen, err := replay(p, who, steps, newEnvoy(envoybin.Path(t, version)), native)
	if err != nil {
		t.Errorf("request %d: %v", len(seen)+1, err)
	}
	for i := range min(len(seen), len(native)) {
		if diff := cmp.Diff(compared(known, i+1, nil, native[i]), compared(known, i+1, nil, seen[i])); diff != "" {
			t.Errorf("request %d differs (-native +envoy)\n%s", i+1, diff)
		}
		if listed(known, i+1) && cmp.Equal(native[i], seen[i]) {
			t.Errorf("request %d does not differ any more; take it off the list", i+1)
		}
	}
}
