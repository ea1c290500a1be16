package rule

import (
	"fmt"
	"strings"
)

// template is text with selectors in braces: {auth.identity.user}:{request.path}.
type template struct {
	text      []string // before, between and behind the selectors
	selectors []*selector
}

// newSelected compiles a selector, or a template when it holds placeholders.
func newSelected(source string) (*Value, error) {
	if len(source) > maxSource {
		return nil, &Error{Expr: source, Why: fmt.Sprintf("is longer than %d bytes", maxSource)}
	}
	t := &template{}
	for rest := source; ; {
		open := placeholder(rest)
		if open < 0 {
			t.text = append(t.text, rest)
			break
		}
		end := closing(rest[open:])
		if end < 0 {
			return nil, &Error{Expr: source, Line: 1, Column: len(source) - len(rest) + open + 1, Why: "this brace is never closed"}
		}
		s, err := newSelector(rest[open+1 : open+end])
		if err != nil {
			return nil, err
		}
		t.text = append(t.text, rest[:open])
		t.selectors = append(t.selectors, s)
		rest = rest[open+end+1:]
	}
	if len(t.selectors) > 0 {
		return &Value{template: t}, nil
	}
	s, err := newSelector(source)
	if err != nil {
		return nil, err
	}
	return &Value{selector: s}, nil
}

// placeholder finds the first brace that does not begin a modifier's argument
// (@extract:{…}).
func placeholder(s string) int {
	for i := 0; i < len(s); i++ {
		if s[i] != '{' {
			continue
		}
		if !argument(s[:i]) {
			return i
		}
		if end := closing(s[i:]); end > 0 {
			i += end
		}
	}
	return -1
}

// argument reports whether text ends with "@name:".
func argument(before string) bool {
	name, ok := strings.CutSuffix(before, ":")
	at := strings.LastIndexByte(name, '@')
	return ok && at >= 0 && strings.Trim(name[at+1:], "abcdefghijklmnopqrstuvwxyz0123456789") == "" && at+1 < len(name)
}

// closing finds the brace that closes the first one, minding JSON strings.
func closing(s string) int {
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// fill evaluates the selectors and joins everything.
func (t *template) fill(in *Input) (any, error) {
	var b strings.Builder
	for i, s := range t.selectors {
		v, err := s.eval(in)
		if err != nil {
			return nil, err
		}
		b.WriteString(t.text[i])
		b.WriteString(Text(v))
	}
	b.WriteString(t.text[len(t.selectors)])
	return b.String(), nil
}
