package dialect

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the outputs in testdata/*.txtar")

// golden is one exchange: a client's request and a provider's answer go in, what the provider and the client get and what is
// known about it come out. The txtar's comment holds the acceptance numbers, then "path:" and "type:" lines.
type golden struct {
	file, title string
	path, kind  string
	archive     *txtar.Archive
}

func goldens(t testing.TB) (all []golden) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		g := golden{file: file, archive: a}
		for i, line := range strings.Split(string(a.Comment), "\n") {
			name, value, _ := strings.Cut(line, ": ")
			switch {
			case i == 0:
				g.title = line
			case name == "path":
				g.path = value
			case name == "type":
				g.kind = value
			}
		}
		all = append(all, g)
	}
	return all
}

func (g golden) get(name string) []byte {
	for _, f := range g.archive.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

func (g golden) set(name string, data []byte) {
	for i := range g.archive.Files {
		if g.archive.Files[i].Name == name {
			g.archive.Files[i].Data = data
			return
		}
	}
	g.archive.Files = append(g.archive.Files, txtar.File{Name: name, Data: data})
}

// facts is what is known when the answer has passed.
type facts struct {
	Call     Call
	Usage    *Usage `json:",omitempty"`
	Estimate *Usage `json:",omitempty"`
	Model    string
	Done     bool
	Broken   bool
}

func factsOf(r *Reply, c Call) facts {
	f := facts{Call: c, Model: r.Model(), Done: r.Done(), Broken: r.Broken()}
	if u, ok := r.Usage(); ok {
		f.Usage = &u
	} else {
		u := r.Estimate(c)
		f.Estimate = &u
	}
	return f
}

// call reads the request of g as the engine does.
func (g golden) call(t testing.TB) (d Dialect, c Call, sent []byte) {
	d = OfPath(g.path)
	body := g.get("request.json")
	c, err := Read(d, body)
	if err != nil {
		t.Fatal(err)
	}
	sent, err = AskUsage(d, body)
	if err != nil {
		t.Fatal(err)
	}
	return d, c, sent
}

// pass sends pieces through a Reply and returns all that came out.
func pass(r *Reply, pieces ...[]byte) (out []byte) {
	for i, p := range pieces {
		out = append(out, r.Next(bytes.Clone(p), i == len(pieces)-1)...)
	}
	return out
}

func TestGoldens(t *testing.T) {
	for _, g := range goldens(t) {
		t.Run(g.title, func(t *testing.T) {
			d, c, sent := g.call(t)
			r := NewReply(d, g.kind, !c.WantsUsage)
			client := pass(r, g.get("provider answers"))
			known, err := json.MarshalIndent(factsOf(r, c), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got := map[string][]byte{"provider gets": sent, "client gets": client, "known": append(known, '\n')}
			for _, name := range []string{"provider gets", "client gets", "known"} {
				if *update {
					g.set(name, got[name])
				} else if diff := cmp.Diff(string(g.get(name)), string(got[name])); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
			if *update {
				if err := os.WriteFile(g.file, txtar.Format(g.archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestPieces sends every golden in two pieces, cut at every place, and byte by byte, with every kind of line end: the same
// bytes come out and the same is known.
func TestPieces(t *testing.T) {
	for _, g := range goldens(t) {
		d, c, _ := g.call(t)
		for _, lines := range []string{"\n", "\r\n", "\r", "BOM"} {
			recode := func(b []byte) []byte {
				if lines == "BOM" {
					return append([]byte("\ufeff"), b...)
				}
				return bytes.ReplaceAll(b, []byte("\n"), []byte(lines))
			}
			if g.kind == "application/json" && lines != "\n" {
				continue
			}
			t.Run(fmt.Sprintf("%s %q", g.title, lines), func(t *testing.T) {
				in, want := recode(g.get("provider answers")), string(recode(g.get("client gets")))
				r := NewReply(d, g.kind, !c.WantsUsage)
				pass(r, in)
				known := factsOf(r, c)
				check := func(where string, pieces ...[]byte) {
					t.Helper()
					r.Reset(d, g.kind, !c.WantsUsage)
					if got := string(pass(r, pieces...)); got != want {
						t.Fatalf("%s: other bytes (-want +got):\n%s", where, cmp.Diff(want, got))
					}
					if diff := cmp.Diff(known, factsOf(r, c)); diff != "" {
						t.Fatalf("%s: (-want +got):\n%s", where, diff)
					}
				}
				for i := range in {
					check(fmt.Sprint("cut at ", i), in[:i], in[i:])
				}
				check("end apart", in, nil)
				check("byte by byte", bytes.SplitAfter(in, nil)...)
			})
		}
	}
}
