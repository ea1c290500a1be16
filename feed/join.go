package feed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/xds"
)

// Join puts a feed together again. It refuses resources that are not exactly
// what Resources writes, and any sum of them that is not what Head says.
func Join(resources []xds.Resource) (*Feed, error) {
	p := newParts()
	for _, r := range resources {
		if err := p.put(r); err != nil {
			return nil, err
		}
	}
	return p.join(nil)
}

// parts are the resources that are here, decoded.
type parts struct {
	settings map[string]Settings
	denials  map[string]Denial
	secrets  map[string]secret
	policies map[string]plan.Policy
	backends map[string]plan.Backend
	rules    map[string]plan.Rule
	entries  map[string][]plan.Entry
	ports    map[string]port
	heads    map[string]Head
}

func newParts() *parts {
	return &parts{
		settings: map[string]Settings{}, denials: map[string]Denial{}, secrets: map[string]secret{},
		policies: map[string]plan.Policy{}, backends: map[string]plan.Backend{}, rules: map[string]plan.Rule{},
		entries: map[string][]plan.Entry{}, ports: map[string]port{}, heads: map[string]Head{},
	}
}

// put takes a resource in, in place of the one that it had by that name.
func (p *parts) put(r xds.Resource) error {
	switch r.Type {
	case TypeSettings:
		return keep(p.settings, r, func(*Settings) string { return nameSettings })
	case TypeDenial:
		return keep(p.denials, r, func(d *Denial) string { return d.Subject })
	case TypeSecret:
		return keep(p.secrets, r, func(s *secret) string { return s.Name })
	case TypePolicy:
		return keep(p.policies, r, func(x *plan.Policy) string { return x.Name })
	case TypeBackend:
		return keep(p.backends, r, func(b *plan.Backend) string { return b.Name })
	case TypeRule:
		return keep(p.rules, r, func(x *plan.Rule) string { return x.Name })
	case TypeEntries:
		return keep(p.entries, r, func(*[]plan.Entry) string { return r.Name })
	case TypePort:
		return keep(p.ports, r, func(x *port) string { return portName(&x.Port) })
	case TypeHead:
		return p.putHead(r)
	}
	return fmt.Errorf("resource %q has type %q, which is none of a feed; %s", r.Name, r.Type, apart)
}

// apart is what to do about a feed that cannot be understood.
const apart = "controller and pod are of different releases: roll the Gateway's pods to the controller's"

// keep decodes r into m. Only the bytes that encode would write are accepted:
// no unknown or double field, nothing after the value. Errors never show the
// value, which may be a secret.
func keep[T any](m map[string]T, r xds.Resource, name func(*T) string) error {
	var v T
	if err := json.Unmarshal(r.Value, &v); err != nil || !bytes.Equal(encode(v), r.Value) {
		return fmt.Errorf("%s %q holds something that this release does not know (it reads plans of format %d); %s", kind(r.Type), r.Name, plan.Format, apart)
	}
	if is := name(&v); is != r.Name {
		return fmt.Errorf("%s %q calls itself %q", kind(r.Type), r.Name, is)
	}
	m[r.Name] = v
	return nil
}

// putHead looks at the format first: a head that needs a later one may hold
// more than can be read here, and says what is the matter with the rest.
func (p *parts) putHead(r xds.Resource) error {
	var h struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(r.Value, &h); err == nil && h.Format > plan.Format {
		return fmt.Errorf("the plan needs format %d and this release understands %d; %s", h.Format, plan.Format, apart)
	}
	return keep(p.heads, r, func(*Head) string { return nameHead })
}

func kind(typeURL string) string { return typeURL[strings.LastIndexByte(typeURL, '.')+1:] }

// drop takes a resource out.
func (p *parts) drop(typ, name string) {
	switch typ {
	case TypeSettings:
		delete(p.settings, name)
	case TypeDenial:
		delete(p.denials, name)
	case TypeSecret:
		delete(p.secrets, name)
	case TypePolicy:
		delete(p.policies, name)
	case TypeBackend:
		delete(p.backends, name)
	case TypeRule:
		delete(p.rules, name)
	case TypeEntries:
		delete(p.entries, name)
	case TypePort:
		delete(p.ports, name)
	case TypeHead:
		delete(p.heads, name)
	}
}

// merge takes in all of from.
func (p *parts) merge(from *parts) {
	maps.Copy(p.settings, from.settings)
	maps.Copy(p.denials, from.denials)
	maps.Copy(p.secrets, from.secrets)
	maps.Copy(p.policies, from.policies)
	maps.Copy(p.backends, from.backends)
	maps.Copy(p.rules, from.rules)
	maps.Copy(p.entries, from.entries)
	maps.Copy(p.ports, from.ports)
	maps.Copy(p.heads, from.heads)
}

// join returns the feed that the parts add up to. Where the plan is that of
// last, it is the same pointer.
func (p *parts) join(last *joined) (*Feed, error) {
	head, ok := p.heads[nameHead]
	if !ok {
		return nil, fmt.Errorf("the feed has no head yet")
	}
	settings, ok := p.settings[nameSettings]
	if !ok || plan.Digest(settings) != head.Settings {
		return nil, fmt.Errorf("the settings are not those of the head")
	}
	f := &Feed{Gateway: head.Gateway, Settings: settings, Denied: values(p.denials), Keep: head.Keep}
	if f.Epoch() != head.Epoch {
		return nil, fmt.Errorf("the %d denials are not those of the head", len(f.Denied))
	}
	if last != nil && last.head.Plan == head.Plan {
		f.Plan = last.feed.Plan
	} else {
		var err error
		if f.Plan, err = p.plan(); err != nil {
			return nil, err
		}
		if got := f.Plan.Hash(); got != head.Plan {
			return nil, fmt.Errorf("the parts make plan %s, the head says %s", got, head.Plan)
		}
		if err := f.Plan.Check(); err != nil {
			return nil, unknown{err}
		}
	}
	for i := range f.Plan.Ports {
		if g := f.Plan.Ports[i].Gateway; g != head.Gateway {
			return nil, fmt.Errorf("a port belongs to Gateway %s, the feed to %s", g, head.Gateway)
		}
	}
	return f, nil
}

// unknown is a feed that is whole and cannot be served.
type unknown struct{ error }

func (u unknown) Error() string { return u.error.Error() + "; " + apart }

// joined is a feed with the head that it met.
type joined struct {
	head Head
	feed *Feed
}

// plan puts the plan together.
func (p *parts) plan() (*plan.Plan, error) {
	out := &plan.Plan{
		Rules: values(p.rules), Policies: values(p.policies), Backends: values(p.backends),
	}
	for _, s := range values(p.secrets) {
		out.Secrets = append(out.Secrets, s.arrived())
	}
	used := 0
	for _, x := range values(p.ports) {
		listeners, vhost := slices.Clone(x.Port.Listeners), 0
		for j := range listeners {
			l := &listeners[j]
			l.VHosts = slices.Clone(l.VHosts)
			for k := range l.VHosts {
				if vhost == len(x.Entries) {
					return nil, fmt.Errorf("port %s lists the entries of %d virtual hosts and has more", portName(&x.Port), vhost)
				}
				for _, name := range x.Entries[vhost] {
					piece, ok := p.entries[name]
					if !ok {
						return nil, fmt.Errorf("port %s has entries %q, which are not here", portName(&x.Port), name)
					}
					l.VHosts[k].Entries = append(l.VHosts[k].Entries, piece...)
					used++
				}
				vhost++
			}
		}
		x.Port.Listeners = listeners
		out.Ports = append(out.Ports, x.Port)
	}
	if used != len(p.entries) {
		return nil, fmt.Errorf("%d of %d pieces of entries are used", used, len(p.entries))
	}
	slices.SortFunc(out.Ports, func(a, b plan.Port) int {
		if c := strings.Compare(a.Gateway, b.Gateway); c != 0 {
			return c
		}
		return int(a.Number - b.Number)
	})
	return out, nil
}

// values returns what is in m by the order of the names.
func values[T any](m map[string]T) []T {
	var out []T
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[name])
	}
	return out
}
