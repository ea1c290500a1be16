package file

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/egret-gateway/egret/source"
)

// patience is how long a test waits for an event that must come.
const patience = 20 * time.Second

// loaded is one call of emit.
type loaded struct {
	snapshot source.Snapshot
	problems source.Problems
}

// names lists the ConfigMaps of a snapshot, and what is said about others.
func (l loaded) names() string {
	var names []string
	for _, o := range l.snapshot.ConfigMaps {
		names = append(names, o.Name)
	}
	for _, p := range l.problems {
		names = append(names, "("+filepath.Base(p.File)+" "+p.Why+")")
	}
	return strings.Join(names, " ")
}

// follow runs a Source and returns a function that waits for the first
// load that has these names, and fails when none comes. Others may come before:
// a file is truncated before it is written.
func follow(t *testing.T, opts Options) func(want string) {
	t.Helper()
	opts.Log = slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(t.Context())
	emitted, done := make(chan loaded), make(chan error, 1)
	go func() {
		done <- New(opts).Run(ctx, func(s source.Snapshot, ps source.Problems) {
			select {
			case emitted <- loaded{s, ps}:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
	return func(want string) {
		t.Helper()
		deadline, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		last := "nothing"
		for {
			select {
			case l := <-emitted:
				if last = l.names(); last == want {
					return
				}
			case <-deadline.Done():
				t.Fatalf("no snapshot with %q within %v; the last had %q", want, patience, last)
			}
		}
	}
}

func configMap(names ...string) []byte {
	var b strings.Builder
	for _, name := range names {
		b.WriteString("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n")
	}
	return []byte(b.String())
}

func TestWatch(t *testing.T) {
	t.Run("a file that is edited, replaced, added, broken and removed", func(t *testing.T) {
		dir := t.TempDir()
		a, b := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "sub", "b.yaml")
		writeFile(t, a, configMap("one"))
		next := follow(t, Options{Paths: []string{dir}})
		next("one")

		writeFile(t, a, configMap("one", "two"))
		next("one two")

		// Editors write aside and rename.
		writeFile(t, filepath.Join(dir, ".a.swp"), configMap("three"))
		if err := os.Rename(filepath.Join(dir, ".a.swp"), a); err != nil {
			t.Fatal(err)
		}
		next("three")

		writeFile(t, b, configMap("four")) // in a directory that was not there
		next("four three")
		writeFile(t, b, configMap("five"))
		next("five three")

		writeFile(t, a, []byte("kind: ["))
		next("five (a.yaml is not valid YAML: did not find expected node content)")

		if err := os.Remove(a); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Dir(b)); err != nil {
			t.Fatal(err)
		}
		next("")
	})

	t.Run("a ConfigMap volume, which swaps a symbolic link", func(t *testing.T) {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "..v1", "a.yaml"), configMap("old"))
		writeFile(t, filepath.Join(dir, "..v2", "a.yaml"), configMap("new"))
		link := func(to, name string) {
			t.Helper()
			if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		link("..v1", "..data")
		link("..data/a.yaml", "a.yaml")
		next := follow(t, Options{Paths: []string{dir}})
		next("old")

		link("..v2", "..data_tmp")
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
		next("new")
	})

	t.Run("a single file that does not exist yet", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "later.yaml")
		next := follow(t, Options{Paths: []string{path}})
		next("(later.yaml does not exist)")
		writeFile(t, path, configMap("here"))
		next("here")
	})

	t.Run("the base of a kustomization", func(t *testing.T) {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "overlay", "kustomization.yaml"), []byte("resources: [../base]"))
		writeFile(t, filepath.Join(dir, "base", "kustomization.yaml"), []byte("resources: [a.yaml]"))
		writeFile(t, filepath.Join(dir, "base", "a.yaml"), configMap("one"))
		next := follow(t, Options{Kustomize: []string{filepath.Join(dir, "overlay")}})
		next("one")
		writeFile(t, filepath.Join(dir, "base", "a.yaml"), configMap("two"))
		next("two")
	})

	t.Run("changes that come without end are loaded within the hold-off", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "a.yaml")
		writeFile(t, path, configMap("start"))
		next := follow(t, Options{Paths: []string{dir}, Quiet: time.Hour, Hold: 10 * time.Millisecond})
		next("start")
		writeFile(t, path, configMap("changed"))
		next("changed")
	})

	t.Run("the re-read finds what no event told of", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "a.yaml")
		writeFile(t, path, configMap("start"))
		next := follow(t, Options{Paths: []string{dir}, Quiet: time.Hour, Hold: time.Hour, Reread: 10 * time.Millisecond})
		next("start")
		writeFile(t, path, configMap("changed"))
		next("changed")
	})

	t.Run("standard input is read once and kept", func(t *testing.T) {
		dir := t.TempDir()
		next := follow(t, Options{Paths: []string{"-", dir}, Stdin: strings.NewReader(string(configMap("piped")))})
		next("piped")
		writeFile(t, filepath.Join(dir, "a.yaml"), configMap("added"))
		next("added piped")
	})
}

// A touch that changes nothing, and a re-read that finds nothing new, emit nothing.
func TestWatchEmitsChangesOnly(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "a.yaml"), configMap("one"))
	s := New(Options{Paths: []string{dir}})
	count := 0
	w := watch{Source: s, notify: newNotify(t), emit: func(source.Snapshot, source.Problems) { count++ }}
	w.load(t.Context())
	w.load(t.Context())
	writeFile(t, filepath.Join(dir, "a.yaml"), configMap("one"))
	w.load(t.Context())
	if count != 1 {
		t.Errorf("emitted %d times", count)
	}
	writeFile(t, filepath.Join(dir, "a.yaml"), configMap("two"))
	w.load(t.Context())
	if count != 2 {
		t.Errorf("emitted %d times after a change", count)
	}
}

func TestReport(t *testing.T) {
	var log strings.Builder
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "a.yaml"), configMap("one"))
	s := New(Options{Paths: []string{dir}, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: dropTime}))})
	snap, _ := s.Load(t.Context())
	made := snap.ConfigMaps[0]
	err := s.Report(t.Context(), []source.Condition{
		{Kind: "HTTPRoute", Namespace: "default", Name: "chat", Type: "Accepted", Status: "True", Reason: "Accepted"},
		{Kind: "HTTPRoute", Namespace: "default", Name: "chat", Type: "ResolvedRefs", Status: "False", Reason: "BackendNotFound", Message: "Backend default/b not found"},
		{Kind: "ConfigMap", Namespace: made.Namespace, Name: made.Name, Type: "Accepted", Status: "False", Reason: "Invalid", Message: "no list"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `level=WARN msg="not as written" object="HTTPRoute default/chat" condition="ResolvedRefs=False" reason=BackendNotFound message="Backend default/b not found" origin=""` + "\n" +
		`level=WARN msg="not as written" object="ConfigMap ` + made.Namespace + "/" + made.Name + `" condition="Accepted=False" reason=Invalid message="no list" origin=` + filepath.Join(dir, "a.yaml") + ":2\n"
	if log.String() != want {
		t.Errorf("logged %s", log.String())
	}
}

func dropTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

func newNotify(t *testing.T) *fsnotify.Watcher {
	t.Helper()
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { notify.Close() })
	return notify
}
