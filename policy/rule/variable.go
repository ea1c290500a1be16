package rule

import (
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/interpreter"
)

// variable is a name that expressions may use. Dotted names are variables of
// their own: the checker takes the longest that fits, so "request.path" is
// looked up at once and no map of the request is built for it.
type variable struct {
	name string
	typ  *cel.Type
	get  func(*Input) any
}

// headersType is that of request.headers: lower-case name to value.
var headersType = cel.MapType(cel.StringType, cel.StringType)

// treeType is that of objects with fields of any type.
var treeType = cel.MapType(cel.StringType, cel.DynType)

// variables are all names, Kuadrant's well-known attributes first.
var variables = []variable{
	{"request.method", cel.StringType, func(in *Input) any { return types.String(in.Request.Method) }},
	{"request.host", cel.StringType, func(in *Input) any { return types.String(in.Request.Host) }},
	{"request.scheme", cel.StringType, func(in *Input) any { return types.String(in.Request.Scheme) }},
	{"request.protocol", cel.StringType, func(in *Input) any { return types.String(in.Request.Protocol) }},
	{"request.id", cel.StringType, func(in *Input) any { return types.String(in.Request.ID) }},
	{"request.time", cel.TimestampType, func(in *Input) any { return types.Timestamp{Time: in.Request.Time} }},
	{"request.size", cel.IntType, func(in *Input) any { return types.Int(in.Request.Size) }},
	{"request.path", cel.StringType, func(in *Input) any { return types.String(in.Request.Path) }},
	{"request.url_path", cel.StringType, func(in *Input) any { return types.String(in.Request.path()) }},
	{"request.query", cel.StringType, func(in *Input) any { return types.String(in.Request.query()) }},
	{"request.referer", cel.StringType, func(in *Input) any { return types.String(in.Request.header("referer")) }},
	{"request.user_agent", cel.StringType, func(in *Input) any { return types.String(in.Request.header("user-agent")) }},
	{"request.useragent", cel.StringType, func(in *Input) any { return types.String(in.Request.header("user-agent")) }},
	{"request.headers", headersType, func(in *Input) any { return (*headers)(in) }},
	{"source.address", cel.StringType, func(in *Input) any { return types.String(in.address()) }},
	{"source.remote_address", cel.StringType, func(in *Input) any { return types.String(in.remote()) }},
	{"source.port", cel.IntType, func(in *Input) any { return types.Int(in.Source.Port()) }},
	{"auth.identity", cel.DynType, func(in *Input) any { return in.Identity }},
	{"auth.metadata", treeType, func(in *Input) any { return in.Metadata }},
	{"auth.authorization", treeType, func(in *Input) any { return in.Authorization }},
	{"auth.response", treeType, func(in *Input) any { return in.Response }},
	{"context.request.http.headers", headersType, func(in *Input) any { return (*headers)(in) }},
	{"context.request.http", treeType, func(in *Input) any { return in.http() }},

	{requestBodyVar, bodyType, func(in *Input) any { return in.memo.request.of("request", in.RequestBody) }},
	{responseBodyVar, bodyType, func(in *Input) any { return in.memo.response.of("response", in.ResponseBody) }},
}

// roots are the trees as a whole, for has(request.x), request["x"] and the
// like; everything below is collected for them.
var roots = map[string]func(*Input) any{
	"request": func(in *Input) any { return in.tree("request.") },
	"source":  func(in *Input) any { return in.tree("source.") },
	"auth":    func(in *Input) any { return in.tree("auth.") },
	"context": func(in *Input) any {
		return map[string]any{"request": map[string]any{"http": in.http()}}
	},
}

// activation is an Input as CEL asks it for variables.
type activation Input

// getters indexes variables by name.
var getters = func() map[string]func(*Input) any {
	m := make(map[string]func(*Input) any, len(variables))
	for _, v := range variables {
		m[v.name] = v.get
	}
	return m
}()

// ResolveName implements interpreter.Activation.
func (a *activation) ResolveName(name string) (any, bool) {
	if get := getters[name]; get != nil {
		return get((*Input)(a)), true
	}
	if get := roots[name]; get != nil {
		return get((*Input)(a)), true
	}
	return nil, false
}

// Parent implements interpreter.Activation.
func (a *activation) Parent() interpreter.Activation { return nil }

// tree collects the variables below a prefix.
func (in *Input) tree(prefix string) map[string]any {
	m := make(map[string]any)
	for _, v := range variables {
		if field, ok := strings.CutPrefix(v.name, prefix); ok {
			m[field] = v.get(in)
		}
	}
	return m
}

// http returns the legacy Envoy attribute tree context.request.http.
func (in *Input) http() map[string]any {
	r := &in.Request
	return map[string]any{
		"id": r.ID, "method": r.Method, "scheme": r.Scheme, "host": r.Host, "path": r.Path,
		"protocol": r.Protocol, "size": r.Size, "query": r.query(), "headers": (*headers)(in),
	}
}

// address returns the trusted client address with its port, "" when unknown.
func (in *Input) address() string {
	if !in.Source.IsValid() {
		return ""
	}
	return in.Source.String()
}

// remote returns the trusted client address without port, "" when unknown.
func (in *Input) remote() string {
	if !in.Source.Addr().IsValid() {
		return ""
	}
	return in.Source.Addr().Unmap().WithZone("").String()
}
