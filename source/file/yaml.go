package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Bounds on one document. They are far beyond any real manifest and keep a
// hostile one, such as a chain of aliases to aliases, from costing memory and
// time.
const (
	maxDepth = 100
	maxNodes = 200_000
)

// document is one YAML document of a file, or one JSON text.
type document struct {
	file string
	// line is the number of the document's first line in the file, 0 when the
	// text was built from several.
	line int
	text []byte
}

// split cuts a file at its "---" lines. Documents are parsed apart from each
// other, so that a broken one leaves its neighbours alone.
func split(file string, text []byte) []document {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	var docs []document
	start, startLine, line := 0, 1, 1
	for pos := 0; pos < len(text); line++ {
		end := len(text)
		if i := bytes.IndexByte(text[pos:], '\n'); i >= 0 {
			end = pos + i + 1
		}
		if pos > start && isSeparator(text[pos:end]) {
			docs = append(docs, document{file, startLine, text[start:pos]})
			start, startLine = pos, line
		}
		pos = end
	}
	return append(docs, document{file, startLine, text[start:]})
}

// isSeparator reports whether a line starts a new document. "---" only does
// so at the very beginning of a line, where no scalar's text can stand.
func isSeparator(line []byte) bool {
	rest, found := bytes.CutPrefix(line, []byte("---"))
	return found && (len(rest) == 0 || strings.IndexByte(" \t\r\n", rest[0]) >= 0)
}

// at turns a line of the document into one of the file, 0 when the document
// was built and stands in no file.
func (d document) at(line int) int {
	if d.line == 0 {
		return 0
	}
	return d.line + line - 1
}

// mistake is something wrong at a line of a document, or of a file.
type mistake struct {
	line    int
	why, do string
}

func (m *mistake) Error() string { return m.why }

// parse returns the document's root node, nil for an empty document.
func (d document) parse() (*yaml.Node, error) {
	if d.isJSON() {
		return d.parseJSON()
	}
	loader, err := yaml.NewLoader(bytes.NewReader(d.text))
	if err != nil {
		return nil, d.syntax(err)
	}
	var root, more yaml.Node
	if err := loader.Load(&root); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, d.syntax(err)
	}
	if err := loader.Load(&more); err == nil {
		return nil, &mistake{d.at(more.Line), "has a second document that no --- line starts", "put --- on the line before it"}
	} else if !errors.Is(err, io.EOF) {
		return nil, d.syntax(err)
	}
	if len(root.Content) == 0 || root.Content[0].Tag == "!!null" {
		return nil, nil
	}
	return root.Content[0], nil
}

func (d document) syntax(err error) error {
	language := "YAML"
	if filepath.Ext(d.file) == ".json" {
		language = "JSON"
	}
	m := &mistake{line: d.line, why: err.Error(), do: "correct the syntax"}
	var at *yaml.LoadError
	if errors.As(err, &at) {
		m.why = at.Message
		// The end of the text is taken for a line of its own.
		line := min(max(at.Mark.Line, at.ContextMark.Line, 1), 1+bytes.Count(bytes.TrimRight(d.text, "\n"), []byte("\n")))
		m.line = d.at(line)
	}
	if bytes.ContainsRune(d.text, '\t') && strings.Contains(m.why, "cannot start any token") {
		m.do = "indent with spaces instead of tabs"
	}
	m.why = "is not valid " + language + ": " + m.why
	return m
}

// value turns a node into what the JSON that kubectl sends would decode to:
// maps, slices, strings, bools, int64, float64 and nil.
func (d document) value(n *yaml.Node) (any, error) {
	c := converter{doc: d}
	return c.value(n, 0)
}

type converter struct {
	doc   document
	nodes int
}

func (c *converter) fail(n *yaml.Node, do, format string, args ...any) error {
	return &mistake{line: c.doc.at(n.Line), why: fmt.Sprintf(format, args...), do: do}
}

func (d document) tooMany(n *yaml.Node) error {
	return &mistake{d.at(n.Line), fmt.Sprintf("has more than %d values, those of its aliases included", maxNodes), "split it; if it is small, write out what its aliases repeat"}
}

func (d document) tooDeep(n *yaml.Node) error {
	return &mistake{d.at(n.Line), fmt.Sprintf("is nested more than %d levels deep", maxDepth), "check that no alias contains itself"}
}

func (c *converter) value(n *yaml.Node, depth int) (any, error) {
	if c.nodes++; c.nodes > maxNodes {
		return nil, c.doc.tooMany(n)
	}
	if depth > maxDepth {
		return nil, c.doc.tooDeep(n)
	}
	switch n.Kind {
	case yaml.AliasNode:
		return c.value(n.Alias, depth+1)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			v, err := c.value(item, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case yaml.MappingNode:
		return c.mapping(n, depth)
	}
	return c.scalar(n)
}

// mapping refuses a key that stands twice, as two readers might disagree on
// which one counts, and lets explicit keys win over merged ones.
func (c *converter) mapping(n *yaml.Node, depth int) (any, error) {
	m := make(map[string]any, len(n.Content)/2)
	lines := make(map[string]int, len(n.Content)/2)
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		if key.Tag == "!!merge" {
			merges = append(merges, val)
			continue
		}
		if key.Kind != yaml.ScalarNode {
			return nil, c.fail(key, "use a plain word as the key", "has a key that is not a string")
		}
		if first, twice := lines[key.Value]; twice {
			return nil, c.fail(key, "remove one of the two", "has the key %q twice, first on line %d", key.Value, c.doc.at(first))
		}
		lines[key.Value] = key.Line
		v, err := c.value(val, depth+1)
		if err != nil {
			return nil, err
		}
		m[key.Value] = v
	}
	for _, merge := range merges {
		if err := c.merge(m, merge, depth+1); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// merge adds what "<<" names to m where m has no such key.
func (c *converter) merge(m map[string]any, n *yaml.Node, depth int) error {
	v, err := c.value(n, depth)
	if err != nil {
		return err
	}
	sources, isList := v.([]any)
	if !isList {
		sources = []any{v}
	}
	for _, s := range sources {
		from, ok := s.(map[string]any)
		if !ok {
			return c.fail(n, "merge an alias of a mapping", "merges something that is not a mapping")
		}
		for k, v := range from {
			if _, set := m[k]; !set {
				m[k] = v
			}
		}
	}
	return nil
}

func (c *converter) scalar(n *yaml.Node) (any, error) {
	switch n.Tag {
	case "!!null":
		return nil, nil
	case "!!str", "!!timestamp":
		if n.Style == 0 {
			if b, ok := oldBool[n.Value]; ok {
				return b, nil
			}
		}
		return n.Value, nil
	case "!!bool", "!!int", "!!float":
		var v any
		if err := n.Decode(&v); err != nil {
			return nil, c.fail(n, "correct or quote it", "has %q, which is not a %s", n.Value, strings.TrimPrefix(n.Tag, "!!"))
		}
		return c.number(n, v)
	}
	return nil, c.fail(n, "remove the tag", "has the YAML tag %s, which means nothing here", n.Tag)
}

// oldBool are the words that kubectl's YAML reader takes for booleans when
// they stand without quotes, and YAML 1.2 does not. A manifest must mean the
// same here and there.
var oldBool = map[string]bool{
	"y": true, "Y": true, "yes": true, "Yes": true, "YES": true, "on": true, "On": true, "ON": true,
	"n": false, "N": false, "no": false, "No": false, "NO": false, "off": false, "Off": false, "OFF": false,
}

// number keeps integers integers, as an API server does.
func (c *converter) number(n *yaml.Node, v any) (any, error) {
	switch v := v.(type) {
	case int:
		return int64(v), nil
	case uint64:
		return float64(v), nil
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return nil, c.fail(n, "use a finite number", "has %s, which JSON cannot express", n.Value)
		}
	}
	return v, nil
}

// lineOf returns the line in the file of the field at path below n, or of the
// nearest parent that is there. Paths are written as in API server errors:
// spec.rules[0].matches, metadata.labels[a/b], data.key.with.dots.
func (d document) lineOf(n *yaml.Node, path string) int {
	line := n.Line
	for {
		for n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		key, val, rest := step(n, path)
		if val == nil {
			return d.at(line)
		}
		line, n, path = key.Line, val, rest
	}
}

// step finds the child of n that path starts with, preferring longer keys.
func step(n *yaml.Node, path string) (key, val *yaml.Node, rest string) {
	path = strings.TrimPrefix(path, ".")
	switch n.Kind {
	case yaml.SequenceNode:
		inside, after, _ := strings.Cut(path, "]")
		number, found := strings.CutPrefix(inside, "[")
		if i, err := strconv.Atoi(number); found && err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i], n.Content[i], after
		}
	case yaml.MappingNode:
		longest := 0
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i]
			for _, form := range []string{k.Value, "[" + k.Value + "]"} {
				after, ok := strings.CutPrefix(path, form)
				if ok && len(form) > longest && (after == "" || after[0] == '.' || after[0] == '[') {
					longest, key, val, rest = len(form), k, n.Content[i+1], after
				}
			}
		}
	}
	return key, val, rest
}
