package envoy

import (
	"regexp/syntax"
	"strings"
	"unicode/utf8"

	"github.com/egret-gateway/egret/plan"
)

// maxPattern bounds a pattern's program, in instructions of Go's machine.
// Envoy 1.37 takes some 25 times as much, but what it does not take stops the
// routes of everybody on the port.
const maxPattern = 10_000

// pattern writes a regular expression as every Envoy reads it, and reports
// whether that can be done. Envoys differ in what they know beyond ASCII: 1.37
// matches characters and 1.40 bytes, and refuses to name others; neither knows
// all of Go's classes. Classes are therefore cut to the ASCII in them, or, as
// "[^/]", left to mean all the rest.
func pattern(text string) (string, bool) {
	re, err := syntax.Parse(text, syntax.Perl)
	if err != nil || !ascii(re) {
		return "", false
	}
	if program, err := syntax.Compile(re.Simplify()); err != nil || len(program.Inst) > maxPattern {
		return "", false
	}
	if plain(text) {
		return text, true
	}
	text = re.String()
	return text, plain(text)
}

// plain reports whether a text names nothing beyond ASCII, and no class by
// name.
func plain(text string) bool {
	for _, other := range []string{`\p`, `\P`, `\x{`} {
		if strings.Contains(text, other) {
			return false
		}
	}
	return strings.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// ascii cuts the classes of re, and reports whether something is left to match
// in each part.
func ascii(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpNoMatch:
		return false
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			if r >= utf8.RuneSelf {
				return false
			}
		}
	case syntax.OpCharClass:
		re.Rune = asciiRanges(re.Rune)
		return len(re.Rune) > 0
	}
	for _, sub := range re.Sub {
		if !ascii(sub) {
			return false
		}
	}
	return true
}

// asciiRanges cuts pairs of first and last, unless they include all that is
// not ASCII.
func asciiRanges(pairs []rune) []rune {
	n := len(pairs)
	if n > 0 && pairs[n-1] == utf8.MaxRune && pairs[n-2] <= utf8.RuneSelf {
		return pairs
	}
	var out []rune
	for i := 0; i < n && pairs[i] < utf8.RuneSelf; i += 2 {
		out = append(out, pairs[i], min(pairs[i+1], utf8.RuneSelf-1))
	}
	return out
}

// portable returns a match with its patterns as every Envoy reads them, and
// reports whether there is such a match.
func portable(m plan.Match) (plan.Match, bool) {
	ok := true
	write := func(text string) string {
		out, can := pattern(text)
		ok = ok && can
		return out
	}
	if m.Path.Kind == plan.PathRegex {
		m.Path.Value = write(m.Path.Value)
	}
	values := func(in []plan.ValueMatch) []plan.ValueMatch {
		var out []plan.ValueMatch
		for _, v := range in {
			if v.Regex {
				v.Value = write(v.Value)
			}
			out = append(out, v)
		}
		return out
	}
	m.Headers, m.Query = values(m.Headers), values(m.Query)
	return m, ok
}
