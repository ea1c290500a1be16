package compile

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/source"
)

var update = flag.Bool("update", false, "rewrite the results in testdata")

// TestScenarios runs every file in testdata: resources in, plan and conditions
// out. The first line of a file is its title; lines "plan:" and "conditions:"
// behind it say which parts of the plan and which kinds of objects it shows.
// Defaults that are in every plan are left out.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata: %d files, error %v", len(files), err)
	}
	for _, path := range files {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		title, settings, _ := strings.Cut(string(archive.Comment), "\n")
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			snapshot := decode(t, section(archive, "in.yaml"))
			p, cs := Compile(snapshot, Options{Alone: true})
			if err := p.Check(); err != nil {
				t.Errorf("no plane of this release would serve it: %v", err)
			}
			got := map[string][]byte{
				"plan.yaml":      printPlan(t, p, setting(settings, "plan")),
				"conditions.txt": printConditions(cs, setting(settings, "conditions")),
			}
			if *update {
				rewrite(t, path, archive, got)
				return
			}
			for name, text := range got {
				if diff := cmp.Diff(string(section(archive, name)), string(text)); diff != "" {
					t.Errorf("%s: %s (-want +got)\n%s", path, name, diff)
				}
			}
		})
	}
}

func archiveOf(t testing.TB, path string) *txtar.Archive {
	t.Helper()
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func section(a *txtar.Archive, name string) []byte {
	for _, f := range a.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

// setting returns the words of the line "name: a, b" of a scenario's comment.
func setting(comment, name string) []string {
	for line := range strings.Lines(comment) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.Fields(strings.ReplaceAll(rest, ",", " "))
		}
	}
	return nil
}

func rewrite(t *testing.T, path string, a *txtar.Archive, got map[string][]byte) {
	out := &txtar.Archive{Comment: a.Comment, Files: []txtar.File{{Name: "in.yaml", Data: section(a, "in.yaml")}}}
	for _, name := range []string{"plan.yaml", "conditions.txt"} {
		if len(got[name]) > 0 {
			out.Files = append(out.Files, txtar.File{Name: name, Data: got[name]})
		}
	}
	if err := os.WriteFile(path, txtar.Format(out), 0o644); err != nil {
		t.Fatal(err)
	}
}

// printPlan prints the parts of a plan as YAML, without what is always there.
func printPlan(t *testing.T, p *plan.Plan, parts []string) []byte {
	t.Helper()
	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	for key := range all {
		if !slices.Contains(parts, key) {
			delete(all, key)
		}
	}
	if len(all) == 0 {
		return nil
	}
	out, err := yaml.Marshal(plainer(all))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// plainer drops the defaults of time-outs and askUsage.
func plainer(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if v["askUsage"] == true {
			delete(v, "askUsage")
		}
		if ts, ok := v["timeouts"].(map[string]any); ok && len(ts) == 2 &&
			ts["request"] == float64(plan.DefaultRequestTimeout) && ts["idle"] == float64(plan.DefaultIdleTimeout) {
			delete(v, "timeouts")
		}
		for k := range v {
			v[k] = plainer(v[k])
		}
	case []any:
		for i := range v {
			v[i] = plainer(v[i])
		}
	}
	return v
}

// printConditions prints conditions one per line, those of some kinds or of
// all; "none" shows none.
func printConditions(cs []source.Condition, kinds []string) []byte {
	var b bytes.Buffer
	for _, c := range cs {
		if len(kinds) > 0 && !slices.Contains(kinds, c.Kind) {
			continue
		}
		fmt.Fprintf(&b, "%s %s%s: %s=%s %s: %s\n", c.Kind, place(c), part(c), c.Type, c.Status, c.Reason, c.Message)
	}
	return b.Bytes()
}

func place(c source.Condition) string {
	if c.Namespace == "" {
		return c.Name
	}
	return c.Namespace + "/" + c.Name
}

func part(c source.Condition) string {
	switch {
	case c.Parent == (source.Ref{}):
		return ""
	case c.Kind == "Gateway":
		return fmt.Sprintf(" [%s; kinds %s; %d attached]", c.Parent.SectionName, c.Kinds, c.Attached)
	}
	out := " @" + c.Parent.Name
	if c.Parent.SectionName != "" {
		out += "/" + c.Parent.SectionName
	}
	if c.Parent.Port != 0 {
		out += fmt.Sprintf(":%d", c.Parent.Port)
	}
	return out
}
