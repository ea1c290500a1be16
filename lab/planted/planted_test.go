package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const root = "../.."

// TestData: every plant still fits the code, and no defect is forgotten.
func TestData(t *testing.T) {
	lines, err := read("defects")
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) != 46 {
		t.Errorf("the list has %d lines, not 46", len(lines))
	}
	for _, l := range lines {
		if len(l.plants) == 0 && l.why == "" {
			t.Errorf("%s %s: nothing is planted, and list.txt does not say why", l.id, l.severity)
		}
		for _, p := range l.plants {
			if _, err := p.planted(root); err != nil {
				t.Error(err)
			}
			named(t, p)
		}
	}
	page, err := os.ReadFile(filepath.Join(root, "docs/defects.md"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(render(lines)), string(page)); diff != "" {
		t.Errorf("docs/defects.md is not what the data say; run: go run ./lab/planted -page\n(-data +page)\n%s", diff)
	}
}

// named looks for the test's function in the package, and for its number there
// or in the test's data.
func named(t *testing.T, p *plant) {
	t.Helper()
	function, _, _ := strings.Cut(p.test, "/")
	declared := regexp.MustCompile(`(?m)^func ` + regexp.QuoteMeta(function) + `\(`)
	found, numbered := false, false
	look := func(pattern string) {
		files, _ := filepath.Glob(filepath.Join(root, p.dir, pattern))
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found = found || declared.Match(text)
			numbered = numbered || strings.Contains(string(text), p.id)
		}
	}
	look("*_test.go")
	look("testdata/*.txtar")
	look("testdata/*/*.txtar")
	if !found || !numbered {
		t.Errorf("%s: %s has no test %s with %s in a name", p.file, p.dir, function, p.id)
	}
}
