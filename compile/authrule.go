package compile

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	kuadrantv1 "github.com/egret-gateway/egret/api/kuadrant/v1"
	"github.com/egret-gateway/egret/plan"
)

// step translates what the rules of all phases share.
func (t *authTranslation) step(n string, r *kuadrantv1.Rule) (plan.Step, *problem) {
	out := plan.Step{Name: n, Priority: r.Priority}
	var p *problem
	if out.When, p = t.patterns(r.When); p != nil {
		return out, p
	}
	if r.Cache != nil {
		key, p := t.value(&r.Cache.Key)
		if p != nil {
			return out, p
		}
		ttl := time.Duration(max(r.Cache.TTL, 0)) * time.Second
		out.Cache = &plan.Cache{Key: *key, TTL: cmp.Or(ttl, time.Minute)}
	}
	return out, nil
}

func (t *authTranslation) authentication(n string, spec *kuadrantv1.Authentication) (*plan.Authentication, *problem) {
	s, p := t.step(n, &spec.Rule)
	if p != nil {
		return nil, p
	}
	out := &plan.Authentication{Step: s, Credential: credential(spec.Credentials)}
	switch {
	case spec.KubernetesTokenReview != nil:
		out.TokenReview = &plan.TokenReview{Audiences: spec.KubernetesTokenReview.Audiences}
	case spec.JWT != nil:
		out.JWT, p = t.jwt(spec.JWT)
	case spec.APIKey != nil:
		out.APIKey, p = t.apiKeys(spec.APIKey)
	case spec.Anonymous != nil:
		out.Anonymous = true
	case spec.Plain != nil:
		out.Plain, p = t.value(&kuadrantv1.ValueOrSelector{Selector: spec.Plain.Selector, Expression: spec.Plain.Expression})
	case spec.X509 != nil:
		p = unsupported("x509")
	case spec.OAuth2Introspection != nil:
		p = unsupported("oauth2Introspection")
	default:
		p = problemf(reasonInvalid, "no method is set")
	}
	if p != nil {
		return nil, p
	}
	if out.Defaults, p = t.properties(spec.Defaults); p != nil {
		return nil, p
	}
	out.Overrides, p = t.properties(spec.Overrides)
	return out, p
}

func unsupported(kind string) *problem {
	return problemf(reasonUnsupported, "%s is not supported, so requests are refused", kind)
}

// credential says where a credential is read from; by default it is a bearer token.
func credential(c *kuadrantv1.Credentials) plan.Credential {
	switch {
	case c == nil:
	case c.CustomHeader != nil:
		return plan.Credential{In: plan.InHeader, Name: strings.ToLower(c.CustomHeader.Name)}
	case c.QueryString != nil:
		return plan.Credential{In: plan.InQuery, Name: c.QueryString.Name}
	case c.Cookie != nil:
		return plan.Credential{In: plan.InCookie, Name: c.Cookie.Name}
	case c.AuthorizationHeader != nil && c.AuthorizationHeader.Prefix != "":
		return plan.Credential{In: plan.InAuthorization, Name: c.AuthorizationHeader.Prefix}
	}
	return plan.Credential{In: plan.InAuthorization, Name: "Bearer"}
}

func (t *authTranslation) jwt(spec *kuadrantv1.JWT) (*plan.JWT, *problem) {
	if (spec.IssuerURL == "") == (spec.JwksURL == "") {
		return nil, problemf(reasonInvalid, "jwt needs either issuerUrl or jwksUrl")
	}
	if err := checkURL(cmp.Or(spec.IssuerURL, spec.JwksURL)); err != nil {
		return nil, problemf(reasonInvalid, "jwt: %v", err)
	}
	return &plan.JWT{Issuer: spec.IssuerURL, JWKS: spec.JwksURL, TTL: time.Duration(max(spec.TTL, 0)) * time.Second}, nil
}

func unsupportedMetadata(spec *kuadrantv1.Metadata) string {
	switch {
	case spec.UserInfo != nil:
		return "userInfo"
	case spec.UMA != nil:
		return "uma"
	case spec.HTTP == nil:
		return "no source"
	case spec.HTTP.OAuth2 != nil:
		return "oauth2"
	}
	return ""
}

func (t *authTranslation) metadata(n string, spec *kuadrantv1.Metadata) (*plan.Metadata, *problem) {
	s, p := t.step(n, &spec.Rule)
	if p != nil {
		return nil, p
	}
	h := spec.HTTP
	out := &plan.Metadata{Step: s, HTTP: plan.HTTPCall{
		URL:           h.URL,
		URLExpression: h.URLExpression,
		Method:        cmp.Or(h.Method, "GET"),
		ContentType:   cmp.Or(h.ContentType, "application/x-www-form-urlencoded"),
	}}
	if p = t.address(h); p != nil {
		return nil, p
	}
	if h.Body != nil {
		if out.HTTP.Body, p = t.value(h.Body); p != nil {
			return nil, p
		}
	}
	if out.HTTP.Parameters, p = t.properties(h.BodyParameters); p != nil {
		return nil, p
	}
	if out.HTTP.Headers, p = t.fields(h.Headers); p != nil {
		return nil, p
	}
	names := make([]string, 0, len(out.HTTP.Headers)+1)
	for _, f := range out.HTTP.Headers {
		names = append(names, f.Name)
	}
	if h.SharedSecretRef != nil {
		out.HTTP.Credential = credential(h.Credentials)
		names = append(names, out.HTTP.Credential.Name)
		out.HTTP.SecretKey = h.SharedSecretRef.Key
		if out.HTTP.Secret, p = t.sharedSecret(h.SharedSecretRef); p != nil {
			return nil, p
		}
	}
	if i := slices.IndexFunc(names, plan.Trusted); i >= 0 {
		return nil, problemf(reasonInvalid, "http: header %s says who calls, which only the gateway may tell the MaaS API; use another name", names[i])
	}
	return out, nil
}

// address checks where a call goes: a URL, one with {selectors}, or CEL.
func (t *authTranslation) address(h *kuadrantv1.HTTPCall) *problem {
	switch {
	case h.URLExpression != "":
		return t.judge(plan.Value{Expression: h.URLExpression})
	case strings.Contains(h.URL, "{"):
		return t.judge(plan.Value{Selector: h.URL})
	}
	if err := checkURL(h.URL); err != nil {
		return problemf(reasonInvalid, "http: %v", err)
	}
	return nil
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fmt.Errorf("%q is not an http or https URL", text)
	}
	if reserved(u.Hostname()) {
		return fmt.Errorf("%q: names under .invalid exist nowhere", text)
	}
	return nil
}

func (t *authTranslation) authorization(n string, spec *kuadrantv1.Authorization) (*plan.Authorization, *problem) {
	s, p := t.step(n, &spec.Rule)
	if p != nil {
		return nil, p
	}
	out := &plan.Authorization{Step: s}
	switch {
	case spec.PatternMatching != nil && len(spec.PatternMatching.Patterns) > 0:
		out.Patterns, p = t.patterns(spec.PatternMatching.Patterns)
	case spec.KubernetesSubjectAccessReview != nil:
		out.Access, p = t.access(spec.KubernetesSubjectAccessReview)
	case spec.OPA != nil:
		p = unsupported("opa")
	case spec.SpiceDB != nil:
		p = unsupported("spicedb")
	default:
		p = problemf(reasonInvalid, "no check is set")
	}
	return out, p
}

func (t *authTranslation) access(spec *kuadrantv1.SubjectAccessReview) (*plan.AccessReview, *problem) {
	out := &plan.AccessReview{Groups: spec.Groups, ResourceAttributes: spec.ResourceAttributes != nil}
	r := spec.ResourceAttributes
	if r == nil {
		r = &kuadrantv1.ResourceAttributes{}
	}
	for _, part := range []struct {
		from *kuadrantv1.ValueOrSelector
		to   **plan.Value
	}{
		{spec.User, &out.User},
		{spec.AuthorizationGroups, &out.AuthorizationGroups},
		{r.Group, &out.Group},
		{r.Resource, &out.Resource},
		{r.SubResource, &out.Subresource},
		{r.Namespace, &out.Namespace},
		{r.Name, &out.Name},
		{r.Verb, &out.Verb},
	} {
		if part.from == nil {
			continue
		}
		v, p := t.value(part.from)
		if p != nil {
			return nil, p
		}
		*part.to = v
	}
	return out, nil
}

func (t *authTranslation) success(n, key string, spec *kuadrantv1.SuccessRule) (*plan.Success, *problem) {
	s, p := t.step(n, &spec.Rule)
	if p != nil {
		return nil, p
	}
	out := &plan.Success{Step: s, Key: key}
	switch {
	case spec.Plain != nil:
		out.Plain, p = t.value(spec.Plain)
	case spec.JSON != nil && len(spec.JSON.Properties) > 0:
		out.JSON, p = t.properties(spec.JSON.Properties)
	default:
		p = problemf(reasonInvalid, "neither plain nor json is set")
	}
	return out, p
}

func (t *authTranslation) denial(spec *kuadrantv1.Denial) (*plan.Denial, *problem) {
	out := &plan.Denial{Code: int(spec.Code)}
	if spec.Code != 0 && (spec.Code < 300 || spec.Code > 599) {
		return nil, problemf(reasonInvalid, "code %d is not between 300 and 599", spec.Code)
	}
	var p *problem
	if spec.Message != nil {
		if out.Message, p = t.value(spec.Message); p != nil {
			return nil, p
		}
	}
	if spec.Body != nil {
		if out.Body, p = t.value(spec.Body); p != nil {
			return nil, p
		}
	}
	out.Headers, p = t.fields(spec.Headers)
	return out, p
}

// properties translates named values, sorted by name.
func (t *authTranslation) properties(m map[string]kuadrantv1.ValueOrSelector) ([]plan.Property, *problem) {
	var out []plan.Property
	for _, n := range slices.Sorted(maps.Keys(m)) {
		spec := m[n]
		v, p := t.value(&spec)
		if p != nil {
			return nil, &problem{p.reason, n + ": " + p.message}
		}
		out = append(out, plan.Property{Name: n, Value: *v})
	}
	return out, nil
}

// fields translates values that become header fields.
func (t *authTranslation) fields(m map[string]kuadrantv1.ValueOrSelector) ([]plan.Property, *problem) {
	for n := range m {
		if !httpguts.ValidHeaderFieldName(n) {
			return nil, problemf(reasonInvalid, "%q is no header name", n)
		}
	}
	return t.properties(m)
}

// value translates a value; one that says nothing is null.
func (t *authTranslation) value(v *kuadrantv1.ValueOrSelector) (*plan.Value, *problem) {
	out := &plan.Value{}
	switch {
	case v.Value != nil && len(v.Value.Raw) > 0:
		var b bytes.Buffer
		if err := json.Compact(&b, v.Value.Raw); err != nil {
			return nil, problemf(reasonInvalid, "value is not JSON: %v", err)
		}
		out.Static = b.Bytes()
	case v.Selector != "":
		out.Selector = v.Selector
	case v.Expression != "":
		out.Expression = v.Expression
	default:
		out.Static = json.RawMessage("null")
	}
	return out, t.judge(*out)
}

func (t *authTranslation) judge(v plan.Value) *problem {
	if err := t.check.value(v); err != nil {
		return problemf(reasonInvalidCEL, "%v", err)
	}
	return nil
}

// patterns translates conditions. References to named patterns are resolved
// among those of the same policy.
func (t *authTranslation) patterns(list []kuadrantv1.Pattern) ([]plan.Pattern, *problem) {
	out, err := t.conditions(list)
	if err != nil {
		return nil, problemf(reasonInvalid, "%v", err)
	}
	if err := t.check.patterns(out); err != nil {
		return nil, problemf(reasonInvalidCEL, "%v", err)
	}
	return out, nil
}

func (t *authTranslation) conditions(list []kuadrantv1.Pattern) (out []plan.Pattern, err error) {
	for i := range list {
		var p plan.Pattern
		switch from := &list[i]; {
		case from.PatternRef != "":
			p.All, err = t.named(from.PatternRef)
		case from.Predicate != "":
			p.Predicate = from.Predicate
		case len(from.All) > 0:
			p.All, err = t.conditions(from.All)
		case len(from.Any) > 0:
			p.Any, err = t.conditions(from.Any)
		case from.Selector != "":
			p.Selector, p.Operator, p.Value = from.Selector, from.Operator, from.Value
		default:
			err = errors.New("a pattern says nothing")
		}
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func (t *authTranslation) named(ref string) ([]plan.Pattern, error) {
	group, ok := t.set.Patterns[ref]
	if !ok || len(group.AllOf) == 0 {
		return nil, fmt.Errorf("patternRef %s names no pattern of this policy", ref)
	}
	var out []plan.Pattern
	for _, e := range group.AllOf {
		out = append(out, plan.Pattern{Selector: e.Selector, Operator: e.Operator, Value: e.Value})
	}
	return out, nil
}
