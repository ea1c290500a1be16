package file

import (
	"cmp"
	"fmt"

	"go.yaml.in/yaml/v4"

	"github.com/egret-gateway/egret/source"
)

// object is one object of a document: its values and, for line numbers, the
// nodes they came from.
type object struct {
	doc   document
	node  *yaml.Node
	value map[string]any
}

// objects parses a document and unpacks lists. A mistake ends the document it
// is in and nothing else.
func (d document) objects() ([]object, *source.Problem) {
	root, err := d.parse()
	if err != nil {
		return nil, d.problem(err)
	}
	if root == nil {
		return nil, nil
	}
	value, err := d.value(root)
	if err != nil {
		return nil, d.problem(err)
	}
	m, ok := value.(map[string]any)
	if !ok {
		return nil, d.problem(&mistake{
			line: d.at(root.Line),
			why:  "is not a Kubernetes object: it holds " + describe(value),
			do:   "start it with apiVersion, kind and metadata",
		})
	}
	return d.unpack(root, m)
}

// unpack returns the items of a List, or of any kind whose name ends in List
// and that has items, and any other object as it is.
func (d document) unpack(root *yaml.Node, m map[string]any) ([]object, *source.Problem) {
	items, isList := m["items"].([]any)
	if name, _ := m["kind"].(string); !isList || len(name) < 4 || name[len(name)-4:] != "List" {
		return []object{{d, root, m}}, nil
	}
	_, nodes, _ := step(root, "items")
	for nodes != nil && nodes.Kind == yaml.AliasNode {
		nodes = nodes.Alias
	}
	var objs []object
	for i, item := range items {
		node := root
		if nodes != nil && i < len(nodes.Content) {
			node = nodes.Content[i]
		}
		value, ok := item.(map[string]any)
		if !ok {
			p := d.problem(&mistake{
				line: d.at(node.Line),
				why:  fmt.Sprintf("items[%d] is not an object: it holds %s", i, describe(item)),
				do:   "give it apiVersion, kind and metadata",
			})
			return objs, p
		}
		objs = append(objs, object{d, node, value})
	}
	return objs, nil
}

// problem says where in the file a mistake of the document stands.
func (d document) problem(err error) *source.Problem {
	m, ok := err.(*mistake)
	if !ok {
		m = &mistake{line: d.line, why: err.Error()}
	}
	return &source.Problem{File: d.file, Line: m.line, Why: m.why, Do: m.do}
}

// describe names what a value is, for people.
func describe(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case int64:
		return "an integer"
	case float64:
		return "a number"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return fmt.Sprintf("a %T", v)
}

// text returns the string at a path of keys, "" when there is none.
func (o object) text(path ...string) string {
	var v any = o.value
	for _, key := range path {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	s, _ := v.(string)
	return s
}

// key returns the object's identity with its namespace as written.
func (o object) key() source.Key {
	return source.Key{Kind: o.text("kind"), Namespace: o.text("metadata", "namespace"), Name: o.text("metadata", "name")}
}

// line returns the line of a field of the object, or of the object itself.
func (o object) line(path string) int { return o.doc.lineOf(o.node, path) }

// origin returns "file:line" of the object.
func (o object) origin() string {
	if o.doc.line == 0 {
		return o.doc.file
	}
	return fmt.Sprintf("%s:%d", o.doc.file, o.line(""))
}

// problem says what is wrong with a field of the object.
func (o object) problem(key source.Key, path, why, do string) source.Problem {
	key.Kind = cmp.Or(key.Kind, "object")
	key.Name = cmp.Or(key.Name, "(without a name)")
	return source.Problem{File: o.doc.file, Line: o.line(path), Object: key.String(), Field: path, Why: why, Do: do}
}
