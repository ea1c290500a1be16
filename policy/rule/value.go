package rule

import (
	"encoding/json"

	"github.com/egret-gateway/egret/plan"
)

// Value is a compiled plan.Value. It is immutable and safe for concurrent use.
type Value struct {
	static   any
	selector *selector
	template *template
	program  *Program
}

// NewValue compiles a value: static JSON, a CEL expression, a gjson selector,
// or, when the selector holds {placeholders}, a template. The error is an
// *Error. The zero plan.Value gives nil.
func NewValue(v plan.Value) (*Value, error) {
	switch {
	case v.Expression != "":
		p, err := Compile(v.Expression)
		if err != nil {
			return nil, err
		}
		return &Value{program: p}, nil
	case v.Selector != "":
		return newSelected(v.Selector)
	case len(v.Static) > 0:
		if !json.Valid(v.Static) {
			return nil, &Error{Expr: string(v.Static), Why: "is not JSON"}
		}
		return &Value{static: decode(v.Static)}, nil
	}
	return &Value{}, nil
}

// Eval returns the value in plain Go. A selector that finds nothing gives nil;
// an expression that meets a missing field gives an error.
func (v *Value) Eval(in *Input) (any, error) {
	switch {
	case v.program != nil:
		return v.program.Eval(in)
	case v.template != nil:
		return v.template.fill(in)
	case v.selector != nil:
		return v.selector.eval(in)
	}
	return v.static, nil
}

// Text returns the value as it becomes a header or a counter key.
func (v *Value) Text(in *Input) (string, error) {
	got, err := v.Eval(in)
	if err != nil {
		return "", err
	}
	return Text(got), nil
}

// NeedsRequestBody reports whether the value calls requestBodyJSON.
func (v *Value) NeedsRequestBody() bool { return v.program != nil && v.program.NeedsRequestBody() }

// NeedsResponseBody reports whether the value calls responseBodyJSON.
func (v *Value) NeedsResponseBody() bool { return v.program != nil && v.program.NeedsResponseBody() }
