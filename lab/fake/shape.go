package fake

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A vendor's request bodies are described in shapes/NAME, one field a line:
//
//	chat                            a shape begins where there is no indent
//	  model!      string            ! marks what must be there
//	  messages!   [user|assistant]  a list; of several shapes, the one whose
//	  stop        string|[string]   quoted fields are those of the value
//	  metadata    {string}          an object whose names are the client's
//	user
//	  role!       'user'            this word and no other
//
// and the kinds are string, number, int, bool, null, object and any. A field
// that is not described is refused.
//
//go:embed shapes
var shapeFiles embed.FS

type shapes map[string]map[string]field

type field struct {
	required bool
	is       string // a type, as written
}

// readShapes reads the shapes of a vendor, none for one without bodies of JSON.
func readShapes(vendor string) shapes {
	out := shapes{}
	data, err := shapeFiles.ReadFile("shapes/" + vendor)
	if err != nil {
		return out
	}
	var name string
	for line := range strings.Lines(string(data)) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case line[0] != ' ':
			name = words[0]
			out[name] = map[string]field{}
			for _, of := range words[1:] {
				maps.Copy(out[name], out[of])
			}
		default:
			key, required := strings.CutSuffix(words[0], "!")
			out[name][key] = field{required: required, is: words[1]}
		}
	}
	return out
}

// wrong is what does not fit in a body.
type wrong struct {
	at      string // path of the field, as in messages[0].role
	problem string // unknown, missing, type or syntax
	want    string
	got     string
}

func (w *wrong) Error() string {
	switch w.problem {
	case "type":
		return fmt.Sprintf("%s: want %s, got %s", w.at, w.want, w.got)
	case "syntax":
		return "the body is not one JSON object: " + w.got
	}
	return w.at + ": " + w.problem
}

// check holds a body against a shape.
func (s shapes) check(shape string, body []byte) *wrong {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return &wrong{problem: "syntax", got: err.Error()}
	}
	if _, err := d.Token(); err != io.EOF {
		return &wrong{problem: "syntax", got: "more follows it"}
	}
	return s.fit(v, shape, "")
}

// fit reports what of v is not of the type, at the first place in the order of names.
func (s shapes) fit(v any, is, at string) *wrong {
	options := split(is)
	var near []string // those of the value's own kind
	for _, option := range options {
		if s.kindred(v, option) {
			near = append(near, option)
		}
	}
	if len(near) > 1 {
		if same := slices.DeleteFunc(slices.Clone(near), func(option string) bool { return !s.tagged(v, option) }); len(same) > 0 {
			near = same
		}
	}
	if len(near) == 0 {
		return &wrong{at: at, problem: "type", want: is, got: describe(v)}
	}
	switch option := near[0]; option[0] {
	case '[':
		for i, element := range v.([]any) {
			if bad := s.fit(element, option[1:len(option)-1], at+"["+strconv.Itoa(i)+"]"); bad != nil {
				return bad
			}
		}
	case '{':
		members := v.(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(members)) {
			if bad := s.fit(members[name], option[1:len(option)-1], join(at, name)); bad != nil {
				return bad
			}
		}
	default:
		if fields, ok := s[option]; ok {
			return s.fields(v.(map[string]any), fields, at)
		}
	}
	return nil
}

func (s shapes) fields(v map[string]any, fields map[string]field, at string) *wrong {
	for _, name := range slices.Sorted(maps.Keys(v)) {
		f, known := fields[name]
		if !known {
			return &wrong{at: join(at, name), problem: "unknown"}
		}
		if bad := s.fit(v[name], f.is, join(at, name)); bad != nil {
			return bad
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if _, there := v[name]; fields[name].required && !there {
			return &wrong{at: join(at, name), problem: "missing", want: fields[name].is}
		}
	}
	return nil
}

// kindred reports whether a value is of the JSON kind that the type describes.
func (s shapes) kindred(v any, is string) bool {
	switch is {
	case "any":
		return true
	case "null":
		return v == nil
	}
	switch v := v.(type) {
	case string:
		return is == "string" || is == "'"+v+"'"
	case bool:
		return is == "bool"
	case json.Number:
		_, err := v.Int64()
		return is == "number" || is == "int" && err == nil
	case []any:
		return is[0] == '['
	case map[string]any:
		return is == "object" || is[0] == '{' || s[is] != nil
	}
	return false
}

// tagged reports whether the quoted fields of a shape are those of the value.
func (s shapes) tagged(v any, is string) bool {
	members, _ := v.(map[string]any)
	for name, f := range s[is] {
		if _, there := members[name]; f.is[0] == '\'' && f.required && (!there || s.fit(members[name], f.is, "") != nil) {
			return false
		}
	}
	return true
}

// split cuts a type at the bars that are not within brackets.
func split(is string) []string {
	var out []string
	depth, start := 0, 0
	for i, c := range is {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case '|':
			if depth == 0 {
				out = append(out, is[start:i])
				start = i + 1
			}
		}
	}
	return append(out, is[start:])
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return "string " + strconv.Quote(v)
	case bool:
		return "boolean"
	case json.Number:
		return "number"
	case []any:
		return "array"
	}
	return "object"
}

// check holds the body of the exchange against a shape of its vendor.
func (x *exchange) check(shape string) *wrong { return x.v.shapes.check(shape, x.body) }
