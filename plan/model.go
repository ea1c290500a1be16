package plan

import "strings"

// Fields by which a gateway tells the next one which model a call is for, and
// whose it is (Models). Their names are those that routes of such gateways
// match on.
const (
	HeaderModel    = "X-Gateway-Model-Name"
	HeaderProvider = "X-Target-Provider"
)

// Models lets the model that a call's body names decide where the call goes.
// What it does not know goes by the rule's Targets, unless it is Strict.
type Models struct {
	Source string `json:"source,omitempty"` // "ConfigMap default/models"
	// Strict: a call of these paths whose body names no model of the List is
	// refused with 400 (acceptance gateway 128, 145).
	Strict bool    `json:"strict,omitempty"`
	List   []Model `json:"list,omitempty"` // sorted by Name, which is unique
}

// Model is one model of Models.
type Model struct {
	Name     string `json:"name,omitempty"`     // as clients say it; a trailing "*" stands for any rest
	Provider string `json:"provider,omitempty"` // told a Service that the call goes to, as HeaderProvider
	Upstream string `json:"upstream,omitempty"` // what the model is called there; "" = as the client says
	// Target is where its calls go; nil = by the rule's Targets.
	Target *Target `json:"target,omitempty"`
	// Bare: the credentials that came with the call stay behind. They were
	// meant for the rule's own backends.
	Bare bool `json:"bare,omitempty"`
}

// Pattern reports whether the name stands for several models, and what all of
// these begin with.
func (m *Model) Pattern() (prefix string, ok bool) { return strings.CutSuffix(m.Name, "*") }

// Chosen returns the targets that models have of their own.
func (m *Models) Chosen() (out []*Target) {
	if m == nil {
		return nil
	}
	for i := range m.List {
		if t := m.List[i].Target; t != nil {
			out = append(out, t)
		}
	}
	return out
}

// Leads returns all targets that requests of the rule may go to.
func (r *Rule) Leads() (out []*Target) {
	if r == nil {
		return nil
	}
	for i := range r.Targets {
		out = append(out, &r.Targets[i])
	}
	return append(out, r.Models.Chosen()...)
}
