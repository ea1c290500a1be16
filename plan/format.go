package plan

import (
	"fmt"
	"slices"
)

// Format counts what the language of plans has learned: it is the newest form
// that this program understands. A controller and its pods are of different
// releases while they are rolled, and a plane must then never serve a plan
// less a part that it does not know (docs/decisions/013-format.md).
//
//	1  the first
//	2  Backend.Fronts
//	3  Backend.Fence, Proxy, Parent, Accounts, Path; CRLs, pins and the version of ClientTLS; Rule.Models
const Format = 3

// Needs is the oldest Format whose readers understand all of the plan. What a
// later Format adds is looked for here: a plan without it is still good for
// older readers.
func (p *Plan) Needs() int {
	later := func(b Backend) bool {
		return b.Fence != nil || b.Proxy != nil || b.Parent || len(b.Accounts) > 0 || b.Path != "" || b.TLS.strict()
	}
	if slices.ContainsFunc(p.Backends, later) || slices.ContainsFunc(p.Rules, func(r Rule) bool { return r.Models != nil }) {
		return 3
	}
	if slices.ContainsFunc(p.Backends, func(b Backend) bool { return b.Fronts != "" }) {
		return 2
	}
	return 1
}

// Check refuses a plan with a value that this program does not know. Such a
// value must not be taken for a default: it may stand for something stricter.
func (p *Plan) Check() error {
	for i := range p.Ports {
		for _, l := range p.Ports[i].Listeners {
			for _, v := range l.VHosts {
				for j := range v.Entries {
					if kind := v.Entries[j].Match.Path.Kind; !known(kind, PathExact, PathPrefix, PathRegex) {
						return fmt.Errorf("entry %s: this program knows no path match %q", v.Entries[j].ID, kind)
					}
				}
			}
		}
	}
	for i := range p.Backends {
		if b := &p.Backends[i]; !known(b.Protocol, HTTP, HTTP2, WebSocket, MCP) {
			return fmt.Errorf("backend %s: this program knows no protocol %q", b.Name, b.Protocol)
		} else if b.TLS != nil && !known(b.TLS.MinVersion, "", "1.3") {
			return fmt.Errorf("backend %s: this program knows no TLS %q", b.Name, b.TLS.MinVersion)
		} else if err := b.Fence.check(); err != nil {
			return fmt.Errorf("backend %s: %w", b.Name, err)
		}
		for j := range p.Backends[i].Accounts {
			if err := p.Backends[i].Accounts[j].check(); err != nil {
				return fmt.Errorf("backend %s: %w", p.Backends[i].Name, err)
			}
		}
	}
	for i := range p.Secrets {
		if s := &p.Secrets[i]; !known(s.Kind, SecretTLS, SecretCA, SecretCRL, SecretAPIKey, SecretOpaque) {
			return fmt.Errorf("secret %s: this program knows no kind %q", s.Name, s.Kind)
		}
	}
	for i := range p.Policies {
		if err := p.Policies[i].Auth.check(); err != nil {
			return fmt.Errorf("policy %s: %w", p.Policies[i].Name, err)
		}
	}
	return nil
}

func (a *Auth) check() error {
	if a == nil {
		return nil
	}
	for i := range a.Authentication {
		s := &a.Authentication[i]
		if n := count(s.TokenReview != nil, s.JWT != nil, s.APIKey != nil, s.Anonymous, s.Plain != nil); n != 1 {
			return fmt.Errorf("authentication %s has %d of the methods that this program knows", s.Name, n)
		}
		if !s.Credential.known() {
			return fmt.Errorf("authentication %s: this program knows no credential in %q", s.Name, s.Credential.In)
		}
	}
	for i := range a.Metadata {
		if s := &a.Metadata[i]; !s.HTTP.Credential.known() {
			return fmt.Errorf("metadata %s: this program knows no credential in %q", s.Name, s.HTTP.Credential.In)
		}
	}
	for i := range a.Authorization {
		if s := &a.Authorization[i]; count(len(s.Patterns) > 0, s.Access != nil) != 1 {
			return fmt.Errorf("authorization %s has none, or several, of the checks that this program knows", s.Name)
		}
	}
	return nil
}

// known reports whether the place is one that credentials may be in; "" is
// that of a step without one.
func (c Credential) known() bool {
	return known(c.In, "", InAuthorization, InHeader, InCookie, InQuery)
}

func known[T comparable](v T, of ...T) bool { return slices.Contains(of, v) }

func count(holds ...bool) (n int) {
	for _, h := range holds {
		if h {
			n++
		}
	}
	return n
}
