package file

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the golden parts of testdata")

// TestProblems loads the files of each archive and compares what is said
// about them, word by word, with its last parts: problems, notices (if any)
// and the objects that are in the snapshot all the same.
func TestProblems(t *testing.T) {
	archives, err := filepath.Glob("testdata/problems/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, path := range archives {
		path, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { checkArchive(t, path) })
	}
}

func checkArchive(t *testing.T, path string) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	inputs := &txtar.Archive{Comment: archive.Comment}
	want := map[string]string{}
	for _, f := range archive.Files {
		if f.Name == "problems" || f.Name == "notices" || f.Name == "snapshot" {
			want[f.Name] = string(f.Data)
			continue
		}
		inputs.Files = append(inputs.Files, f)
		writeFile(t, filepath.Join(dir, f.Name), f.Data)
	}
	t.Chdir(dir)
	got := describeLoad(t, strings.Contains(string(archive.Comment), "kustomize"))
	if *update {
		for _, name := range []string{"problems", "notices", "snapshot"} {
			if got[name] != "" {
				inputs.Files = append(inputs.Files, txtar.File{Name: name, Data: []byte(got[name])})
			}
		}
		if err := os.WriteFile(path, txtar.Format(inputs), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got), -update rewrites:\n%s", diff)
	}
}

// describeLoad loads the working directory. Lists come as lines.
func describeLoad(t *testing.T, kustomize bool) map[string]string {
	opts := Options{Paths: []string{"."}}
	if kustomize {
		opts = Options{Kustomize: []string{"overlay"}}
	}
	snapshot, problems := Load(t.Context(), opts)
	got := map[string]string{}
	for _, p := range problems {
		got["problems"] += p.String() + "\n"
	}
	for _, n := range snapshot.Notices {
		got["notices"] += n.String() + "\n"
	}
	var objects []string
	for key, origin := range snapshot.Origins {
		objects = append(objects, key.String()+" ("+origin+")\n")
	}
	got["snapshot"] = sortedText(objects)
	for name, text := range got {
		if text == "" {
			delete(got, name)
		}
	}
	return got
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func sortedText(lines []string) string {
	slices.Sort(lines)
	return strings.Join(lines, "")
}
