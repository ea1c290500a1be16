package conform

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/egret-gateway/egret/plan"
)

// entryOf finds a request's entry in a plan, as a foreign router would that
// was given the plan in its own terms: written for plainness, and apart from
// the engine's. It returns "<listener>/<domain>/<entry id>", or "".
func entryOf(p *plan.Plan, r *Request) string {
	path, query, _ := strings.Cut(r.Target, "?")
	host := strings.ToLower(r.Host)
	if u, err := url.Parse("//" + r.Host); err == nil {
		host = strings.ToLower(u.Hostname())
	}
	for _, port := range p.Ports {
		if port.Gateway != r.Gateway || port.Number != r.Port {
			continue
		}
		for _, l := range port.Listeners {
			if !covers(l.Host, host) {
				continue
			}
			for _, v := range l.VHosts {
				if !covers(v.Domain, host) {
					continue
				}
				for _, e := range v.Entries {
					if matches(&e.Match, r, path, query) {
						return l.Name + "/" + v.Domain + "/" + e.ID
					}
				}
				return ""
			}
			return ""
		}
	}
	return ""
}

// covers compares names label by label from the right.
func covers(pattern, host string) bool {
	if pattern == "" || pattern == "*" {
		return true
	}
	want, got := strings.Split(pattern, "."), strings.Split(host, ".")
	if want[0] != "*" {
		return pattern == host
	}
	if len(got) < len(want) {
		return false
	}
	return strings.Join(want[1:], ".") == strings.Join(got[len(got)-len(want)+1:], ".")
}

func matches(m *plan.Match, r *Request, path, query string) bool {
	if m.Method != "" && m.Method != r.Method {
		return false
	}
	switch m.Path.Kind {
	case plan.PathExact:
		if path != m.Path.Value {
			return false
		}
	case plan.PathPrefix:
		prefix := strings.TrimSuffix(m.Path.Value, "/")
		if path != prefix && !strings.HasPrefix(path, prefix+"/") {
			return false
		}
	case plan.PathRegex:
		if !whole(m.Path.Value, path) {
			return false
		}
	}
	for _, h := range m.Headers {
		values := r.Header.Values(h.Name)
		if len(values) == 0 || strings.HasPrefix(h.Name, "x-envoy-") || !equal(&h, strings.Join(values, ",")) {
			return false
		}
	}
	given, _ := url.ParseQuery(query)
	for _, q := range m.Query {
		if !given.Has(q.Name) || !equal(&q, given.Get(q.Name)) {
			return false
		}
	}
	return true
}

func equal(m *plan.ValueMatch, v string) bool {
	if m.Regex {
		return whole(m.Value, v)
	}
	return m.Value == v
}

func whole(pattern, text string) bool {
	re := regexp.MustCompile(pattern)
	re.Longest()
	at := re.FindStringIndex(text)
	return at != nil && at[0] == 0 && at[1] == len(text)
}
