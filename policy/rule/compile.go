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

// empty is what is wrong with no text at all.
const empty = "is empty"

// Error implements error.
func (e *Error) Error() string {
	if e.Expr == "" && e.Why != empty {
		return e.Why
	}
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
		return nil, nil, &Error{Expr: expr, Why: empty}
	}
	env, err := environment()
	if err != nil {
		return nil, nil, &Error{Expr: expr, Why: err.Error()}
	}
	checked, issues := env.Compile(expr)
	if err := complaint(expr, issues); err != nil {
		return nil, nil, err
	}
	seen := survey(checked.NativeRep())
	if seen.wrong != nil {
		seen.wrong.Expr = expr
		return nil, nil, seen.wrong
	}
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if seen.loops {
		options = append(options, cel.CostLimit(maxCost))
	}
	program, err := env.Program(checked, options...)
	if err != nil {
		return nil, nil, &Error{Expr: expr, Why: err.Error()}
	}
	return &Program{source: expr, program: program, request: seen.request, response: seen.response}, checked.OutputType(), nil
}

// sight is what an expression contains.
type sight struct {
	request, response bool // a body
	// loops: it has a comprehension. Everything else does each operation in
	// the text once, so that its cost is bounded by the length of the text,
	// and counting it would cost more than it does.
	loops bool
	wrong *Error // a field that the trees do not have
}

// survey walks a checked expression.
func survey(tree *ast.AST) sight {
	var s sight
	local := make(map[string]bool)
	ast.PostOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.ComprehensionKind {
			s.loops = true
			local[e.AsComprehension().IterVar()] = true
			local[e.AsComprehension().IterVar2()] = true
		}
		if e.Kind() == ast.IdentKind {
			s.request = s.request || e.AsIdent() == requestBodyVar
			s.response = s.response || e.AsIdent() == responseBodyVar
		}
	}))
	ast.PreOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if s.wrong != nil || e.Kind() != ast.SelectKind || e.AsSelect().IsTestOnly() {
			return
		}
		// A field that exists has become a name of its own: request.path.
		of := e.AsSelect().Operand()
		if of.Kind() == ast.IdentKind && roots[of.AsIdent()] != nil && of.AsIdent() != "context" && !local[of.AsIdent()] {
			at := tree.SourceInfo().GetStartLocation(e.ID())
			s.wrong = &Error{Line: at.Line(), Column: at.Column() + 1, Why: fmt.Sprintf("%s has no field %q; it has %s",
				of.AsIdent(), e.AsSelect().FieldName(), strings.Join(fields(of.AsIdent()), ", "))}
		}
	}))
	return s
}

// fields lists what a tree has.
func fields(root string) (names []string) {
	for _, v := range variables {
		if field, ok := strings.CutPrefix(v.name, root+"."); ok {
			names = append(names, field)
		}
	}
	return names
}

// inner are names that expressions expand to, not what users wrote.
var inner = strings.NewReplacer("'@pointer'", "'requestBodyJSON' or 'responseBodyJSON'", "'@", "'", "(body, ", "(", " (in container '')", "")

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
	if strings.Contains(first.Message, "recursion") {
		return &Error{Expr: expr, Why: fmt.Sprintf("is nested more than %d deep", maxNested)}
	}
	why, _, _ := strings.Cut(first.Message, " expecting ") // the grammar's tokens, which help nobody
	return &Error{Expr: expr, Line: first.Location.Line(), Column: first.Location.Column() + 1, Why: inner.Replace(why)}
}
