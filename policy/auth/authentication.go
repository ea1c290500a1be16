package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/ident"
	"github.com/egret-gateway/egret/policy/rule"
)

// authentication is one compiled way to prove who one is.
type authentication struct {
	step
	credential *plan.Credential // nil when the rule needs none
	prove      proof
	defaults   []property
	overrides  []property
}

// proof says whom token stands for; token is "" for rules that need none.
type proof func(ctx context.Context, in *rule.Input, token string) (*ident.Identity, error)

func newAuthentication(p *Pipeline, a *plan.Authentication) (*authentication, error) {
	// The cache of an authentication rule is its own (ident.Cache), by digest
	// of the exact credential: the key that the policy names may fold two
	// tokens into one, so only its ttl counts.
	uncached := a.Step
	uncached.Cache = nil
	s, err := newStep(p, "authentication", &uncached, a)
	if err != nil {
		return nil, err
	}
	out := &authentication{step: s}
	if out.prove, err = newProof(p, out, a); err != nil {
		return nil, fmt.Errorf("%s: %w", a.Name, err)
	}
	if a.Plain == nil && !a.Anonymous {
		out.credential = &a.Credential
	}
	if out.defaults, err = p.properties(a.Defaults); err != nil {
		return nil, s.wrap("defaults", err)
	}
	if out.overrides, err = p.properties(a.Overrides); err != nil {
		return nil, s.wrap("overrides", err)
	}
	return out, nil
}

func newProof(p *Pipeline, s *authentication, a *plan.Authentication) (proof, error) {
	switch {
	case a.TokenReview != nil:
		if p.deps.Reviewer == nil {
			return nil, errors.New("kubernetesTokenReview: nobody here can review tokens")
		}
		return p.tokenReview(s, a), nil
	case a.JWT != nil:
		if p.deps.HTTP == nil {
			return nil, errors.New("jwt: there is no way to fetch the issuer's keys")
		}
		return p.jwt(s, a.JWT)
	case a.APIKey != nil:
		keys := ident.NewAPIKeys(a.APIKey.Keys, p.deps.Secrets)
		return func(_ context.Context, _ *rule.Input, token string) (*ident.Identity, error) {
			return keys.Identify(token)
		}, nil
	case a.Anonymous:
		return func(context.Context, *rule.Input, string) (*ident.Identity, error) {
			return &ident.Identity{Object: map[string]any{"anonymous": true}}, nil
		}, nil
	case a.Plain != nil:
		return p.plain(a.Plain)
	}
	return nil, errors.New("it names no method: set one of kubernetesTokenReview, jwt, apiKey, anonymous, plain")
}

func (p *Pipeline) tokenReview(s *authentication, a *plan.Authentication) proof {
	from := &ident.Source{Reviewer: p.deps.Reviewer, Revoked: p.deps.Revoked, Now: p.deps.Now}
	audiences := a.TokenReview.Audiences
	var ttl time.Duration
	if a.Cache != nil {
		ttl = cmp.Or(max(a.Cache.TTL, 0), defaultTTL)
	}
	name := p.source + "\x00" + a.Name
	return func(ctx context.Context, in *rule.Input, token string) (*ident.Identity, error) {
		asked := audiences
		if len(asked) == 0 {
			if !in.Request.Named { // or a client could name the audience of any token it has got hold of
				return nil, &ident.Rejected{Reason: "the rule names no audiences, and neither route nor listener a host to take for one"}
			}
			asked = []string{in.Request.Host}
		}
		start := p.deps.Now()
		id, hit, err := p.deps.Caches.reviews.Identify(ctx, from, ident.Question{Rule: name, Token: token, Audiences: asked, TTL: ttl})
		if hit {
			p.deps.Observe(Event{Phase: s.phase, Rule: s.name, Kind: Hit})
			return id, err
		}
		e := Event{Phase: s.phase, Rule: s.name, Kind: Call, Took: p.deps.Now().Sub(start)}
		if errors.Is(err, ident.ErrUnavailable) {
			e.Err = err
		}
		p.deps.Observe(e)
		return id, err
	}
}

func (p *Pipeline) jwt(s *authentication, j *plan.JWT) (proof, error) {
	fetch, err := ident.Discover(p.deps.HTTP, j.Issuer, j.JWKS)
	if err != nil {
		return nil, fmt.Errorf("jwt: %w", err)
	}
	keys := p.deps.Caches.keysOf(issuer{j.Issuer, j.JWKS, j.TTL}, func() *ident.Keys {
		return ident.NewKeys(fetch, j.TTL, p.deps.Now)
	})
	v := &ident.JWT{Issuer: j.Issuer, Keys: keys, Revoked: p.deps.Revoked, Now: p.deps.Now}
	return func(ctx context.Context, _ *rule.Input, token string) (*ident.Identity, error) {
		return v.Identify(ctx, token)
	}, nil
}

func (p *Pipeline) plain(v *plan.Value) (proof, error) {
	value, err := p.value(*v)
	if err != nil {
		return nil, fmt.Errorf("plain: %w", err)
	}
	return func(_ context.Context, in *rule.Input, _ string) (*ident.Identity, error) {
		o, err := value.Eval(in)
		if err != nil || o == nil {
			return nil, ident.ErrNoCredential
		}
		return &ident.Identity{Object: o}, nil
	}, nil
}

// authenticate runs the rules in order until one succeeds. Rules that cannot
// tell are remembered: if none succeeds, the caller is not to blame and gets
// 500 (acceptance maas 94).
func (p *Pipeline) authenticate(ctx context.Context, in *rule.Input, r *Result) *Denied {
	if len(p.authentication) == 0 { // as Authorino: a policy without identities admits anybody
		in.Identity = map[string]any{"anonymous": true}
		r.Identity = in.Identity
		return nil
	}
	var failed []failure
	for _, a := range p.authentication {
		if ok, err := a.admits(in); err != nil || !ok {
			continue
		}
		id, err := p.attempt(ctx, in, a)
		if err == nil {
			r.Identity, r.Subject, r.Expires = in.Identity, id.Subject, id.Expires
			r.Method, r.Consumed = a.name, a.credential
			return nil
		}
		in.Identity = nil
		failed = append(failed, failure{a.name, err})
	}
	return p.denyUnauthenticated(in, failed)
}

// failure is why one authentication rule did not succeed.
type failure struct {
	rule string
	err  error
}

// attempt tries one rule and sets in.Identity when it succeeds.
func (p *Pipeline) attempt(ctx context.Context, in *rule.Input, a *authentication) (*ident.Identity, error) {
	token := ""
	if a.credential != nil {
		var err error
		if token, err = ident.Extract(*a.credential, in.Request.Header, in.Request.Path); err != nil {
			return nil, err
		}
	}
	id, err := a.prove(ctx, in, token)
	if err != nil {
		return nil, err
	}
	in.Identity = id.Object
	if len(a.defaults)+len(a.overrides) == 0 {
		return id, nil
	}
	if in.Identity, err = a.extend(in); err != nil {
		return nil, &ident.Rejected{Reason: err.Error()}
	}
	return id, nil
}

// extend adds defaults where a property is absent, then overrides, to a copy
// of the identity: the object itself is shared. A default that cannot be
// evaluated is left out, so that whatever needs it fails; an override that
// cannot is an error, because the value it should have replaced is not to be
// trusted.
func (a *authentication) extend(in *rule.Input) (any, error) {
	object, ok := in.Identity.(map[string]any)
	if !ok {
		return nil, errors.New("defaults and overrides need an identity that is an object")
	}
	out := make(map[string]any, len(object)+len(a.defaults)+len(a.overrides))
	maps.Copy(out, object)
	for _, d := range a.defaults {
		if _, present := out[d.name]; present {
			continue
		}
		if v, err := d.value.Eval(in); err == nil {
			out[d.name] = v
		}
	}
	for _, o := range a.overrides {
		v, err := o.value.Eval(in)
		if err != nil {
			return nil, fmt.Errorf("override %s: %w", o.name, err)
		}
		out[o.name] = v
	}
	return out, nil
}
