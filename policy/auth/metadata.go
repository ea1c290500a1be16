package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/ident"
	"github.com/egret-gateway/egret/policy/rule"
)

// maxAnswer is the longest answer of a metadata service that is read, in bytes.
const maxAnswer = 1 << 20

// errTrusted keeps policies from telling the MaaS API, which answers metadata
// requests too, who calls.
var errTrusted = errors.New("it says who calls, which is the gateway's to say")

// metadata is one compiled source of facts.
type metadata struct {
	step
	spec       *plan.HTTPCall
	url        *rule.Value
	body       *rule.Value
	parameters []property
	headers    []property
}

func newMetadata(p *Pipeline, m *plan.Metadata) (*metadata, error) {
	s, err := newStep(p, "metadata", &m.Step, m)
	if err != nil {
		return nil, err
	}
	if p.deps.HTTP == nil {
		return nil, s.wrap("http", errors.New("there is no way to make requests"))
	}
	out := &metadata{step: s, spec: &m.HTTP}
	if out.url, err = newURL(p, &m.HTTP); err != nil {
		return nil, s.wrap("url", err)
	}
	if m.HTTP.Body != nil {
		if out.body, err = p.value(*m.HTTP.Body); err != nil {
			return nil, s.wrap("body", err)
		}
	}
	if out.parameters, err = p.properties(m.HTTP.Parameters); err != nil {
		return nil, s.wrap("bodyParameters", err)
	}
	if out.headers, err = p.properties(m.HTTP.Headers); err != nil {
		return nil, s.wrap("headers", err)
	}
	for _, h := range out.headers {
		if !httpguts.ValidHeaderFieldName(h.name) {
			return nil, s.wrap("headers", fmt.Errorf("%q is not a header name", h.name))
		}
	}
	return out, nil
}

// newURL compiles the address: an expression, a template with {selectors}, or
// a fixed text.
func newURL(p *Pipeline, h *plan.HTTPCall) (*rule.Value, error) {
	switch {
	case h.URLExpression != "":
		return p.value(plan.Value{Expression: h.URLExpression})
	case strings.Contains(h.URL, "{"):
		return p.value(plan.Value{Selector: h.URL})
	}
	if _, err := address(h.URL); err != nil {
		return nil, err
	}
	static, err := json.Marshal(h.URL)
	if err != nil {
		return nil, err
	}
	return p.value(plan.Value{Static: static})
}

func address(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("it is not a URL") // url.Error repeats the text, which may hold data of a caller
	}
	if u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("it is not an http or https URL with a host")
	}
	if strings.HasSuffix(strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), ".invalid") {
		return nil, errors.New("names under .invalid exist nowhere") // planes have names of their own there
	}
	return u, nil
}

// learn asks all sources. One that fails is logged and absent: what needs it
// then fails by itself (Authorino).
func (p *Pipeline) learn(ctx context.Context, in *rule.Input) {
	for _, m := range p.metadata {
		ok, err := m.holds(in)
		if err == nil && !ok {
			continue
		}
		var object any
		if err == nil {
			object, err = p.result(ctx, &m.step, m, in)
		}
		if err != nil {
			p.omit(ctx, &m.step, err)
			continue
		}
		in.Metadata = with(in.Metadata, m.name, object)
	}
}

// eval implements evaluator.
func (m *metadata) eval(ctx context.Context, p *Pipeline, in *rule.Input) (any, error) {
	return call(ctx, p, &m.step, func(ctx context.Context) (any, error) { return p.fetch(ctx, in, m) })
}

// size implements evaluator.
func (m *metadata) size(v any) int { return sizeOf(v) }

// fetch makes the request. Any status but 2xx is a failure: an error document
// must not pass for facts. Redirects are one of those.
func (p *Pipeline) fetch(ctx context.Context, in *rule.Input, m *metadata) (any, error) {
	req, err := m.request(ctx, in, p.deps.Secrets)
	if err != nil {
		return nil, err
	}
	res, err := p.deps.HTTP.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return nil, fmt.Errorf("%s answered %d", req.URL.Host, res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("%s: read the answer: %w", req.URL.Host, err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("%s: the answer is longer than 1 MiB", req.URL.Host)
	}
	if !isJSON(res.Header.Get("Content-Type")) {
		return string(body), nil
	}
	var object any
	if err := json.Unmarshal(body, &object); err != nil {
		return nil, fmt.Errorf("%s: the answer is not JSON: %w", req.URL.Host, err)
	}
	return object, nil
}

func isJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json"))
}

func (m *metadata) request(ctx context.Context, in *rule.Input, secrets func(string) *plan.Secret) (*http.Request, error) {
	text, err := m.url.Text(in)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	u, err := address(text)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	method := m.spec.Method
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	if err := m.fill(req, in); err != nil {
		return nil, err
	}
	for _, h := range m.headers {
		value, err := h.value.Text(in)
		if err == nil && !httpguts.ValidHeaderFieldValue(value) {
			err = errHeaderValue
		}
		if err == nil && plan.Trusted(h.name) {
			err = errTrusted
		}
		if err != nil {
			return nil, fmt.Errorf("header %s: %w", h.name, err)
		}
		if strings.EqualFold(h.name, "Host") {
			req.Host = value
		}
		req.Header.Set(h.name, value)
	}
	return req, m.sign(req, secrets)
}

// fill sets the body: the given one, or the parameters as form or JSON.
func (m *metadata) fill(req *http.Request, in *rule.Input) error {
	if m.body == nil && len(m.parameters) == 0 {
		return nil
	}
	kind := m.spec.ContentType
	if kind == "" {
		kind = "application/x-www-form-urlencoded"
	}
	var text string
	var err error
	switch {
	case m.body != nil:
		text, err = m.body.Text(in)
	default:
		text, err = m.encode(in, isJSON(kind))
	}
	if err != nil {
		return fmt.Errorf("body: %w", err)
	}
	b := []byte(text)
	req.Header.Set("Content-Type", kind)
	req.ContentLength = int64(len(b))
	req.Body = io.NopCloser(bytes.NewReader(b))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
	return nil
}

func (m *metadata) encode(in *rule.Input, asJSON bool) (string, error) {
	object := make(map[string]any, len(m.parameters))
	form := url.Values{}
	for _, q := range m.parameters {
		v, err := q.value.Eval(in)
		if err != nil {
			return "", fmt.Errorf("%s: %w", q.name, err)
		}
		object[q.name] = v
		form.Set(q.name, rule.Text(v))
	}
	if asJSON {
		return rule.Text(object), nil
	}
	return form.Encode(), nil
}

// sign adds the shared secret where the service expects it.
func (m *metadata) sign(req *http.Request, secrets func(string) *plan.Secret) error {
	if m.spec.Secret == "" {
		return nil
	}
	s := secrets(m.spec.Secret)
	if s == nil || len(s.Item(m.spec.SecretKey)) == 0 {
		return fmt.Errorf("%s has no item %q", m.spec.Secret, m.spec.SecretKey)
	}
	secret := string(s.Item(m.spec.SecretKey))
	if !httpguts.ValidHeaderFieldValue(secret) {
		return fmt.Errorf("%s: item %q does not fit into a header", m.spec.Secret, m.spec.SecretKey)
	}
	c := m.spec.Credential
	switch c.In {
	case plan.InHeader:
		if plan.Trusted(c.Name) {
			return fmt.Errorf("header %s: %w", c.Name, errTrusted)
		}
		req.Header.Set(c.Name, secret)
	case plan.InCookie:
		req.AddCookie(&http.Cookie{Name: c.Name, Value: secret})
	case plan.InQuery:
		q := req.URL.Query()
		q.Set(c.Name, secret)
		req.URL.RawQuery = q.Encode()
	default:
		prefix := c.Name
		if prefix == "" {
			prefix = ident.DefaultPrefix
		}
		req.Header.Set("Authorization", prefix+" "+secret)
	}
	return nil
}
