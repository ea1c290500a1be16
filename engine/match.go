package engine

import (
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"strings"

	"github.com/egret-gateway/egret/plan"
)

// matcher is a plan.Match with its patterns compiled.
type matcher struct {
	path    plan.PathMatch
	pathRE  *regexp.Regexp
	method  string
	headers []valueMatcher
	query   []valueMatcher
}

type valueMatcher struct {
	name  string // canonical for headers
	value string
	re    *regexp.Regexp
}

func newMatcher(m *plan.Match) (matcher, error) {
	out := matcher{path: m.Path, method: m.Method}
	var err error
	switch m.Path.Kind {
	case plan.PathRegex:
		if out.pathRE, err = wholeRE(m.Path.Value); err != nil {
			return out, err
		}
	case plan.PathPrefix:
		out.path.Value = strings.TrimRight(m.Path.Value, "/") // "/foo/" and "/foo" are one (Gateway API PathMatchPathPrefix)
	}
	if out.headers, err = valueMatchers(m.Headers, textproto.CanonicalMIMEHeaderKey); err != nil {
		return out, err
	}
	if out.query, err = valueMatchers(m.Query, func(s string) string { return s }); err != nil {
		return out, err
	}
	return out, nil
}

func valueMatchers(in []plan.ValueMatch, name func(string) string) ([]valueMatcher, error) {
	var out []valueMatcher
	for _, v := range in {
		m := valueMatcher{name: name(v.Name), value: v.Value}
		if v.Regex {
			re, err := wholeRE(v.Value)
			if err != nil {
				return nil, err
			}
			m.re = re
		}
		out = append(out, m)
	}
	return out, nil
}

// wholeRE compiles a pattern that must cover the whole value.
func wholeRE(expr string) (*regexp.Regexp, error) {
	re, err := regexp.Compile(`\A(?:` + expr + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("BUG: regular expression %q passed compile: %w", expr, err)
	}
	return re, nil
}

func (m *valueMatcher) holds(values []string) bool {
	if len(values) == 0 {
		return false
	}
	v := values[0]
	if len(values) > 1 {
		v = strings.Join(values, ",") // RFC 9110 5.3: fields of one name are one list
	}
	if m.re != nil {
		return m.re.MatchString(v)
	}
	return v == m.value
}

// target of a match: the request's parts, taken apart once.
type lookup struct {
	method string
	path   string
	header http.Header
	raw    string
	query  url.Values // parsed when the first entry asks
}

func (m *matcher) holds(r *lookup) bool {
	if m.method != "" && m.method != r.method {
		return false
	}
	switch m.path.Kind {
	case plan.PathExact:
		if r.path != m.path.Value {
			return false
		}
	case plan.PathPrefix:
		if !hasPathPrefix(r.path, m.path.Value) {
			return false
		}
	case plan.PathRegex:
		if !m.pathRE.MatchString(r.path) {
			return false
		}
	}
	for i := range m.headers {
		if !m.headers[i].holds(r.header[m.headers[i].name]) {
			return false
		}
	}
	if len(m.query) > 0 && r.query == nil {
		r.query, _ = url.ParseQuery(r.raw) // what does not parse does not match
	}
	for i := range m.query {
		v := r.query[m.query[i].name]
		if len(v) > 1 {
			v = v[:1] // Gateway API: only the first of repeated parameters is looked at
		}
		if !m.query[i].holds(v) {
			return false
		}
	}
	return true
}

// hasPathPrefix reports whether path is prefix or below it, by whole segments.
// prefix has no trailing slash; "" is the root.
func hasPathPrefix(path, prefix string) bool {
	return strings.HasPrefix(path, prefix) && (len(path) == len(prefix) || path[len(prefix)] == '/')
}

// find returns the entry that serves a request, or nil.
func (g *program) find(h *Head, r *lookup) *entry {
	if h.Entry != "" {
		return g.named(h)
	}
	p := g.ports[portKey{h.Gateway, h.Port}]
	if p == nil {
		return nil
	}
	host := hostname(h.Host)
	l := p.listener(h.Listener, host)
	if l == nil {
		return nil
	}
	for _, v := range l.vhosts {
		if !hostMatches(v.domain, host) {
			continue
		}
		for _, e := range v.entries {
			if e.match.holds(r) {
				return e
			}
		}
		return nil // the most specific host name decides alone
	}
	return nil
}

// named returns the entry that a foreign router chose, of the plan that the
// router knows; nil when no plan that is kept has it as the router knows it.
func (g *program) named(h *Head) *entry {
	key := entryKey(h.Gateway, h.Port, h.Entry)
	e := g.entries[key]
	if h.Digest == "" || e != nil && e.digest == h.Digest {
		return e
	}
	for _, was := range g.earlier {
		if e := was.entries[key]; e != nil && e.digest == h.Digest {
			return e
		}
	}
	return nil
}

// listener chooses by name, or else the first whose host fits: they are
// sorted with the most specific first.
func (p *port) listener(name, host string) *listener {
	for _, l := range p.listeners {
		if name != "" {
			if l.name == name {
				return l
			}
			continue
		}
		if l.host == "" || hostMatches(l.host, host) {
			return l
		}
	}
	return nil
}

// hostMatches reports whether a domain ("*", "a.b", "*.b") covers host. A
// wildcard stands for one or more labels (Gateway API Hostname).
func hostMatches(domain, host string) bool {
	if domain == "*" {
		return true
	}
	if strings.HasPrefix(domain, "*.") {
		return len(host) > len(domain)-1 && strings.HasSuffix(host, domain[1:])
	}
	return domain == host
}

// hostname is a Host header without its port, in lower case.
func hostname(host string) string {
	if strings.HasPrefix(host, "[") {
		if i := strings.IndexByte(host, ']'); i > 0 {
			return strings.ToLower(host[1:i])
		}
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.IndexByte(host, ':') == i {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
