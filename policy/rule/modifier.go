package rule

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// modifier is one of the functions that Authorino adds to gjson. They are
// applied here and not registered with gjson, whose table is global.
type modifier func(any) any

// modifiers makes modifiers from their argument, "" when there is none.
var modifiers = map[string]func(arg string) (modifier, error){
	"@case":    newCase,
	"@extract": newExtract,
	"@replace": newReplace,
	"@base64":  newBase64,
}

// cut splits a path before the first of Authorino's modifiers that stands
// outside of brackets and quotes. rest begins with "@".
func cut(path string) (head, rest string) {
	depth, quoted := 0, false
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case strings.IndexByte("([{", c) >= 0:
			depth++
		case strings.IndexByte(")]}", c) >= 0:
			depth--
		case c == '@' && depth == 0 && (i == 0 || path[i-1] == '.' || path[i-1] == '|'):
			name, _, _ := strings.Cut(path[i:], ":")
			if _, ok := modifiers[name]; ok {
				return path[:max(0, i-1)], path[i:]
			}
		}
	}
	return path, ""
}

// newModifier reads a modifier, its argument and the separator behind it.
func newModifier(path string) (m modifier, rest string, err error) {
	name, rest, _ := strings.Cut(path, ":")
	arg := rest
	if strings.HasPrefix(rest, "{") {
		d := json.NewDecoder(strings.NewReader(rest))
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, "", fmt.Errorf("the argument of %s is not JSON", name)
		}
		arg, rest = rest[:d.InputOffset()], rest[d.InputOffset():]
		if rest != "" && rest[0] != '.' && rest[0] != '|' {
			return nil, "", fmt.Errorf("expected a dot after the argument of %s", name)
		}
		rest = strings.TrimLeft(rest[:min(1, len(rest))], ".|") + rest[min(1, len(rest)):]
	} else if i := strings.IndexAny(rest, ".|"); i >= 0 {
		arg, rest = rest[:i], rest[i+1:]
	} else {
		rest = ""
	}
	m, err = modifiers[name](arg)
	return m, rest, err
}

// newCase makes @case:upper and @case:lower, which reach into lists and
// objects.
func newCase(arg string) (modifier, error) {
	switch arg {
	case "upper":
		return func(v any) any { return each(v, strings.ToUpper) }, nil
	case "lower":
		return func(v any) any { return each(v, strings.ToLower) }, nil
	}
	return nil, fmt.Errorf("@case takes upper or lower, not %q", brief(arg))
}

// each applies f to all strings in a value and leaves the original alone.
func each(v any, f func(string) string) any {
	switch v := v.(type) {
	case string:
		return f(v)
	case []any:
		out := slices.Clone(v)
		for i := range out {
			out[i] = each(out[i], f)
		}
		return out
	case map[string]any:
		out := maps.Clone(v)
		for k := range out {
			out[k] = each(out[k], f)
		}
		return out
	}
	return v
}

// newExtract makes @extract:{"sep":" ","pos":0}: one piece of a split string,
// nil beyond the last.
func newExtract(arg string) (modifier, error) {
	o := struct {
		Sep string `json:"sep"`
		Pos int    `json:"pos"`
	}{Sep: " "}
	if err := options("@extract", arg, &o); err != nil {
		return nil, err
	}
	if o.Pos < 0 {
		return nil, fmt.Errorf("@extract: pos is %d, must not be negative", o.Pos)
	}
	return func(v any) any {
		at := 0
		for piece := range strings.SplitSeq(Text(v), o.Sep) {
			if at == o.Pos {
				return piece
			}
			at++
		}
		return nil
	}, nil
}

// newReplace makes @replace:{"old":"a","new":"b"}, for all occurrences; nil
// when that gets too long.
func newReplace(arg string) (modifier, error) {
	var o struct {
		Old string `json:"old"`
		New string `json:"new"`
	}
	if err := options("@replace", arg, &o); err != nil {
		return nil, err
	}
	return func(v any) any {
		if s, ok := replaced(Text(v), o.Old, o.New, -1); ok {
			return s
		}
		return nil
	}, nil
}

// newBase64 makes @base64:encode and @base64:decode. What cannot be decoded is
// nil; padding may be absent.
func newBase64(arg string) (modifier, error) {
	switch arg {
	case "encode":
		return func(v any) any { return base64.StdEncoding.EncodeToString([]byte(Text(v))) }, nil
	case "decode":
		return func(v any) any {
			b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(Text(v), "="))
			if err != nil {
				return nil
			}
			return string(b)
		}, nil
	}
	return nil, fmt.Errorf("@base64 takes encode or decode, not %q", brief(arg))
}

// options reads the argument of a modifier; none means the defaults.
func options(name, arg string, into any) error {
	if arg == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(arg), into); err != nil {
		return fmt.Errorf("%s: argument %q: %w", name, brief(arg), err)
	}
	return nil
}
