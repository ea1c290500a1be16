package compile

import (
	"cmp"
	"fmt"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/plan"
)

// everything is the match of a rule that has none.
var everything = plan.Match{Path: plan.PathMatch{Kind: plan.PathPrefix, Value: "/"}}

// match translates one HTTPRouteMatch.
func match(m *gwv1.HTTPRouteMatch) (plan.Match, error) {
	out := everything
	if m.Path != nil {
		var err error
		if out.Path, err = pathMatch(m.Path); err != nil {
			return out, err
		}
	}
	if m.Method != nil {
		out.Method = string(*m.Method)
	}
	for _, h := range m.Headers {
		if plan.Trusted(string(h.Name)) {
			// Nobody's request has it when the native plane matches; Envoy
			// chooses a route before the engine has dropped what clients wrote.
			return out, fmt.Errorf("header %s: names that begin with X-MaaS- are the gateway's own, and are dropped from requests before they are matched", h.Name)
		}
		v, err := valueMatch(h.Type, h.Value)
		if err != nil {
			return out, fmt.Errorf("header %s: %w", h.Name, err)
		}
		v.Name = strings.ToLower(string(h.Name))
		out.Headers = appendFirst(out.Headers, v)
	}
	for _, q := range m.QueryParams {
		v, err := valueMatch(q.Type, q.Value)
		if err != nil {
			return out, fmt.Errorf("query parameter %s: %w", q.Name, err)
		}
		v.Name = string(q.Name)
		out.Query = appendFirst(out.Query, v)
	}
	return out, nil
}

func pathMatch(p *gwv1.HTTPPathMatch) (plan.PathMatch, error) {
	value := deref(p.Value, "/")
	switch kind := deref(p.Type, gwv1.PathMatchPathPrefix); kind {
	case gwv1.PathMatchRegularExpression:
		value, err := pattern(value)
		return plan.PathMatch{Kind: plan.PathRegex, Value: value}, err
	case gwv1.PathMatchExact, gwv1.PathMatchPathPrefix:
		if !strings.HasPrefix(value, "/") {
			return plan.PathMatch{}, fmt.Errorf("path %q does not start with /", value)
		}
		if kind == gwv1.PathMatchExact {
			return plan.PathMatch{Kind: plan.PathExact, Value: value}, nil
		}
		return plan.PathMatch{Kind: plan.PathPrefix, Value: "/" + strings.Trim(value, "/")}, nil
	default:
		return plan.PathMatch{}, fmt.Errorf("path match type %q is not supported; use Exact, PathPrefix or RegularExpression", kind)
	}
}

// valueMatch translates how a header or a query parameter is compared.
func valueMatch[T ~string](t *T, value string) (v plan.ValueMatch, err error) {
	switch kind := deref(t, "Exact"); kind {
	case "Exact":
		v.Value = value
	case "RegularExpression":
		v.Regex = true
		v.Value, err = pattern(value)
	default:
		err = fmt.Errorf("match type %q is not supported; use Exact or RegularExpression", kind)
	}
	return v, err
}

// appendFirst adds v unless its name is there already: of several entries for
// one name only the first counts (Gateway API, HTTPRouteMatch).
func appendFirst(list []plan.ValueMatch, v plan.ValueMatch) []plan.ValueMatch {
	for _, have := range list {
		if have.Name == v.Name {
			return list
		}
	}
	return append(list, v)
}

// byPrecedence orders matches as Gateway API has it for HTTPRouteRules: exact
// paths, then the longest prefix, a method, more headers, more query
// parameters. What it leaves open is where regular expressions go: they come
// between exact paths and prefixes, longest text first, since behind the
// prefixes a catch-all would hide them all.
func byPrecedence(a, b *plan.Match) int {
	return cmp.Or(
		pathRank(a.Path.Kind)-pathRank(b.Path.Kind),
		len(b.Path.Value)-len(a.Path.Value),
		methodRank(a)-methodRank(b),
		len(b.Headers)-len(a.Headers),
		len(b.Query)-len(a.Query),
	)
}

func pathRank(k plan.PathKind) int {
	switch k {
	case plan.PathExact:
		return 0
	case plan.PathRegex:
		return 1
	}
	return 2
}

func methodRank(m *plan.Match) int {
	if m.Method != "" {
		return 0
	}
	return 1
}
