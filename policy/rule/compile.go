package rule

import (
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
)

// Error says what is wrong with an expression, selector or pattern, in words
// that fit into a policy's condition.
type Error struct {
	Expr   string // as written
	Line   int    // from 1; 0 = the whole
	Column int    // from 1
	Why    string
}

// Error implements error.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%q: %s", brief(e.Expr), e.Why)
	}
	if e.Line == 1 {
		return fmt.Sprintf("%q: column %d: %s", brief(e.Expr), e.Column, e.Why)
	}
	return fmt.Sprintf("%q: line %d, column %d: %s", brief(e.Expr), e.Line, e.Column, e.Why)
}

// Compile compiles an expression of any result. The error is an *Error.
func Compile(expr string) (*Program, error) {
	p, _, err := compile(expr)
	return p, err
}

// CompilePredicate compiles an expression that gives a bool, or whose type is
// known only once it runs. The error is an *Error.
func CompilePredicate(expr string) (*Program, error) {
	p, out, err := compile(expr)
	if err != nil {
		return nil, err
	}
	if !out.IsExactType(cel.BoolType) && !out.IsExactType(cel.DynType) {
		return nil, &Error{Expr: expr, Why: fmt.Sprintf("a predicate must give a bool, this gives %s", cel.FormatCELType(out))}
	}
	return p, nil
}

// compile parses, checks and plans an expression and tells its type.
func compile(expr string) (*Program, *cel.Type, error) {
	if len(expr) > maxSource {
		return nil, nil, &Error{Expr: expr, Why: fmt.Sprintf("is longer than %d bytes", maxSource)}
	}
	if strings.TrimSpace(expr) == "" {
		return nil, nil, &Error{Expr: expr, Why: "is empty"}
	}
	env, err := environment()
	if err != nil {
		return nil, nil, &Error{Expr: expr, Why: err.Error()}
	}
	checked, issues := env.Compile(expr)
	if err := complaint(expr, issues); err != nil {
		return nil, nil, err
	}
	program, err := env.Program(checked, cel.CostLimit(maxCost))
	if err != nil {
		return nil, nil, &Error{Expr: expr, Why: err.Error()}
	}
	p := &Program{source: expr, program: program}
	ast.PreOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.IdentKind {
			p.request = p.request || e.AsIdent() == requestBodyVar
			p.response = p.response || e.AsIdent() == responseBodyVar
		}
	}))
	return p, checked.OutputType(), nil
}

// complaint is the first of the compiler's findings.
func complaint(expr string, issues *cel.Issues) error {
	if issues.Err() == nil {
		return nil
	}
	found := issues.Errors()
	if len(found) == 0 {
		return &Error{Expr: expr, Why: issues.Err().Error()}
	}
	first := found[0]
	return &Error{Expr: expr, Line: first.Location.Line(), Column: first.Location.Column() + 1, Why: first.Message}
}
