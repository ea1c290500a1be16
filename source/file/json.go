package file

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// isJSON reports whether the document is a JSON object or list. Most JSON is
// YAML too, but not all of it means the same: YAML knows no surrogate pairs
// (RFC 8259 section 7), so "\ud83d\ude00" is one character in JSON only.
func (d document) isJSON() bool {
	text := bytes.TrimLeft(d.text, " \t\r\n")
	return len(text) > 0 && (text[0] == '{' || text[0] == '[') && utf8.Valid(text) && json.Valid(text)
}

// parseJSON returns the nodes of a valid JSON text with their lines, as parse
// would for YAML. A key that stands twice is kept twice.
func (d document) parseJSON() (*yaml.Node, error) {
	r := jsonReader{doc: d, tokens: json.NewDecoder(bytes.NewReader(d.text)), line: 1}
	r.tokens.UseNumber()
	return r.node(0)
}

type jsonReader struct {
	doc    document
	tokens *json.Decoder
	nodes  int
	// line is where the byte at offset stands.
	line   int
	offset int64
}

// next returns the next token and makes line its own.
func (r *jsonReader) next() (json.Token, error) {
	token, err := r.tokens.Token()
	end := r.tokens.InputOffset()
	r.line += bytes.Count(r.doc.text[r.offset:end], []byte("\n")) // no token spans lines
	r.offset = end
	return token, err
}

func (r *jsonReader) node(depth int) (*yaml.Node, error) {
	token, err := r.next()
	if err != nil {
		return nil, err
	}
	n := scalarNode(token)
	n.Line = r.line
	if r.nodes++; r.nodes > maxNodes {
		return nil, r.doc.tooMany(n)
	}
	if depth > maxDepth {
		return nil, r.doc.tooDeep(n)
	}
	if n.Kind == yaml.ScalarNode {
		return n, nil
	}
	for r.tokens.More() {
		child, err := r.node(depth + 1) // of an object, keys and values in turn
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, child)
	}
	_, err = r.next() // the closing bracket
	return n, err
}

// scalarNode returns the node of a token, without content for a bracket.
func scalarNode(token json.Token) *yaml.Node {
	switch v := token.(type) {
	case json.Delim:
		if v == '{' {
			return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		}
		return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	case string:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: v}
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!float", Value: v.String()}
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: v.String()}
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: map[bool]string{true: "true", false: "false"}[v]}
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
}
