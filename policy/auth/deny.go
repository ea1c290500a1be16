package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/ident"
	"github.com/egret-gateway/egret/policy/rule"
)

// Names of the headers of a refusal, as Authorino has them.
const (
	headerReason    = "X-Ext-Auth-Reason"
	headerChallenge = "Www-Authenticate"
)

// What callers are told. Details go to the log only.
const (
	reasonNone    = "not authenticated"
	reasonPattern = "Unauthorized"
	reasonUnknown = "unknown reason"
)

// unavailableBody answers a request whose identity or access could not be told.
const unavailableBody = "Internal Server Error.\n"

// denial is a compiled plan.Denial.
type denial struct {
	code    int
	message *rule.Value
	headers []property
	body    *rule.Value
}

func newDenial(p *Pipeline, d *plan.Denial) (*denial, error) {
	if d == nil {
		return nil, nil
	}
	out := &denial{code: d.Code}
	var err error
	if d.Message != nil {
		if out.message, err = p.value(*d.Message); err != nil {
			return nil, fmt.Errorf("message: %w", err)
		}
	}
	if d.Body != nil {
		if out.body, err = p.value(*d.Body); err != nil {
			return nil, fmt.Errorf("body: %w", err)
		}
	}
	for _, h := range d.Headers {
		if !httpguts.ValidHeaderFieldName(h.Name) {
			return nil, fmt.Errorf("headers: %q is not a header name", h.Name)
		}
	}
	if out.headers, err = p.properties(d.Headers); err != nil {
		return nil, fmt.Errorf("headers: %w", err)
	}
	return out, nil
}

// challenges are the WWW-Authenticate values of a policy: the scheme (or the
// name of the credential's field), and the rule as realm.
func challenges(rules []plan.Authentication) (out []string) {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	for _, a := range rules {
		if a.Anonymous || a.Plain != nil {
			continue
		}
		scheme := a.Credential.Name
		if scheme == "" {
			scheme = ident.DefaultPrefix
		}
		out = append(out, line(fmt.Sprintf(`%s realm="%s"`, scheme, quote.Replace(a.Name))))
	}
	return out
}

// denyUnauthenticated answers when no rule succeeded: 401, or 500 when one
// could not tell.
func (p *Pipeline) denyUnauthenticated(in *rule.Input, failed []failure) *Denied {
	d := &Denied{Status: http.StatusUnauthorized, Header: http.Header{}}
	reasons := make(map[string]string, len(failed))
	var why []string
	for _, f := range failed {
		var bad *ident.Rejected
		switch {
		case errors.Is(f.err, ident.ErrNoCredential):
			reasons[f.rule] = f.err.Error()
		case errors.As(f.err, &bad):
			reasons[f.rule] = reasonNone
		default:
			return unavailable(f.rule, f.err)
		}
		why = append(why, f.rule+": "+f.err.Error())
	}
	public := reasonNone
	switch len(failed) {
	case 0:
		d.Reason = "the conditions of no authentication rule hold"
	case 1:
		d.Rule, d.Reason = failed[0].rule, strings.Join(why, "")
		public = reasons[d.Rule]
	default:
		d.Reason = strings.Join(why, "; ")
		text, _ := json.Marshal(reasons) // a map of strings always has a JSON form; keys come sorted
		public = string(text)
	}
	if len(p.challenge) > 0 {
		d.Header[headerChallenge] = slices.Clone(p.challenge)
	}
	d.Header.Set(headerReason, line(public))
	p.unauthenticated.apply(in, d)
	return d
}

// denyUnauthorized answers 403. public is what the caller is told.
func (p *Pipeline) denyUnauthorized(in *rule.Input, name, public, reason string) *Denied {
	d := &Denied{Status: http.StatusForbidden, Header: http.Header{}, Rule: name, Reason: name + ": " + reason}
	d.Header.Set(headerReason, line(public))
	p.unauthorized.apply(in, d)
	return d
}

// unavailable answers 500: it could not be told, so it is refused (acceptance
// maas 94).
func unavailable(name string, err error) *Denied {
	return &Denied{Status: http.StatusInternalServerError, Body: []byte(unavailableBody), Rule: name, Reason: name + ": " + err.Error()}
}

// apply customises d. What cannot be evaluated stays as it was.
func (c *denial) apply(in *rule.Input, d *Denied) {
	if c == nil {
		return
	}
	if c.code != 0 {
		d.Status = c.code
	}
	if len(c.headers) > 0 {
		d.Header.Del(headerChallenge)
	}
	if c.message != nil {
		if text, err := c.message.Text(in); err == nil {
			d.Header.Set(headerReason, line(text))
		}
	}
	for _, h := range c.headers {
		if text, err := h.value.Text(in); err == nil && httpguts.ValidHeaderFieldValue(text) {
			d.Header.Set(h.name, text)
		}
	}
	if c.body != nil {
		if text, err := c.body.Text(in); err == nil {
			d.Body = []byte(text)
		}
	}
}

// line makes text fit for a header: one line, at most 1 KiB.
func line(text string) string {
	const most = 1 << 10
	if len(text) > most {
		text = text[:most]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}
