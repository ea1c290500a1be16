package compile

import (
	"fmt"
	"strings"

	"golang.org/x/net/http/httpguts"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/plan"
)

// filters are the filters of a rule or of a backendRef in the plan's terms.
type filters struct {
	request, response plan.Edits
	rewrite           *plan.Rewrite
	redirect          *plan.Redirect
	models            string // ConfigMap that lists models
}

// ruleFilters translates the filters of a rule whose matches are given.
func ruleFilters(fs []gwv1.HTTPRouteFilter, matches []plan.Match) (filters, *problem) {
	var out filters
	seen := map[gwv1.HTTPRouteFilterType]bool{}
	for i := range fs {
		f := &fs[i]
		if seen[f.Type] {
			return out, &problem{string(gwv1.RouteReasonIncompatibleFilters), fmt.Sprintf("filter %d: %s is there twice; merge the two", i, f.Type)}
		}
		seen[f.Type] = true
		if err := out.add(f, matches); err != nil {
			return out, &problem{string(gwv1.RouteReasonUnsupportedValue), fmt.Sprintf("filter %d: %v", i, err)}
		}
	}
	if out.redirect != nil && seen[gwv1.HTTPRouteFilterURLRewrite] {
		return out, &problem{string(gwv1.RouteReasonIncompatibleFilters), "RequestRedirect and URLRewrite exclude each other; keep one"}
	}
	return out, nil
}

// refFilters translates the filters of a backendRef: header modifiers only.
func refFilters(fs []gwv1.HTTPRouteFilter) (filters, error) {
	var out filters
	for i := range fs {
		switch f := &fs[i]; f.Type {
		case gwv1.HTTPRouteFilterRequestHeaderModifier, gwv1.HTTPRouteFilterResponseHeaderModifier:
			if err := out.add(f, nil); err != nil {
				return out, fmt.Errorf("filter %d: %w", i, err)
			}
		default:
			return out, fmt.Errorf("filter %d: %s is not supported on a backendRef; move it to the rule", i, f.Type)
		}
	}
	if out.rewrite != nil {
		return out, fmt.Errorf("header Host cannot be set for one backendRef; set it for the rule")
	}
	return out, nil
}

func (out *filters) add(f *gwv1.HTTPRouteFilter, matches []plan.Match) (err error) {
	switch {
	case f.Type == gwv1.HTTPRouteFilterRequestHeaderModifier && f.RequestHeaderModifier != nil:
		var host string
		if out.request, host, err = requestEdits(f.RequestHeaderModifier); err == nil && host != "" {
			out.setHost(host)
		}
	case f.Type == gwv1.HTTPRouteFilterResponseHeaderModifier && f.ResponseHeaderModifier != nil:
		out.response, err = edits(f.ResponseHeaderModifier)
	case f.Type == gwv1.HTTPRouteFilterURLRewrite && f.URLRewrite != nil:
		err = out.setRewrite(f.URLRewrite, matches)
	case f.Type == gwv1.HTTPRouteFilterRequestRedirect && f.RequestRedirect != nil:
		out.redirect, err = redirect(f.RequestRedirect, matches)
	case f.Type == gwv1.HTTPRouteFilterExtensionRef && f.ExtensionRef != nil && f.ExtensionRef.Group == "" && f.ExtensionRef.Kind == "ConfigMap":
		out.models = string(f.ExtensionRef.Name)
	case f.Type == gwv1.HTTPRouteFilterExtensionRef && f.ExtensionRef != nil:
		err = fmt.Errorf("ExtensionRef %s %s cannot be resolved: no filter of that kind is known", f.ExtensionRef.Kind, f.ExtensionRef.Name)
	default:
		err = fmt.Errorf("%s is not supported, or its settings are missing", f.Type)
	}
	return err
}

// setHost sets the Host sent upstream. URLRewrite decides where both it and a
// header modifier name one.
func (out *filters) setHost(host string) {
	if out.rewrite == nil {
		out.rewrite = &plan.Rewrite{}
	}
	if out.rewrite.Host == "" {
		out.rewrite.Host = host
	}
}

func (out *filters) setRewrite(u *gwv1.HTTPURLRewriteFilter, matches []plan.Match) error {
	path, err := pathRewrite(u.Path, matches)
	if err != nil {
		return err
	}
	if out.rewrite == nil {
		out.rewrite = &plan.Rewrite{}
	}
	out.rewrite.Path = path
	if host := strings.ToLower(string(deref(u.Hostname, ""))); host != "" {
		out.rewrite.Host = host
		return checkHost(host)
	}
	return nil
}

// pathRewrite translates a path modifier. Only a rule with one PathPrefix
// match can replace its prefix (Gateway API, HTTPPathModifier).
func pathRewrite(m *gwv1.HTTPPathModifier, matches []plan.Match) (*plan.PathRewrite, error) {
	if m == nil {
		return nil, nil
	}
	switch m.Type {
	case gwv1.FullPathHTTPPathModifier:
		value := deref(m.ReplaceFullPath, "")
		return &plan.PathRewrite{Full: true, Value: "/" + strings.TrimPrefix(value, "/")}, checkPath(value)
	case gwv1.PrefixMatchHTTPPathModifier:
		if len(matches) != 1 || matches[0].Path.Kind != plan.PathPrefix {
			return nil, fmt.Errorf("ReplacePrefixMatch needs exactly one match, of type PathPrefix; split the rule")
		}
		value := deref(m.ReplacePrefixMatch, "")
		return &plan.PathRewrite{
			Prefix: strings.TrimSuffix(matches[0].Path.Value, "/"),
			Value:  prefixValue(value),
		}, checkPath(value)
	}
	return nil, fmt.Errorf("path modifier type %q is not supported; use ReplaceFullPath or ReplacePrefixMatch", m.Type)
}

// prefixValue is a replacement prefix in its one form: no slash at its end,
// one at its start; empty for "" and "/".
func prefixValue(v string) string {
	if v = strings.Trim(v, "/"); v == "" {
		return ""
	}
	return "/" + v
}

func checkHost(h string) error {
	if !isHostname(h) {
		return fmt.Errorf("hostname %q is no host name; leave out scheme, port and path", h)
	}
	return nil
}

func checkPath(v string) error {
	if strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return fmt.Errorf("path %q has a space or control character; escape it", v)
	}
	return nil
}

func redirect(r *gwv1.HTTPRequestRedirectFilter, matches []plan.Match) (*plan.Redirect, error) {
	path, err := pathRewrite(r.Path, matches)
	if err != nil {
		return nil, err
	}
	out := &plan.Redirect{
		Scheme: deref(r.Scheme, ""),
		Host:   strings.ToLower(string(deref(r.Hostname, ""))),
		Port:   int32(deref(r.Port, 0)),
		Path:   path,
		Status: deref(r.StatusCode, 302),
	}
	if out.Scheme != "" && out.Scheme != "http" && out.Scheme != "https" {
		return nil, fmt.Errorf("redirect scheme %q is not one of http, https", out.Scheme)
	}
	if out.Host != "" {
		if err := checkHost(out.Host); err != nil {
			return nil, err
		}
	}
	switch out.Status {
	case 301, 302, 303, 307, 308:
		return out, nil
	}
	return nil, fmt.Errorf("redirect status %d is not one of 301, 302, 303, 307, 308", out.Status)
}

// requestEdits splits a set Host off the other edits: it is no header to the
// planes but the name that the request is sent to (acceptance gateway 74).
func requestEdits(h *gwv1.HTTPHeaderFilter) (e plan.Edits, host string, err error) {
	if e, err = edits(h); err != nil {
		return e, "", err
	}
	kept := e.Set[:0]
	for _, s := range e.Set {
		if s.Name == "host" {
			host = s.Value
			continue
		}
		kept = append(kept, s)
	}
	if e.Set = kept; len(kept) == 0 {
		e.Set = nil
	}
	for _, a := range e.Add {
		if a.Name == "host" {
			return e, "", fmt.Errorf("header Host can be set but not added to")
		}
	}
	for _, r := range e.Remove {
		if r == "host" {
			return e, "", fmt.Errorf("header Host can be set but not removed")
		}
	}
	return e, host, nil
}

func edits(h *gwv1.HTTPHeaderFilter) (plan.Edits, error) {
	var e plan.Edits
	var err error
	if e.Set, err = fields(h.Set); err != nil {
		return e, err
	}
	if e.Add, err = fields(h.Add); err != nil {
		return e, err
	}
	for _, name := range h.Remove {
		if !httpguts.ValidHeaderFieldName(name) {
			return e, fmt.Errorf("%q is no header name", name)
		}
		e.Remove = append(e.Remove, strings.ToLower(name))
	}
	return e, nil
}

// fields translates header fields; of several for one name the first counts.
func fields(hs []gwv1.HTTPHeader) ([]plan.Header, error) {
	var out []plan.Header
	seen := map[string]bool{}
	for _, h := range hs {
		name := strings.ToLower(string(h.Name))
		if !httpguts.ValidHeaderFieldName(name) {
			return nil, fmt.Errorf("%q is no header name", h.Name)
		}
		if !httpguts.ValidHeaderFieldValue(h.Value) {
			return nil, fmt.Errorf("the value of header %s has a character that no header may have", h.Name)
		}
		if !seen[name] {
			out = append(out, plan.Header{Name: name, Value: h.Value})
		}
		seen[name] = true
	}
	return out, nil
}
