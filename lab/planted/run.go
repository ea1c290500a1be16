package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// limit bounds one go test, the build of it included.
const limit = 5 * time.Minute

// runner runs tests in a copy of the tree that differs only in what is planted.
type runner struct{ root, scratch string }

// sound runs the tests of plants of one package as the tree is, and returns
// what is wrong with them, "" being nothing.
func (r *runner) sound(ctx context.Context, ps []*plant) string {
	var patterns []string
	for _, p := range ps {
		patterns = append(patterns, p.test)
	}
	out, err := r.test(ctx, ps[0], strings.Join(patterns, "|"))
	if err != nil {
		return "its tests fail as the code is:\n" + out
	}
	for _, p := range ps {
		if !result("PASS", p.id).MatchString(out) {
			return fmt.Sprintf("%s: no test of %s is called %s", p.file, p.dir, p.test)
		}
	}
	return ""
}

// fails plants a defect and runs its test, and returns why that shows nothing,
// "" when the test fails as it must.
func (r *runner) fails(ctx context.Context, p *plant) string {
	overlay, err := r.overlay(p)
	if err != nil {
		return err.Error()
	}
	out, err := r.test(ctx, p, p.test, "-overlay="+overlay)
	switch {
	case err == nil:
		return "the test passes all the same"
	case strings.Contains(out, "[build failed]") || strings.Contains(out, "[setup failed]"):
		return "what is planted does not build:\n" + out
	case !result("FAIL", p.id).MatchString(out):
		return "no test that names the defect fails:\n" + out
	case panicked.MatchString(out) != p.panics:
		return fmt.Sprintf("a panic was expected: %v\n%s", p.panics, out)
	}
	return ""
}

var panicked = regexp.MustCompile(`(?m)^(panic: |fatal error: )`)

// result matches the line that go test -v prints for a test of that number.
func result(verdict, id string) *regexp.Regexp {
	return regexp.MustCompile(`(?m)^\s*--- ` + verdict + `: \S*` + id + `(\D|$)`)
}

func (r *runner) test(ctx context.Context, p *plant, pattern string, more ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	args := append([]string{"test", "-v", "-count=1", "-vet=off", "-timeout=2m", "-tags=" + p.tags, "-run=" + pattern}, more...)
	cmd := exec.CommandContext(ctx, "go", append(args, p.dir)...)
	cmd.Dir = r.root
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// overlay writes what go build needs to see the plant in place of the tree.
func (r *runner) overlay(p *plant) (string, error) {
	files, err := p.planted(r.root)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(r.scratch, p.id)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for path, text := range files {
		to := filepath.Join(dir, strings.ReplaceAll(path, "/", "_"))
		if err := os.WriteFile(to, text, 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(r.root, path)] = to
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, text, 0o600)
}
