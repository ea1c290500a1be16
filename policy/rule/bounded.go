package rule

import (
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// bounded puts replace and join of our own in the place of those of the
// strings extension. They are the only functions whose result can be as long
// as the product of their arguments, and the cost limit counts only afterwards.
func bounded() cel.EnvOption {
	str := cel.StringType
	options := []cel.EnvOption{
		cel.Macros(
			cel.ReceiverMacro("replace", 2, rename("@replace")),
			cel.ReceiverMacro("replace", 3, rename("@replace")),
			cel.ReceiverMacro("join", 0, rename("@join")),
			cel.ReceiverMacro("join", 1, rename("@join")),
		),
		cel.Function("@replace",
			cel.Overload("bounded_replace", []*cel.Type{str, str, str}, str, cel.FunctionBinding(replace)),
			cel.Overload("bounded_replace_n", []*cel.Type{str, str, str, cel.IntType}, str, cel.FunctionBinding(replace))),
		cel.Function("@join",
			cel.Overload("bounded_join", []*cel.Type{cel.ListType(str)}, str, cel.FunctionBinding(join)),
			cel.Overload("bounded_join_separator", []*cel.Type{cel.ListType(str), str}, str, cel.FunctionBinding(join))),
	}
	return func(e *cel.Env) (_ *cel.Env, err error) {
		for _, o := range options {
			if e, err = o(e); err != nil {
				return nil, err
			}
		}
		return e, nil
	}
}

// rename turns target.f(args) into name(target, args).
func rename(name string) cel.MacroFactory {
	return func(f cel.MacroExprFactory, target ast.Expr, args []ast.Expr) (ast.Expr, *cel.Error) {
		return f.NewCall(name, append([]ast.Expr{target}, args...)...), nil
	}
}

// replace replaces the first n occurrences, all without n or when it is negative.
func replace(args ...ref.Val) ref.Val {
	n := types.Int(-1)
	if len(args) == 4 {
		n = args[3].(types.Int)
	}
	s, ok := replaced(string(args[0].(types.String)), string(args[1].(types.String)), string(args[2].(types.String)), int(n))
	if !ok {
		return types.NewErr("replace would make more than %d bytes", maxString)
	}
	return types.String(s)
}

// replaced is strings.Replace, unless the result would be too long.
func replaced(s, old, with string, n int) (string, bool) {
	times := strings.Count(s, old)
	if n >= 0 {
		times = min(times, n)
	}
	if len(with) > len(old) && len(s)+times*(len(with)-len(old)) > maxString {
		return "", false
	}
	return strings.Replace(s, old, with, n), true
}

// join strings a list together.
func join(args ...ref.Val) ref.Val {
	separator := ""
	if len(args) == 2 {
		separator = string(args[1].(types.String))
	}
	var b strings.Builder
	for it, first := args[0].(traits.Lister).Iterator(), true; it.HasNext() == types.True; first = false {
		piece, ok := it.Next().(types.String)
		if !ok {
			return types.NewErr("join takes a list of strings")
		}
		if !first {
			b.WriteString(separator)
		}
		b.WriteString(string(piece))
		if b.Len() > maxString {
			return types.NewErr("join would make more than %d bytes", maxString)
		}
	}
	return types.String(b.String())
}
