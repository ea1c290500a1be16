package child

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/egret-gateway/egret/manifests"
)

// Manifests writes the quickstart's manifests into a new directory, with each
// old text of the pairs replaced by the new one. A text that is nowhere fails
// the test.
func Manifests(t testing.TB, oldnew ...string) string {
	t.Helper()
	dir := t.TempDir()
	used := make([]bool, len(oldnew)/2)
	err := fs.WalkDir(manifests.FS, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(manifests.FS, path)
		if err != nil {
			return err
		}
		text := string(b)
		for i := range used {
			if strings.Contains(text, oldnew[2*i]) {
				used[i] = true
				text = strings.ReplaceAll(text, oldnew[2*i], oldnew[2*i+1])
			}
		}
		file := filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		return os.WriteFile(file, []byte(text), 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, ok := range used {
		if !ok {
			t.Fatalf("the manifests do not hold %q", oldnew[2*i])
		}
	}
	return dir
}

// Fixed returns manifests whose simulator answers every call with the same
// cost: it repeats what it is told.
func Fixed(t testing.TB, oldnew ...string) string {
	t.Helper()
	return Manifests(t, append([]string{"            - random\n", "            - echo\n"}, oldnew...)...)
}
