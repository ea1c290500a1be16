package engine

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/egret-gateway/egret/dialect"
	"github.com/egret-gateway/egret/plan"
)

// models is a plan.Models ready to be asked.
type models struct {
	plan     *plan.Models
	list     []model
	exact    map[string]*model
	prefixes []prefixed // longest first
}

type model struct {
	plan   *plan.Model
	target *target // nil: by the rule's targets
}

type prefixed struct {
	prefix string
	model  *model
}

func (g *program) newModels(p *plan.Models) (*models, error) {
	if p == nil {
		return nil, nil
	}
	out := &models{plan: p, list: make([]model, len(p.List)), exact: make(map[string]*model, len(p.List))}
	for i := range p.List {
		m := &out.list[i]
		m.plan = &p.List[i]
		if to := m.plan.Target; to != nil {
			t, err := g.newTarget(to)
			if err != nil {
				return nil, err
			}
			m.target = &t
		}
		if prefix, ok := m.plan.Pattern(); ok {
			out.prefixes = append(out.prefixes, prefixed{prefix, m})
		} else {
			out.exact[m.plan.Name] = m
		}
	}
	slices.SortFunc(out.prefixes, func(a, b prefixed) int { return cmp.Compare(len(b.prefix), len(a.prefix)) })
	return out, nil
}

// find returns the model of that name: one so called, else that of the longest
// pattern that fits; nil when there is none.
func (m *models) find(name string) *model {
	if found := m.exact[name]; found != nil || name == "" {
		return found
	}
	for i := range m.prefixes {
		if p := &m.prefixes[i]; strings.HasPrefix(name, p.prefix) {
			return p.model
		}
	}
	return nil
}

// inference reports whether the rule's models decide about a request of this
// path, so that one without a body or a model is refused (acceptance gateway
// 128). All other paths go by the rule's targets.
func (x *Exchange) inference() bool {
	m := x.entry.models
	if m == nil || !m.plan.Strict {
		return false
	}
	return x.spoken != dialect.None || suggested(http.MethodPost, x.path) != dialect.None
}

// byModel finds the model that the body names, once it has been read. The
// refusals are, word for word, those that clients of such a path know
// (acceptance gateway 145).
func (x *Exchange) byModel() *Refusal {
	m := x.entry.models
	if m == nil {
		return nil
	}
	if x.ai {
		x.model = m.find(x.call.Model)
	}
	if x.model != nil || !x.inference() {
		return nil
	}
	switch {
	case len(x.body) == 0:
		return x.unsupported("missing_body", "missing request body")
	case x.call.Model == "":
		return x.unsupported("missing_model", "missing model in request body")
	}
	return x.unsupported("unsupported_model", "unsupported model: "+x.call.Model)
}

// unsupported is in Anthropic's shape for a caller of that dialect, whose
// clients can read no other.
func (x *Exchange) unsupported(code, message string) *Refusal {
	if x.spoken == dialect.AnthropicMessages {
		return x.shape(http.StatusBadRequest, code, message)
	}
	var body bytes.Buffer
	text := json.NewEncoder(&body)
	text.SetEscapeHTML(false)
	if err := text.Encode(map[string]string{"error": message}); err != nil {
		panic("BUG: a text that JSON cannot express: " + err.Error())
	}
	return &Refusal{
		Status: http.StatusBadRequest, Code: code, Reason: fmt.Sprintf("%s (%s)", message, x.entry.models.plan.Source),
		Header: http.Header{"Content-Type": {"application/json"}}, Body: bytes.TrimSuffix(body.Bytes(), []byte("\n")),
	}
}

// tell says to a Service which model a call is for and whose it is. What a
// client says under these names goes nowhere from a rule that has models
// (acceptance gateway 124).
func (x *Exchange) tell(h http.Header, t *target) {
	if x.entry.models == nil {
		return
	}
	delete(h, plan.HeaderModel)
	delete(h, plan.HeaderProvider)
	if x.model == nil || !t.backend.Platform || x.model.plan.Provider == "" {
		return
	}
	h.Set(plan.HeaderModel, textproto.TrimString(cmp.Or(x.model.plan.Upstream, x.call.Model)))
	h.Set(plan.HeaderProvider, x.model.plan.Provider)
}

// bare leaves behind what was meant for the rule's own backends.
func (x *Exchange) bare(h http.Header) {
	if x.model == nil || !x.model.plan.Bare {
		return
	}
	for name := range h {
		if plan.Bears(name) || x.entry.policy.bears(fieldName(name)) {
			delete(h, name)
		}
	}
}

// bareQuery is bare for the places in a query.
func (x *Exchange) bareQuery(query string) string {
	if x.model == nil || !x.model.plan.Bare || query == "" {
		return query
	}
	return keepParameters(query, func(name string) bool { return !plan.BearsQuery(name) && !x.entry.policy.asks(name) })
}

// named is the body with the model as its backend calls it, every other byte
// as it came. The answer says of the model what the backend says.
func (x *Exchange) named() []byte {
	if x.model == nil || x.model.plan.Upstream == "" {
		return x.body
	}
	patched, err := dialect.SetModel(x.body, x.model.plan.Upstream)
	if err != nil {
		return x.body // it was read before, by the same rules
	}
	return patched
}
