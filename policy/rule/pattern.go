package rule

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/egret-gateway/egret/plan"
)

// Patterns are conditions that must all hold. They are immutable and safe for
// concurrent use.
type Patterns struct {
	hold  condition
	needs []*Program // the predicates, at any depth
}

// condition is one compiled pattern.
type condition func(*Input) (bool, error)

// maxDepth bounds all and any inside of each other.
const maxDepth = 16

// NewPatterns compiles patterns. The error is an *Error.
func NewPatterns(list []plan.Pattern) (*Patterns, error) {
	p := &Patterns{}
	cs, err := p.compile(list, 0)
	if err != nil {
		return nil, err
	}
	p.hold = all(cs)
	return p, nil
}

// Hold reports whether all patterns hold; no patterns at all hold. An error
// comes with false. What cannot be evaluated inside of an any does not matter
// when another alternative holds.
func (p *Patterns) Hold(in *Input) (bool, error) { return p.hold(in) }

// NeedsRequestBody reports whether a predicate calls requestBodyJSON.
func (p *Patterns) NeedsRequestBody() bool {
	return slices.ContainsFunc(p.needs, (*Program).NeedsRequestBody)
}

// compile compiles a list at a depth of nesting.
func (p *Patterns) compile(list []plan.Pattern, depth int) ([]condition, error) {
	if depth > maxDepth {
		return nil, &Error{Expr: "all/any", Why: fmt.Sprintf("patterns are nested more than %d deep", maxDepth)}
	}
	out := make([]condition, 0, len(list))
	for _, pattern := range list {
		c, err := p.one(pattern, depth)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// one compiles a single pattern.
func (p *Patterns) one(pattern plan.Pattern, depth int) (condition, error) {
	switch {
	case pattern.Predicate != "":
		program, err := CompilePredicate(pattern.Predicate)
		if err != nil {
			return nil, err
		}
		p.needs = append(p.needs, program)
		return program.True, nil
	case pattern.Selector != "" || pattern.Operator != "":
		return compare(pattern)
	case pattern.All != nil:
		cs, err := p.compile(pattern.All, depth+1)
		return all(cs), err
	case pattern.Any != nil:
		cs, err := p.compile(pattern.Any, depth+1)
		return anyOf(cs), err
	}
	return nil, &Error{Why: "a pattern needs a predicate, a selector, all or any"}
}

// compare compiles selector, operator and value.
func compare(p plan.Pattern) (condition, error) {
	s, err := newSelector(p.Selector)
	if err != nil {
		return nil, err
	}
	text := func(ok func(string) bool) condition {
		return func(in *Input) (bool, error) {
			v, err := s.eval(in)
			return err == nil && ok(Text(v)), err
		}
	}
	switch p.Operator {
	case "eq":
		return text(func(got string) bool { return got == p.Value }), nil
	case "neq":
		return text(func(got string) bool { return got != p.Value }), nil
	case "incl", "excl":
		wanted := p.Operator == "incl"
		return func(in *Input) (bool, error) {
			v, err := s.eval(in)
			return err == nil && includes(v, p.Value) == wanted, err
		}, nil
	case "matches":
		re, err := regexp.Compile(p.Value)
		if err != nil {
			return nil, &Error{Expr: p.Value, Why: err.Error()}
		}
		return text(re.MatchString), nil
	}
	return nil, &Error{Expr: p.Selector, Why: fmt.Sprintf("operator %q is not one of eq, neq, incl, excl, matches", p.Operator)}
}

// includes reports whether a list has an element of that text. What is not a
// list is one of a single element, as in gjson.
func includes(v any, value string) bool {
	switch v := v.(type) {
	case nil:
		return false
	case []any:
		return slices.ContainsFunc(v, func(e any) bool { return Text(e) == value })
	case []string:
		return slices.Contains(v, value)
	}
	return Text(v) == value
}

// all holds when every condition does.
func all(cs []condition) condition {
	return func(in *Input) (bool, error) {
		for _, c := range cs {
			if ok, err := c(in); !ok || err != nil {
				return false, err
			}
		}
		return true, nil
	}
}

// anyOf holds when one condition does.
func anyOf(cs []condition) condition {
	return func(in *Input) (bool, error) {
		var failed []error
		for _, c := range cs {
			ok, err := c(in)
			if ok && err == nil {
				return true, nil
			}
			failed = append(failed, err)
		}
		return false, errors.Join(failed...)
	}
}
