package file

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"golang.org/x/tools/txtar"
)

// FuzzLoad feeds the loader anything at all. It must not panic, must name a
// file and a reason for whatever it refuses, and must hold only what is
// complete: every object has a name, and a namespace unless it can have none.
func FuzzLoad(f *testing.F) {
	archives, err := filepath.Glob("testdata/problems/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range archives {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if isManifest(file.Name) && file.Name != "bomb.yaml" { // slow by design
				f.Add(file.Data)
			}
		}
	}
	f.Add([]byte(publishedBackends))
	f.Add([]byte("{}"))
	f.Add([]byte("---\n---\n...\n---"))
	f.Add([]byte("\xef\xbb\xbfkind: List\nitems: [null, {}, []]"))
	f.Add([]byte("a: &a\n  <<: *a"))
	f.Add([]byte("? {a: b}\n: c"))
	f.Add([]byte("{\"kind\": \"\\ud83d\\ude00\",\n\"a\": [1e400, -0, {\"a\": 1, \"a\": 2}]}"))

	s := New(Options{})
	breaks := regexp.MustCompile("[\n\r\u0085\u2028\u2029]") // as YAML counts them
	f.Fuzz(func(t *testing.T, text []byte) {
		lines := 1 + len(breaks.FindAllIndex(text, -1))
		in := &input{left: maxTotal}
		in.add(split("fuzz.yaml", text)...)
		snapshot, problems := s.build(t.Context(), in)
		for _, p := range problems {
			if p.File != "fuzz.yaml" || p.Why == "" || p.Line < 1 || p.Line > lines {
				t.Errorf("a problem that does not help: %+v", p)
			}
		}
		for key := range snapshot.Origins {
			if k := s.kindNamed(key.Kind); key.Name == "" || key.Namespace == "" != k.cluster {
				t.Errorf("incomplete: %+v", key)
			}
		}
	})
}

func (s *Source) kindNamed(name string) *kind {
	for id, k := range s.kinds {
		if id.kind == name {
			return k
		}
	}
	return nil
}

// BenchmarkLoad reads a directory of 25 objects, as large as the quickstart's:
// once as a process does when it starts, and once as on a reload.
func BenchmarkLoad(b *testing.B) {
	dir := b.TempDir()
	for name, text := range benchManifests() {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	load := func(b *testing.B, s *Source) {
		snapshot, problems := s.Load(b.Context())
		if len(problems) > 0 {
			b.Fatal(problems)
		}
		if n := len(snapshot.Origins); n != 25+2 { // and the Services of two Gateways
			b.Fatalf("%d objects", n)
		}
	}
	b.Run("start", func(b *testing.B) {
		for b.Loop() {
			load(b, New(Options{Paths: []string{dir}}))
		}
	})
	b.Run("reload", func(b *testing.B) {
		s := New(Options{Paths: []string{dir}})
		for b.Loop() {
			load(b, s)
		}
	})
}
