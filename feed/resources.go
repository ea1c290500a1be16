package feed

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/xds"
)

// Names of the resources that there is one of.
const (
	nameSettings = "settings"
	nameHead     = "head"
)

// secret is how a plan.Secret travels, and the only thing by which its bytes
// do.
type secret struct {
	Name   string          `json:"name"`
	Kind   plan.SecretKind `json:"kind"`
	Digest string          `json:"digest"`
	Data   []item          `json:"data,omitempty"`
}

type item struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}

// port is how a plan.Port travels: without its entries, which may be many and
// change one by one.
type port struct {
	Port plan.Port `json:"port"`
	// Entries are the names of the Entries resources of each virtual host,
	// both in order.
	Entries [][]string `json:"entries,omitempty"`
}

// Resources returns the feed in parts. Equal feeds have equal parts, and a
// change of one thing changes the part it is in and Head.
func (f *Feed) Resources() []xds.Resource {
	var out []xds.Resource
	add := func(typ, name string, v any) {
		out = append(out, xds.NewResource(typ, name, encode(v)))
	}
	p := f.Plan
	if p == nil {
		p = &plan.Plan{}
	}
	denied := sorted(f.Denied)
	add(TypeSettings, nameSettings, f.Settings)
	for _, d := range denied {
		add(TypeDenial, d.Subject, d)
	}
	for i := range p.Secrets {
		add(TypeSecret, p.Secrets[i].Name, travelling(&p.Secrets[i]))
	}
	for i := range p.Policies {
		add(TypePolicy, p.Policies[i].Name, &p.Policies[i])
	}
	for i := range p.Backends {
		add(TypeBackend, p.Backends[i].Name, &p.Backends[i])
	}
	for i := range p.Rules {
		add(TypeRule, p.Rules[i].Name, &p.Rules[i])
	}
	for i := range p.Ports {
		head, name := port{Port: p.Ports[i]}, portName(&p.Ports[i])
		head.Port.Listeners = slices.Clone(head.Port.Listeners)
		for j := range head.Port.Listeners {
			l := &head.Port.Listeners[j]
			l.VHosts = slices.Clone(l.VHosts)
			for k := range l.VHosts {
				v, names := &l.VHosts[k], []string(nil)
				for _, piece := range pieces(v.Entries) {
					names = append(names, name+"/"+plan.EntryName(l.Name, v.Domain, piece[0].ID))
					add(TypeEntries, names[len(names)-1], piece)
				}
				v.Entries = v.Entries[:0:0]
				head.Entries = append(head.Entries, names)
			}
		}
		add(TypePort, name, head)
	}
	add(TypeHead, nameHead, f.head(p, denied))
	return out
}

func (f *Feed) head(p *plan.Plan, denied []Denial) Head {
	h := Head{Gateway: f.Gateway, Plan: p.Hash(), Epoch: epoch(denied), Settings: plan.Digest(f.Settings), Keep: f.Keep}
	if n := p.Needs(); n > 1 {
		h.Format = n
	}
	return h
}

func portName(p *plan.Port) string { return p.Gateway + ":" + strconv.Itoa(int(p.Number)) }

// pieces cuts entries where their own names say so, about every sixteenth, and
// at the latest after sixty-four. An entry more or less therefore changes one
// piece, or two, and leaves the others as they are.
func pieces(entries []plan.Entry) (out [][]plan.Entry) {
	const usual, most = 16, 64
	start := 0
	for i := range entries {
		end := i + 1
		if end < len(entries) && end-start < most && sha256.Sum256([]byte(entries[end].ID))[0]%usual != 0 {
			continue
		}
		out = append(out, entries[start:end:end])
		start = end
	}
	return out
}

func travelling(s *plan.Secret) secret {
	out := secret{Name: s.Name, Kind: s.Kind, Digest: s.Digest}
	for _, it := range s.Data {
		out.Data = append(out.Data, item{Key: it.Key, Value: it.Value})
	}
	return out
}

func (s *secret) arrived() plan.Secret {
	out := plan.Secret{Name: s.Name, Kind: s.Kind, Digest: s.Digest}
	for _, it := range s.Data {
		out.Data = append(out.Data, plan.Item{Key: it.Key, Value: it.Value})
	}
	return out
}

// sorted returns the denials by subject, of two for one subject the later, in
// UTC, as they are hashed.
func sorted(in []Denial) []Denial {
	out := make([]Denial, 0, len(in))
	for _, d := range in {
		d.Until = d.Until.UTC().Round(0)
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b Denial) int {
		if c := strings.Compare(a.Subject, b.Subject); c != 0 {
			return c
		}
		return b.Until.Compare(a.Until)
	})
	return slices.CompactFunc(out, func(a, b Denial) bool { return a.Subject == b.Subject })
}

func epoch(denied []Denial) string { return plan.Digest(sorted(denied)) }

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: a feed holds a value that JSON cannot express: " + err.Error())
	}
	return b
}
