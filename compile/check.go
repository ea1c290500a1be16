package compile

import (
	"errors"

	"github.com/egret-gateway/egret/plan"
	expr "github.com/egret-gateway/egret/policy/rule"
)

// checker judges expressions as the engine will, each text once.
type checker struct {
	predicates map[string]error
	values     map[string]error
}

func newChecker() checker {
	return checker{map[string]error{}, map[string]error{}}
}

func (k checker) predicate(text string) error {
	err, known := k.predicates[text]
	if !known {
		_, err = expr.CompilePredicate(text)
		k.predicates[text] = err
	}
	return err
}

// chooses judges a predicate that is asked before there is an answer.
func (k checker) chooses(text string) error {
	if err := k.predicate(text); err != nil {
		return err
	}
	if p, err := expr.CompilePredicate(text); err == nil && p.NeedsResponseBody() {
		return errors.New("asks for the answer's body, of which there is none yet when a credential is chosen")
	}
	return nil
}

func (k checker) expression(text string) error {
	if text == "" {
		_, err := expr.Compile(text) // in a Value it would mean that there is none
		return err
	}
	return k.value(plan.Value{Expression: text})
}

func (k checker) value(v plan.Value) error {
	key := v.Expression + "\x00" + v.Selector
	if len(v.Static) > 0 {
		_, err := expr.NewValue(v)
		return err
	}
	err, known := k.values[key]
	if !known {
		_, err = expr.NewValue(v)
		k.values[key] = err
	}
	return err
}

func (k checker) patterns(ps []plan.Pattern) error {
	if len(ps) == 1 && ps[0].Predicate != "" {
		return k.predicate(ps[0].Predicate)
	}
	_, err := expr.NewPatterns(ps)
	return err
}
