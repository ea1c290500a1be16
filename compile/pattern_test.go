package compile

import (
	"strings"
	"testing"
)

// TestPattern: an expression is written as both planes read it, or the user is
// told why that cannot be.
func TestPattern(t *testing.T) {
	f := func(in, want, why string) {
		t.Helper()
		got, err := pattern(in)
		switch {
		case why == "" && (err != nil || got != want):
			t.Errorf("%s became %q, error %v, want %q", in, got, err, want)
		case why != "" && (err == nil || !strings.Contains(err.Error(), why)):
			t.Errorf("%s: %q, error %v, want one that says %q", in, got, err, why)
		}
	}
	f(`/v[0-9]+/(chat|audio)/.*`, `/v[0-9]+/(chat|audio)/.*`, "")
	f(`/(?i:a)[^/]{3}`, `/(?i:a)[^/]{3}`, "")
	f(`/\pL+`, `/[A-Za-z]+`, "")
	f(`/\p{LC}\PL`, "/[A-Za-z][\\x00-@\\[-`\\{-\\x7f]", "")
	f(`/\x{41}`, `/A`, "")
	f(`/[é-ÿa]`, `/[a]`, "")
	f(`/\p{Han}`, "", "beyond ASCII")
	f(`/ü`, "", "%C3%BC")
	f(`/[^\x00-\x{10FFFF}]`, "", "beyond ASCII")
	f(`/`+strings.Repeat(`.{1000}`, 11), "", "too large")
	f(`/`+strings.Repeat(`(?:.|a{30})`, 400), "", "too large")
	f(`\Qa`, "", "not valid RE2")
	f(`*`, "", "not valid RE2")
}
