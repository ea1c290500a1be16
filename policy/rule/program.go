package rule

import (
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
)

// Program is a compiled CEL expression. It is immutable and safe for
// concurrent use.
type Program struct {
	source   string
	program  cel.Program
	request  bool // mentions requestBodyJSON
	response bool // mentions responseBodyJSON
}

// String returns the source text.
func (p *Program) String() string { return p.source }

// NeedsRequestBody reports whether the expression calls requestBodyJSON.
func (p *Program) NeedsRequestBody() bool { return p.request }

// NeedsResponseBody reports whether the expression calls responseBodyJSON.
func (p *Program) NeedsResponseBody() bool { return p.response }

// Eval returns the expression's value in plain Go: nil, string, int64,
// float64, bool, []any or map[string]any. Timestamps and durations become
// strings, bytes become base64, as in JSON. A missing field is an error.
func (p *Program) Eval(in *Input) (any, error) {
	out, _, err := p.program.Eval((*activation)(in))
	if err != nil {
		return nil, fmt.Errorf("expression %q: %w", brief(p.source), err)
	}
	v, err := plain(out)
	if err != nil {
		return nil, fmt.Errorf("expression %q: %w", brief(p.source), err)
	}
	return v, nil
}

// True reports whether the expression holds. A value that is not a bool, a
// missing field and every other failure are false with an error.
func (p *Program) True(in *Input) (bool, error) {
	out, _, err := p.program.Eval((*activation)(in))
	if err != nil {
		return false, fmt.Errorf("predicate %q: %w", brief(p.source), err)
	}
	b, ok := out.Value().(bool)
	if !ok {
		return false, fmt.Errorf("predicate %q: gives %s, not a bool", brief(p.source), out.Type().TypeName())
	}
	return b, nil
}

// brief shortens a source text for a message.
func brief(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
