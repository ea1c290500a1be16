package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/net/http/httpguts"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/rule"
)

// maxHeader is the longest header value that a rule may set, in bytes.
const maxHeader = 8 << 10

// filterIdentity is the filter that limits see as auth.identity.
const filterIdentity = "identity"

var (
	errHeaderValue = errors.New("the value is not fit for a header")
	errNoValue     = errors.New("there is no value")
)

// success is one compiled item of response.success.
type success struct {
	step
	key   string
	plain *rule.Value
	json  []property
	whole bool // a missing part makes the item fail
}

func newSuccess(p *Pipeline, s *plan.Success) (*success, error) { return newItem(p, "filters", s) }

func newHeader(p *Pipeline, s *plan.Success) (*success, error) {
	if !httpguts.ValidHeaderFieldName(s.Key) {
		return nil, fmt.Errorf("%s: %q is not a header name", s.Name, s.Key)
	}
	return newItem(p, "headers", s)
}

func newItem(p *Pipeline, phase string, s *plan.Success) (*success, error) {
	st, err := newStep(p, phase, &s.Step, s)
	if err != nil {
		return nil, err
	}
	out := &success{step: st, key: s.Key, whole: phase == "filters" && s.Key == filterIdentity}
	if s.Plain != nil {
		if out.plain, err = p.value(*s.Plain); err != nil {
			return nil, st.wrap("plain", err)
		}
		return out, nil
	}
	if out.json, err = p.properties(s.JSON); err != nil {
		return nil, st.wrap("json", err)
	}
	return out, nil
}

// respond makes the headers and filters. An item that fails is left out; only
// without its filter "identity" a request does not pass, since limits would
// not recognise the caller and the call would be free.
func (p *Pipeline) respond(ctx context.Context, in *rule.Input, r *Result) *Denied {
	if len(p.headers) > 0 {
		r.Headers = make([]plan.Header, 0, len(p.headers))
	}
	for _, s := range p.headers {
		v, ok, err := p.make(ctx, in, s)
		if err == nil && ok {
			var h plan.Header
			if h, err = header(s.key, v); err == nil {
				r.Headers = append(r.Headers, h)
				in.Response = with(in.Response, s.name, v)
			}
		}
		if err != nil {
			p.omit(ctx, &s.step, err)
		}
	}
	for _, s := range p.filters {
		v, ok, err := p.make(ctx, in, s)
		switch {
		case err != nil && s.whole:
			return p.denyUnauthorized(in, s.name, "not authorized: "+reasonUnknown, "filter identity: "+err.Error())
		case err != nil:
			p.omit(ctx, &s.step, err)
		case ok:
			r.Filters = with(r.Filters, s.key, v)
			in.Response = with(in.Response, s.name, v)
		}
	}
	return nil
}

// make evaluates one item; ok is false when its conditions do not hold.
func (p *Pipeline) make(ctx context.Context, in *rule.Input, s *success) (v any, ok bool, err error) {
	if ok, err = s.holds(in); err != nil || !ok {
		return nil, false, err
	}
	v, err = p.result(ctx, &s.step, s, in)
	return v, err == nil, err
}

// size implements evaluator.
func (s *success) size(v any) int { return sizeOf(v) }

// eval implements evaluator.
func (s *success) eval(_ context.Context, _ *Pipeline, in *rule.Input) (any, error) {
	if s.plain != nil {
		v, err := s.plain.Eval(in)
		if err == nil && v == nil {
			err = errNoValue
		}
		return v, err
	}
	object := make(map[string]any, len(s.json))
	for _, q := range s.json {
		v, err := q.value.Eval(in)
		if err == nil && v == nil && s.whole {
			err = errNoValue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", q.name, err)
		}
		object[q.name] = v
	}
	return object, nil
}

// header makes a field of v. Line ends and other control characters would let
// a value become a header of its own.
func header(name string, v any) (plan.Header, error) {
	text := rule.Text(v)
	if len(text) > maxHeader || !httpguts.ValidHeaderFieldValue(text) {
		return plan.Header{}, errHeaderValue
	}
	return plan.Header{Name: name, Value: text}, nil
}

// omit reports an item that is left out.
func (p *Pipeline) omit(ctx context.Context, s *step, err error) {
	p.deps.Observe(Event{Phase: s.phase, Rule: s.name, Kind: Omission, Err: err})
	level := slog.LevelWarn
	if errors.Is(err, errNoValue) { // an optional fact, not a fault
		level = slog.LevelDebug
	}
	p.deps.Log.Log(ctx, level, "auth: left out", "policy", p.source, "phase", s.phase, "rule", s.name, "error", err)
}
