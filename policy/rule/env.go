package rule

import (
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/ext"
)

// Names that no user can write: '@' is not part of an identifier. The macros
// requestBodyJSON and responseBodyJSON expand to pointerFunc over these.
const (
	requestBodyVar  = "@requestBody"
	responseBodyVar = "@responseBody"
	pointerFunc     = "@pointer"
)

// Bounds of an expression.
const (
	maxSource = 16 << 10 // bytes of source text
	maxNested = 250      // calls, lists and parentheses in each other; terms of one sum
	maxCost   = 100_000  // CEL cost units of one evaluation
	maxString = 1 << 20  // bytes that replace and join may make
)

// environment returns the one CEL environment. It is immutable once built, and
// building it takes milliseconds, so it is shared and made when first needed.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.ParserExpressionSizeLimit(maxSource),
		cel.ParserRecursionLimit(maxNested),
		ext.Strings(ext.StringsVersion(5)),
		ext.Lists(ext.ListsVersion(1)), // slice, flatten; the rest can be quadratic
		ext.Encoders(),
		cel.Macros(
			cel.GlobalMacro("requestBodyJSON", 1, bodyMacro(requestBodyVar)),
			cel.GlobalMacro("responseBodyJSON", 1, bodyMacro(responseBodyVar)),
		),
		bounded(),
		cel.Variable(requestBodyVar, bodyType),
		cel.Variable(responseBodyVar, bodyType),
		cel.Function(pointerFunc, cel.Overload("body_pointer_string",
			[]*cel.Type{bodyType, cel.StringType}, cel.DynType,
			cel.BinaryBinding(func(b, p ref.Val) ref.Val { return b.(*body).at(string(p.(types.String))) }))),
	}
	for _, v := range variables {
		options = append(options, cel.Variable(v.name, v.typ))
	}
	for name := range roots {
		options = append(options, cel.Variable(name, treeType))
	}
	return cel.NewEnv(options...)
})

// bodyMacro replaces a call of one argument by a lookup in the named body, so
// that the function can see the request it belongs to.
func bodyMacro(name string) cel.MacroFactory {
	return func(f cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *cel.Error) {
		return f.NewCall(pointerFunc, f.NewIdent(name), args[0]), nil
	}
}
