package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/tools/txtar"
)

// line is one line of the list of the reference's defects.
type line struct {
	id       string // B-24
	severity string // S1 crash or security, S2 wrong behaviour, S3 missing feature
	why      string // why nothing is planted for it; "" when something must be
	plants   []*plant
}

// plant is one way to put a defect into the code.
type plant struct {
	file      string // of the data
	id        string
	reference string // what the reference does
	egret     string // what is done here
	dir, test string // the package, "./source/kube", and the pattern of go test -run
	tags      string
	panics    bool // the defect is a panic
	edits     []edit
}

// edit replaces the only occurrence of old in a file of the repository.
type edit struct{ path, old, with string }

// read reads the list and the plants in a folder. Plants of one defect are in
// the order of their files.
func read(dir string) ([]*line, error) {
	lines, err := readList(filepath.Join(dir, "list.txt"))
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "B-*.txtar"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		p, err := readPlant(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		i := slices.IndexFunc(lines, func(l *line) bool { return l.id == p.id })
		if i < 0 {
			return nil, fmt.Errorf("%s: %s is not in list.txt", file, p.id)
		}
		lines[i].plants = append(lines[i].plants, p)
	}
	return lines, nil
}

// readList reads lines of the form "B-24 S1" and "B-44 S3 why nothing is planted".
func readList(file string) ([]*line, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var out []*line
	for row := range strings.Lines(string(text)) {
		id, rest, _ := strings.Cut(strings.TrimSpace(row), " ")
		severity, why, _ := strings.Cut(rest, " ")
		if !identifier.MatchString(id) || !slices.Contains([]string{"S1", "S2", "S3"}, severity) {
			return nil, fmt.Errorf("%s: %q is no line of the list", file, row)
		}
		out = append(out, &line{id: id, severity: severity, why: why})
	}
	return out, nil
}

var identifier = regexp.MustCompile(`^B-\d\d$`)

// readPlant reads a txtar: in its comment the fields, then pairs of a file with
// its old text and "with" with the new one.
func readPlant(file string) (*plant, error) {
	a, err := txtar.ParseFile(file)
	if err != nil {
		return nil, err
	}
	p := &plant{file: filepath.Base(file), id: filepath.Base(file)[:len("B-00")]}
	for row := range strings.Lines(string(a.Comment)) {
		name, value, _ := strings.Cut(strings.TrimSpace(row), ": ")
		switch name {
		case "":
		case "reference":
			p.reference = value
		case "egret":
			p.egret = value
		case "test":
			p.dir, p.test, _ = strings.Cut(value, " ")
		case "tags":
			p.tags = value
		case "panics":
			p.panics = value == "yes"
		default:
			return nil, fmt.Errorf("%q is no field", row)
		}
	}
	for pair := range slices.Chunk(a.Files, 2) {
		if len(pair) != 2 || pair[1].Name != "with" {
			return nil, fmt.Errorf("%s has no text to plant behind it", pair[0].Name)
		}
		p.edits = append(p.edits, edit{pair[0].Name, trimmed(pair[0]), trimmed(pair[1])})
	}
	if p.reference == "" || p.egret == "" || len(p.edits) == 0 || !strings.Contains(p.test, p.id) {
		return nil, fmt.Errorf("it needs the fields reference, egret and test, which names %s, and an edit", p.id)
	}
	return p, nil
}

// trimmed is a file's text without its last line's end, so that parts of a
// line can be replaced.
func trimmed(f txtar.File) string { return strings.TrimSuffix(string(f.Data), "\n") }

// planted returns the files that the plant changes, by path, as they are with it.
func (p *plant) planted(root string) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, e := range p.edits {
		text, seen := out[e.path]
		if !seen {
			var err error
			if text, err = os.ReadFile(filepath.Join(root, e.path)); err != nil {
				return nil, err
			}
		}
		if n := bytes.Count(text, []byte(e.old)); n != 1 {
			return nil, fmt.Errorf("%s: what is to be replaced in %s is there %d times, not once:\n%s", p.file, e.path, n, e.old)
		}
		out[e.path] = bytes.Replace(text, []byte(e.old), []byte(e.with), 1)
	}
	return out, nil
}
