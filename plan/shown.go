package plan

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// Shown returns the plan as people may see it. Users can write a credential
// into a route or a policy as it is, instead of into a Secret; where a field's
// name says that it holds one, "[redacted]" takes its place, and so it does for
// passwords in addresses. The result does not run and has another Hash.
func (p *Plan) Shown() *Plan {
	out := *p
	out.Rules = slices.Clone(p.Rules)
	for i := range out.Rules {
		r := &out.Rules[i]
		r.Request, r.Response = r.Request.shown(), r.Response.shown()
		r.Targets = slices.Clone(r.Targets)
		for j := range r.Targets {
			t := &r.Targets[j]
			t.Request, t.Response = t.Request.shown(), t.Response.shown()
		}
	}
	out.Policies = slices.Clone(p.Policies)
	for i := range out.Policies {
		if a := out.Policies[i].Auth; a != nil {
			out.Policies[i].Auth = a.shown()
		}
	}
	return &out
}

// sensitive reports whether a field of that name holds a credential.
func sensitive(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"authorization", "cookie", "key", "token", "secret", "password", "credential"},
		func(part string) bool { return strings.Contains(name, part) })
}

func (e Edits) shown() Edits {
	e.Set, e.Add = shownFields(e.Set), shownFields(e.Add)
	return e
}

func shownFields(in []Header) []Header {
	out := slices.Clone(in)
	for i := range out {
		if sensitive(out[i].Name) {
			out[i].Value = redacted
		}
	}
	return out
}

func (a *Auth) shown() *Auth {
	out := *a
	out.Headers = slices.Clone(a.Headers)
	for i := range out.Headers {
		if h := &out.Headers[i]; h.Plain != nil && sensitive(h.Key) {
			v := h.Plain.shown()
			h.Plain = &v
		}
	}
	out.Metadata = slices.Clone(a.Metadata)
	for i := range out.Metadata {
		h := &out.Metadata[i].HTTP
		h.Headers, h.Parameters = shownProperties(h.Headers), shownProperties(h.Parameters)
		if u, err := url.Parse(h.URL); err == nil && u.User != nil {
			h.URL = u.Redacted()
		}
	}
	return &out
}

func shownProperties(in []Property) []Property {
	out := slices.Clone(in)
	for i := range out {
		if sensitive(out[i].Name) {
			out[i].Value = out[i].Value.shown()
		}
	}
	return out
}

// shown hides what is written out; an expression that is one literal is so too.
func (v Value) shown() Value {
	if v.Static != nil {
		v.Static = json.RawMessage(`"` + redacted + `"`)
	}
	if strings.ContainsAny(v.Expression, `"'`) {
		v.Expression = redacted
	}
	return v
}
