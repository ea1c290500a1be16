package rule

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/cel-go/common/types"
	"github.com/tidwall/gjson"
)

// selector is a gjson path over the authorization JSON. Most paths begin with
// plain names; those are followed through the Go values, and only what they
// reach is turned into JSON for the remainder of the path.
type selector struct {
	source string
	get    func(*Input) any // the variable that the path begins with; nil = the whole document
	names  []string         // plain names after it
	path   string           // gjson, applied to what the names reach; "" = all of it
	whole  string           // the same from the top of the document
	then   []stage          // what follows Authorino's modifiers
}

// stage is one of Authorino's modifiers and the gjson path behind it.
type stage struct {
	modify modifier
	path   string
}

// newSelector compiles a path. The error is an *Error.
func newSelector(source string) (*selector, error) {
	s := &selector{source: source}
	if why := excess(source); why != "" {
		return nil, &Error{Expr: source, Why: why}
	}
	head, rest := cut(source)
	for rest != "" {
		var st stage
		var why error
		st.modify, rest, why = newModifier(rest)
		if why != nil {
			return nil, &Error{Expr: source, Why: why.Error()}
		}
		st.path, rest = cut(rest)
		s.then = append(s.then, st)
	}
	s.whole = head
	names, remainder := plainNames(head)
	if remainder != "" && strings.IndexByte("!.|{[", remainder[0]) >= 0 {
		names = nil // these mean something else at the beginning of a path
	}
	for n := len(names); n > 0; n-- {
		if get := getters[strings.Join(names[:n], ".")]; get != nil {
			s.get, s.names, s.path = get, names[n:], remainder
			return s, nil
		}
	}
	return s, nil
}

// Bounds of a selector. A chain of @tostr doubles what it escapes, and lists of
// paths in lists of paths multiply.
const (
	maxSelector  = 1 << 10 // bytes
	maxModifiers = 4
	maxMultipath = 1
)

// excess says which bound a selector breaks, "" for none.
func excess(source string) string {
	multipaths := 0
	for i := range len(source) {
		if (source[i] == '[' || source[i] == '{') && (i == 0 || source[i-1] != ':') {
			multipaths++
		}
	}
	switch {
	case len(source) > maxSelector:
		return fmt.Sprintf("is longer than %d bytes", maxSelector)
	case strings.Count(source, "@") > maxModifiers:
		return fmt.Sprintf("has more than %d modifiers", maxModifiers)
	case multipaths > maxMultipath:
		return fmt.Sprintf("has more than %d list of paths", maxMultipath)
	}
	return ""
}

// plainNames splits off the leading names that mean themselves in gjson. A
// name's characters may be escaped by a backslash.
func plainNames(path string) (names []string, rest string) {
	for path != "" {
		name, n := plainName(path)
		if n == 0 {
			return names, path
		}
		names = append(names, name)
		path = path[n:]
		if path != "" {
			path = path[1:]
			if path == "" { // a trailing separator means something to gjson
				return nil, ""
			}
		}
	}
	return names, ""
}

// plainName reads one name up to a dot or the end; n = 0 when it is not plain.
func plainName(path string) (name string, n int) {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '_' || c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
			b.WriteByte(c)
		case c == '\\' && i+1 < len(path) && (path[i+1] == '.' || path[i+1] == '/'):
			i++
			b.WriteByte(path[i])
		case c == '/' && i > 0:
			b.WriteByte(c)
		case c == '.' && i > 0:
			return b.String(), i
		default:
			return "", 0
		}
	}
	return b.String(), len(path)
}

// eval returns what the path selects, nil when it selects nothing.
func (s *selector) eval(in *Input) (any, error) {
	v, err := s.first(in)
	if err != nil {
		return nil, fmt.Errorf("selector %q: %w", brief(s.source), err)
	}
	for _, st := range s.then {
		v = st.modify(v)
		if st.path == "" {
			continue
		}
		if v, err = query(v, st.path); err != nil {
			return nil, fmt.Errorf("selector %q: %w", brief(s.source), err)
		}
	}
	return v, nil
}

// first evaluates the path up to Authorino's first modifier.
func (s *selector) first(in *Input) (any, error) {
	if s.get == nil {
		return query(document(in), s.whole)
	}
	v, found := follow(s.get(in), s.names)
	switch {
	case s.path == "":
		return v, nil
	case !found: // what gjson makes of the remainder depends on which name is missing
		return query(document(in), s.whole)
	}
	return query(v, s.path)
}

// query runs a gjson path over a value.
func query(v any, path string) (any, error) {
	text, err := marshal(v)
	if err != nil {
		return nil, err
	}
	return native(gjson.Get(string(text), path)), nil // GetBytes skips modifiers on nothing
}

// follow walks names down through objects.
func follow(v any, names []string) (_ any, found bool) {
	for i, name := range names {
		switch at := v.(type) {
		case map[string]any:
			next, ok := at[name]
			if !ok {
				return nil, false
			}
			v = next
		case *headers:
			next, ok := at.Request.lookup(name)
			if !ok {
				return nil, false
			}
			v = next
		case nil, string, bool, int64, float64, types.String, types.Int:
			return nil, false
		default:
			return dig(v, names[i:])
		}
	}
	return unwrap(v), true
}

// dig follows names through a value of any other type by way of its JSON.
func dig(v any, names []string) (any, bool) {
	text, err := marshal(v)
	if err != nil {
		return nil, false
	}
	escaped := make([]string, len(names))
	for i, name := range names {
		escaped[i] = gjson.Escape(name)
	}
	r := gjson.GetBytes(text, strings.Join(escaped, "."))
	return native(r), r.Exists()
}

// unwrap turns the few CEL types among the variables to plain Go.
func unwrap(v any) any {
	switch v := v.(type) {
	case types.String:
		return string(v)
	case types.Int:
		return int64(v)
	case types.Timestamp:
		return v.Time.Format(time.RFC3339Nano)
	case *headers:
		m := make(map[string]any)
		for name, value := range v.plain() {
			m[name] = value
		}
		return m
	}
	return v
}

// document is the authorization JSON that selectors run over.
func document(in *Input) map[string]any {
	return map[string]any{
		"context": map[string]any{"request": map[string]any{"http": in.http()}},
		"request": in.tree("request."),
		"source":  in.tree("source."),
		"auth":    in.tree("auth."),
	}
}
