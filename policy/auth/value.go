package auth

import (
	"errors"
	"fmt"
	"strings"

	"github.com/egret-gateway/egret/policy/rule"
)

// with sets a key of a map that may not exist yet.
func with(m map[string]any, key string, v any) map[string]any {
	if m == nil {
		m = make(map[string]any, 4)
	}
	m[key] = v
	return m
}

// sizeOf is about how many bytes a result takes in memory: the JSON's length
// and what maps and strings cost beside it.
func sizeOf(v any) int { return 4*len(rule.Text(v)) + 64 }

// small is the size of a verdict.
func small(any) int { return 256 }

// pathOf is the request's path without its query, as a non-resource URL.
func pathOf(in *rule.Input) string {
	path, _, _ := strings.Cut(in.Request.Path, "?")
	return path
}

// verbOf is the request's method as an access review knows it.
func verbOf(in *rule.Input) string { return strings.ToLower(in.Request.Method) }

// computedGroups are the groups that the policy takes from the identity.
func (a *access) computedGroups(in *rule.Input) ([]string, error) {
	v, err := a.authorizationGroups.Eval(in)
	if err != nil {
		return nil, fmt.Errorf("authorizationGroups: %w", err)
	}
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		return []string{v}, nil
	case []any:
		groups := make([]string, 0, len(v))
		for _, g := range v {
			s, ok := g.(string)
			if !ok {
				return nil, errors.New("authorizationGroups: a group is not a string")
			}
			groups = append(groups, s)
		}
		return groups, nil
	}
	return nil, errors.New("authorizationGroups: not a list of strings")
}
