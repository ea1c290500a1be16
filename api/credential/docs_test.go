package credential

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestPage: every example of docs/credentials.md is read, and every field of
// the schema stands on the page.
func TestPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/credentials.md")
	if err != nil {
		t.Fatal(err)
	}
	page, examples := string(text), 0
	schemes := map[Scheme]bool{}
	for i, block := range strings.Split(page, "```yaml\n") {
		code, _, _ := strings.Cut(block, "```")
		if at := strings.Index(code, "rawConfig:"); i > 0 && at >= 0 {
			indent := at - strings.LastIndexByte(code[:at], '\n') - 1
			var one struct {
				RawConfig json.RawMessage `json:"rawConfig"`
			}
			if err := yaml.Unmarshal([]byte(strings.Repeat(" ", indent)+code[at:]), &one); err != nil {
				t.Fatalf("%s: %v", code, err)
			}
			in, err := Read(one.RawConfig)
			if err != nil {
				t.Errorf("%s: %v", code, err)
				continue
			}
			schemes[in.Scheme] = true
			examples++
		}
	}
	if len(schemes) != 8 {
		t.Errorf("the page's %d examples show %v of 8 schemes", examples, schemes)
	}
	schema, err := os.ReadFile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var root node
	if err := json.Unmarshal(schema, &root); err != nil {
		t.Fatal(err)
	}
	var walk func(n *node, at string)
	walk = func(n *node, at string) {
		if name, ok := strings.CutPrefix(n.Ref, "#/$defs/"); ok {
			n = root.Defs[name]
		}
		if n.Items != nil && len(n.Items.Properties) > 0 {
			n, at = n.Items, at+"[]"
		}
		for name, p := range n.Properties {
			walk(p, strings.TrimPrefix(at+"."+name, "."))
		}
		if len(n.Properties) == 0 && !strings.HasPrefix(at, "config.") && !strings.Contains(page, "`"+at+"`") {
			t.Errorf("the page does not name %s", at)
		}
	}
	walk(&root, "")
}
