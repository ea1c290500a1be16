package dialect

import (
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// unquote appends the decoded form of s, the inside of a JSON string that a scanner accepted, to dst. It gives up (false) on
// what readers disagree about: half a surrogate pair, a control character, bytes that are not UTF-8. Names and models
// have no use for those.
func unquote(dst, s []byte) ([]byte, bool) {
	for len(s) > 0 {
		r, n := utf8.DecodeRune(s)
		if r == '\\' {
			r, n = unescape(s)
		}
		if r == utf8.RuneError && n == 1 || unicode.IsControl(r) {
			return dst, false
		}
		dst = utf8.AppendRune(dst, r)
		s = s[n:]
	}
	return dst, true
}

// unescape decodes the escape sequence at the start of s. Half a surrogate pair is (RuneError, 1).
func unescape(s []byte) (r rune, n int) {
	switch s[1] {
	case 'b', 'f', 'n', 'r', 't':
		return '\n', 2 // all of them control characters: which one does not matter here
	case 'u':
		r, _ = hex4(s[2:])
		if !utf16.IsSurrogate(r) {
			return r, 6
		}
		if len(s) >= 12 && s[6] == '\\' && s[7] == 'u' {
			low, _ := hex4(s[8:])
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				return r, 12
			}
		}
		return utf8.RuneError, 1
	}
	return rune(s[1]), 2
}

// quote appends text to dst as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func quote(dst []byte, text string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}

// textSize adds up the text in the value that began with t, the last token of s: strings that stand alone, in arrays, or
// under a name that holds text. Numbers count for perNumber bytes where text would: a prompt may be given as token ids.
// The measure is for estimates, so roles, ids, links and inline images are left out.
func textSize(s *scanner, t token, perNumber int) (n int) {
	isText := true
	for outside := s.depth - opened(t); ; t = s.next() {
		switch t {
		case bad:
			return n
		case key:
			isText = holdsText(s.text())
		case str:
			if isText {
				n += s.size()
			}
		case number:
			if isText {
				n += perNumber
			}
		}
		if s.depth == outside {
			return n
		}
	}
}

// opened is 1 when t opens an array or object.
func opened(t token) int {
	if t == object || t == array {
		return 1
	}
	return 0
}

func holdsText(name []byte) bool {
	switch string(name) {
	case "content", "text", "input", "output", "prompt", "instructions", "system", "arguments",
		"reasoning_content", "reasoning", "refusal", "thinking", "partial_json":
		return true
	}
	return false
}
