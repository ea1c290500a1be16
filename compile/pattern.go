package compile

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// maxPattern bounds an expression's program, in instructions of Go's machine.
// Envoy 1.37 takes some 25 times as much, but what it does not take stops the
// routes of everybody on the port.
const maxPattern = 10_000

// pattern reads a regular expression and writes it as every plane reads it, so
// that it means the same on all of them; the error says why that cannot be.
// Go and the Envoys differ in what they know beyond ASCII: Envoy 1.37 matches
// characters and 1.40 bytes, and refuses to name others; neither knows all of
// Go's classes. Classes are therefore cut to the ASCII in them, or, as "[^/]",
// left to mean all the rest. What is not RE2 is refused alone and as it is made
// to match a whole value: an open \Q swallows whatever comes behind it.
func pattern(text string) (string, error) {
	for _, whole := range []string{text, "^(?:" + text + ")$"} {
		if _, err := regexp.Compile(whole); err != nil {
			return "", fmt.Errorf("regular expression %q is not valid RE2: %w", text, err)
		}
	}
	re, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return "", fmt.Errorf("regular expression %q is not valid RE2: %w", text, err)
	}
	beyond := fmt.Errorf("regular expression %q needs characters beyond ASCII, which the data planes do not read alike; in a path, match their escapes (%%C3%%BC)", text)
	if !ascii(re) {
		return "", beyond
	}
	if program, err := syntax.Compile(re.Simplify()); err != nil || len(program.Inst) > maxPattern {
		return "", fmt.Errorf("regular expression %q is too large for the data planes; use smaller repetitions or several matches", shortened(text))
	}
	if plain(text) {
		return text, nil
	}
	if text = re.String(); !plain(text) {
		return "", beyond
	}
	return text, nil
}

// shortened is what of a long text a person needs to find it again.
func shortened(text string) string {
	const most = 80
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
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
