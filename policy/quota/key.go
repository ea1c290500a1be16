package quota

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"
)

// longest is how many bytes of a part stay readable in a key.
const longest = 256

// escape keeps a separator inside of a part apart from one between parts.
var escape = strings.NewReplacer(`\`, `\\`, `|`, `\|`)

// Key joins parts (limit ID, route, rate, counter values) to the key of a
// bucket. Different parts never give the same key, whatever bytes they hold:
// each is closed by "|", and "|" and "\" inside are escaped. A part of more
// than 256 bytes stands there as its SHA-256, marked by "\h", which escaping
// never makes.
func Key(parts ...string) string {
	n := 0
	for _, p := range parts {
		n += min(len(p), longest) + 1
	}
	var b strings.Builder
	b.Grow(n)
	for _, p := range parts {
		switch {
		case len(p) > longest:
			sum := sha256.Sum256([]byte(p))
			b.WriteString(`\h`)
			b.WriteString(hex.EncodeToString(sum[:]))
		case strings.ContainsAny(p, `\|`):
			b.WriteString(escape.Replace(p))
		default:
			b.WriteString(p)
		}
		b.WriteByte('|')
	}
	return b.String()
}

// LimitID names a limit as Kuadrant does:
// "<prefix>.<name>__<8 hex digits of the SHA-256 of namespace/policy/name>",
// where everything in the name but letters, digits and "_" becomes "_". The
// prefix is "limit" for RateLimitPolicies and "tokenlimit" for
// TokenRateLimitPolicies.
func LimitID(prefix, namespace, policy, name string) string {
	sum := sha256.Sum256([]byte(namespace + "/" + policy + "/" + name))
	clean := strings.Map(func(r rune) rune {
		if r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return '_'
	}, name)
	return prefix + "." + clean + "__" + hex.EncodeToString(sum[:4])
}
