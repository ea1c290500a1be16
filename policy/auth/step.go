package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/ident/cache"
	"github.com/egret-gateway/egret/policy/rule"
)

// step is what the rules of all phases share.
type step struct {
	phase string
	name  string
	id    string // policy, phase, name and content: the name of its results in the cache
	when  *rule.Patterns
	key   *rule.Value // nil = not cached
	ttl   time.Duration
}

// defaultTTL is how long a step's results live when its cache names no ttl.
const defaultTTL = 60 * time.Second

// newStep compiles s; content is the whole rule, so that a changed rule does
// not find what the old one left behind.
func newStep(p *Pipeline, phase string, s *plan.Step, content any) (step, error) {
	out := step{phase: phase, name: s.Name, id: p.source + "\x00" + phase + "\x00" + s.Name + "\x00" + plan.Digest(content)}
	var err error
	if len(s.When) > 0 {
		if out.when, err = p.patterns(s.When); err != nil {
			return out, out.wrap("when", err)
		}
	}
	if s.Cache != nil {
		if out.key, err = p.value(s.Cache.Key); err != nil {
			return out, out.wrap("cache key", err)
		}
		if out.ttl = s.Cache.TTL; out.ttl <= 0 {
			out.ttl = defaultTTL
		}
	}
	return out, nil
}

// wrap names the rule and the part of it that an error is about.
func (s *step) wrap(part string, err error) error { return fmt.Errorf("%s: %s: %w", s.name, part, err) }

// holds reports whether the step's conditions hold.
func (s *step) holds(in *rule.Input) (bool, error) {
	if s.when == nil {
		return true, nil
	}
	return s.when.Hold(in)
}

// admits reports whether the conditions of a step that lets callers in hold,
// with the path's query and without: a query must not open another way in.
func (s *step) admits(in *rule.Input) (bool, error) {
	ok, err := s.holds(in)
	if bare := in.Bare(); ok && err == nil && s.when != nil && bare != nil {
		return s.when.Hold(bare)
	}
	return ok, err
}

// guards reports whether the conditions of a step that keeps callers out hold,
// with the path's query or without: a query must not switch a check off.
func (s *step) guards(in *rule.Input) (bool, error) {
	ok, err := s.holds(in)
	if bare := in.Bare(); !ok && err == nil && bare != nil {
		return s.when.Hold(bare)
	}
	return ok, err
}

// evaluator is a rule whose results may be kept: metadata, authorization or
// success.
type evaluator interface {
	// eval computes the result for one request.
	eval(ctx context.Context, p *Pipeline, in *rule.Input) (any, error)
	// size is about how many bytes a result takes.
	size(result any) int
}

// result is e's result for in, from memory when there is one. Only successes
// are kept (Authorino), and concurrent askers of one key share one call. A key
// that is empty or cannot be evaluated names nobody: the call is then made for
// this request alone.
func (p *Pipeline) result(ctx context.Context, s *step, e evaluator, in *rule.Input) (any, error) {
	if s.key == nil {
		return e.eval(ctx, p, in)
	}
	key, err := s.key.Text(in)
	if err != nil || key == "" {
		return e.eval(ctx, p, in)
	}
	k := cache.Sum(s.id, key)
	if v, ok := p.remembered(s, k); ok {
		return v, nil
	}
	own := false
	ask := func(ctx context.Context) (any, error) {
		own = true
		if v, ok := p.remembered(s, k); ok { // another flight landed in between
			return v, nil
		}
		at := p.deps.Now()
		v, err := e.eval(ctx, p, in)
		if err == nil {
			p.deps.Caches.steps.Put(k, kept{value: v, at: at}, e.size(v))
		}
		return v, err
	}
	v, err := p.deps.Caches.flight.Do(ctx, k, ask)
	if !own && errors.Is(err, context.DeadlineExceeded) && left(ctx) > worthwhile {
		// Whoever asked had less time than there is here.
		v, err = p.deps.Caches.flight.Do(ctx, k, ask)
	}
	return v, err
}

// worthwhile is the time that a question should have.
const worthwhile = 100 * time.Millisecond

func (p *Pipeline) remembered(s *step, k cache.Key) (any, bool) {
	e, ok := p.deps.Caches.steps.Get(k)
	if !ok || !p.deps.Now().Before(e.at.Add(s.ttl)) {
		return nil, false
	}
	p.deps.Observe(Event{Phase: s.phase, Rule: s.name, Kind: Hit})
	return e.value, true
}

// call makes one bounded call to the outside and reports it.
func call[T any](ctx context.Context, p *Pipeline, s *step, do func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, left(ctx))
	defer cancel()
	start := p.deps.Now()
	v, err := do(ctx)
	p.deps.Observe(Event{Phase: s.phase, Rule: s.name, Kind: Call, Took: p.deps.Now().Sub(start), Err: err})
	return v, err
}

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
