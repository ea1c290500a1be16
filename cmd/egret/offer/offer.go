package offer

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/egret-gateway/egret/plan"
)

// Offer is one provider whose key the environment holds.
type Offer struct {
	Name     string   // path on the gateway, and owner of the models
	Title    string   // as people call it
	Variable string   // that holds the key
	Host     string   // where calls go, over TLS
	Port     int      // 443 unless the environment says otherwise
	Models   []string // that may be called
	Header   string   // field that bears the key; "" = Authorization: Bearer
	Version  string   // sent as anthropic-version; "" = none
	Calls    []Call

	key plan.Bytes
}

// Call is one path, as clients say it and as the provider does.
type Call struct{ Path, Upstream string }

// Left is a provider that is not offered although its key is there.
type Left struct {
	Variable string
	Why      error // names variables, never the key
}

// find reads one vendor's variables; nil when there is no key.
func (v *vendor) find(getenv func(string) string) (*Offer, error) {
	key := strings.TrimSpace(getenv(v.key))
	if key == "" {
		return nil, nil
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fmt.Errorf("%s holds spaces, line breaks or characters that no key has; set it anew", v.key)
	}
	host, port, base, err := v.place(getenv)
	if err != nil {
		return nil, err
	}
	o := &Offer{Name: v.name, Title: v.title, Variable: v.key, Host: host, Port: port, Header: v.header, Version: v.version, Models: v.models, key: plan.Bytes(key)}
	if text := getenv(v.list()); strings.TrimSpace(text) != "" {
		if o.Models, err = models(text); err != nil {
			return nil, fmt.Errorf("%s: %w", v.list(), err)
		}
	}
	if len(o.Models) == 0 {
		return nil, fmt.Errorf(`%s is not set; name your deployments in it, such as "gpt-4o,gpt-4o-mini"`, v.list())
	}
	for _, call := range v.calls {
		o.Calls = append(o.Calls, Call{Path: "/v1" + call, Upstream: base + call})
	}
	return o, nil
}

// hostName is what a destination of type Fqdn may be called.
var hostName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$`)

// place is where the provider's API is: host, port and path. Without TLS it is
// nowhere that a key goes.
func (v *vendor) place(getenv func(string) string) (host string, port int, base string, err error) {
	at, said := v.home, ""
	if v.address != "" {
		said = strings.TrimSpace(getenv(v.address))
	}
	switch {
	case said != "":
		at = said
	case at == "":
		return "", 0, "", fmt.Errorf("%s is not set; set it to the https address of your resource", v.address)
	}
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", 0, "", fmt.Errorf("%s is no plain https address; the key goes nowhere else than to the host it is for", v.address)
	}
	host, port = strings.ToLower(u.Hostname()), 443
	if !hostName.MatchString(host) || net.ParseIP(host) != nil {
		return "", 0, "", fmt.Errorf("%s: its host is no name with a dot; providers are offered by name", v.address)
	}
	if p := u.Port(); p != "" {
		if port, err = strconv.Atoi(p); err != nil || port < 1 || port > 65535 {
			return "", 0, "", fmt.Errorf("%s: its port is not between 1 and 65535", v.address)
		}
	}
	base = strings.TrimRight(u.EscapedPath(), "/")
	return host, port, strings.TrimSuffix(base, v.api) + v.api, nil
}

// longestModel and mostModels bound what a variable may list.
const (
	longestModel = 256
	mostModels   = 100
)

// models reads a list with commas, in its order, each once.
func models(text string) (out []string, err error) {
	for m := range strings.SplitSeq(text, ",") {
		m = strings.TrimSpace(m)
		switch {
		case m == "" || slices.Contains(out, m):
			continue
		case len(m) > longestModel || strings.ContainsFunc(m, func(r rune) bool { return r <= ' ' || r > '~' }):
			return nil, fmt.Errorf("model %.80q: a model is at most %d printable characters without spaces; write a,b", m, longestModel)
		case strings.Contains(strings.TrimSuffix(m, "*"), "*"):
			return nil, fmt.Errorf("model %q: a * may stand at its end only", m)
		case len(out) == mostModels:
			return nil, fmt.Errorf("it lists more than %d models; a * at the end of one stands for any rest", mostModels)
		}
		out = append(out, m)
	}
	if len(out) == 0 {
		return nil, errors.New("it lists no model")
	}
	return out, nil
}
