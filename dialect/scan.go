package dialect

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// maxDepth bounds the nesting of arrays and objects. Common readers stop between 128 and 10,000 levels; no real call
// comes near the smallest.
const maxDepth = 1000

// token is one step of a scanner through a JSON text.
type token byte

const (
	bad    token = iota // not JSON, or too deep; every later step is bad too
	end                 // the text is complete
	object              // {
	array               // [
	closed              // } or ]
	key                 // a member's name, its colon included
	str
	number
	boolean
	null
)

// want is what the grammar allows next.
type want byte

const (
	wantValue want = iota
	wantValueOrClose
	wantKey
	wantKeyOrClose
	wantComma // or the end of the array or object
	wantEnd
)

// scanner walks a JSON text (RFC 8259) token by token without recursion and without allocating. It is strict: no trailing
// commas, no control characters in strings, no leading zeros, nothing after the value.
type scanner struct {
	b        []byte
	at       int // the next byte to look at
	from, to int // the bytes of the last token: a string with its quotes, a key without its colon
	escapes  int // bytes by which the last string is shorter once its escapes are decoded; 0: it has none
	depth    int
	want     want
	deep     bool                    // bad because of maxDepth
	arrays   [maxDepth/64 + 1]uint64 // one bit per level: it is an array
}

// next steps to the next token.
func (s *scanner) next() token {
	for s.at < len(s.b) {
		c := s.b[s.at]
		if c == ' ' || c == '\n' || c == '\r' || c == '\t' {
			s.at++
			continue
		}
		s.from = s.at
		switch s.want {
		case wantComma:
			if c != ',' {
				return s.close(c)
			}
			s.at++
			s.want = wantKey
			if s.inArray() {
				s.want = wantValue
			}
			continue
		case wantKey, wantKeyOrClose:
			if c == '}' && s.want == wantKeyOrClose {
				return s.close(c)
			}
			return s.key(c)
		case wantValue, wantValueOrClose:
			if c == ']' && s.want == wantValueOrClose {
				return s.close(c)
			}
			return s.value(c)
		}
		return s.fail()
	}
	if s.want == wantEnd {
		return end
	}
	return s.fail()
}

// raw returns the bytes of the last token.
func (s *scanner) raw() []byte { return s.b[s.from:s.to] }

// text returns the bytes between the quotes of the last string or key, escapes as they stand.
func (s *scanner) text() []byte { return s.b[s.from+1 : s.to-1] }

// size returns the length of the last string in bytes of UTF-8, once decoded.
func (s *scanner) size() int { return s.to - s.from - 2 - s.escapes }

// skip passes over the value that began with t, which is the last token.
func (s *scanner) skip(t token) {
	if t != object && t != array {
		return
	}
	for outside := s.depth - 1; s.depth > outside; {
		if s.next() == bad {
			return
		}
	}
}

func (s *scanner) fail() token {
	s.at = len(s.b)
	s.want = wantValue // at the end of the text that can only be bad
	s.depth = 0
	return bad
}

func (s *scanner) inArray() bool { return s.arrays[s.depth>>6]>>(s.depth&63)&1 == 1 }

// ended sets what may follow a complete value.
func (s *scanner) ended(t token) token {
	s.to = s.at
	s.want = wantComma
	if s.depth == 0 {
		s.want = wantEnd
	}
	return t
}

func (s *scanner) open(t token) token {
	if s.depth == maxDepth {
		s.deep = true
		return s.fail()
	}
	s.at++
	s.to = s.at
	s.depth++
	if t == array {
		s.arrays[s.depth>>6] |= 1 << (s.depth & 63)
		s.want = wantValueOrClose
	} else {
		s.arrays[s.depth>>6] &^= 1 << (s.depth & 63)
		s.want = wantKeyOrClose
	}
	return t
}

func (s *scanner) close(c byte) token {
	if s.inArray() && c != ']' || !s.inArray() && c != '}' {
		return s.fail()
	}
	s.at++
	s.depth--
	return s.ended(closed)
}

func (s *scanner) key(c byte) token {
	if c != '"' || !s.string() {
		return s.fail()
	}
	s.to = s.at
	for s.at < len(s.b) {
		switch s.b[s.at] {
		case ' ', '\n', '\r', '\t':
			s.at++
			continue
		case ':':
			s.at++
			s.want = wantValue
			return key
		}
		break
	}
	return s.fail()
}

func (s *scanner) value(c byte) token {
	switch {
	case c == '"':
		if s.string() {
			return s.ended(str)
		}
	case c == '{':
		return s.open(object)
	case c == '[':
		return s.open(array)
	case c == '-' || '0' <= c && c <= '9':
		if s.number() {
			return s.ended(number)
		}
	case c == 't' && s.literal("true"), c == 'f' && s.literal("false"):
		return s.ended(boolean)
	case c == 'n' && s.literal("null"):
		return s.ended(null)
	}
	return s.fail()
}

func (s *scanner) literal(word string) bool {
	if len(s.b)-s.at < len(word) || string(s.b[s.at:s.at+len(word)]) != word {
		return false
	}
	s.at += len(word)
	return true
}

func (s *scanner) digits() bool {
	from := s.at
	for s.at < len(s.b) && '0' <= s.b[s.at] && s.b[s.at] <= '9' {
		s.at++
	}
	return s.at > from
}

// is steps over the next byte if it is a or b.
func (s *scanner) is(a, b byte) bool {
	if s.at < len(s.b) && (s.b[s.at] == a || s.b[s.at] == b) {
		s.at++
		return true
	}
	return false
}

func (s *scanner) number() bool {
	s.is('-', '-')
	if !s.is('0', '0') && !s.digits() {
		return false
	}
	if s.is('.', '.') && !s.digits() {
		return false
	}
	if s.is('e', 'E') {
		s.is('+', '-')
		return s.digits()
	}
	return true
}

// string steps over the string that begins at s.at, eight bytes in one go where there are that many.
func (s *scanner) string() bool {
	s.escapes = 0
	b, i := s.b, s.at+1
	for {
		i += special(b[i:])
		switch {
		case i >= len(b) || b[i] < ' ':
			return false
		case b[i] == '"':
			s.at = i + 1
			return true
		}
		n, size := escape(b[i:])
		if n == 0 {
			return false
		}
		i += n
		s.escapes += n - size
	}
}

// special returns the place of the first byte of b that is below 0x20, a quote or a backslash; len(b) when there is none. In a
// word of eight bytes each of those gets its highest bit set; the arithmetic may carry into bytes above it, never below.
func special(b []byte) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, slash := w^ones*'"', w^ones*'\\'
		marks := ((w-ones*' ')&^w | (quote-ones)&^quote | (slash-ones)&^slash) & highs
		if marks != 0 {
			return i + bits.TrailingZeros64(marks)/8
		}
	}
	for ; i < len(b) && b[i] >= ' ' && b[i] != '"' && b[i] != '\\'; i++ {
	}
	return i
}

// escape measures the escape sequence at the start of b: its length, 0 when it is none, and that of what it stands for.
// Half of a surrogate pair counts for two of the four bytes.
func escape(b []byte) (n, size int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, 1
	case 'u':
		r, ok := hex4(b[2:])
		switch {
		case !ok:
			return 0, 0
		case 0xd800 <= r && r < 0xe000:
			return 6, 2
		}
		return 6, utf8.RuneLen(r)
	}
	return 0, 0
}

func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
