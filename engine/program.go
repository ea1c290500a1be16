package engine

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/auth"
	"github.com/egret-gateway/egret/policy/rule"
	"github.com/egret-gateway/egret/sight"
)

// program is a plan made ready to run: names resolved to pointers, expressions
// and patterns compiled.
type program struct {
	plan     *plan.Plan
	book     *sight.Book
	hash     string
	earlier  []*program // that a foreign router may still name entries of, latest first
	left     time.Time  // when it became one of these
	ports    map[portKey]*port
	policies map[string]*policy
	entries  map[string]*entry // "<gateway>:<port>/<listener>/<domain>/<entry id>", for foreign matchers
	backends map[string]*plan.Backend
	accounts map[string]*accounts     // by backend
	whens    map[string]*rule.Program // conditions of accounts, by their text
	secrets  string                   // digest of all secrets that policies may read
	tags     map[string]string        // by gateway: see loopTag
}

type portKey struct {
	gateway string
	number  int32
}

type port struct {
	listeners []*listener
}

type listener struct {
	name   string
	host   string
	vhosts []*vhost
}

type vhost struct {
	domain  string
	entries []*entry
}

type entry struct {
	match    matcher
	listener string
	digest   string // plan.Digests; "" unless a foreign router names entries
	named    bool   // for a host name, not for all
	rule     *plan.Rule
	targets  []target
	models   *models // nil: the body decides nothing
	weight   int64   // sum over targets
	needBody bool    // some backend's credential depends on the body
	mute     bool    // some backend is not to be asked for its usage
	policy   *policy
}

type target struct {
	plan    *plan.Target
	backend *plan.Backend // nil when the target is a fault
	// accounts are the backend's; nil when it has none.
	accounts *accounts
	seen     *sight.Backend // where answers are noted
}

// policy is a plan.Policy with its expressions compiled.
type policy struct {
	plan   *plan.Policy
	auth   *auth.Pipeline // nil: nobody is asked
	limits []limit        // calls first, then tokens
	// claimed are the headers that success rules set: what a client sends
	// under these names is dropped. Names are as fieldName makes them.
	claimed map[string]bool
	// bearing are the headers that credentials come in. Where they are
	// claimed too, they stay for the policy to read and are dropped later.
	bearing map[string]bool
	// places and parameters are the headers, beside Authorization and Cookie,
	// and the query parameters in which it looks for credentials.
	places, parameters map[string]bool

	metered  bool // has token limits
	needBody bool // some expression reads the request's body
}

type limit struct {
	plan     *plan.Limit
	tokens   bool
	when     []*rule.Program
	counters []*rule.Program
	reserve  *rule.Program
	rates    []string // in the names of windows, one per rate
}

func newProgram(p *plan.Plan, d Deps, old *program) (*program, error) {
	deps := d.Auth
	g := &program{
		plan:     p,
		book:     d.Sight,
		hash:     p.Hash(),
		ports:    make(map[portKey]*port, len(p.Ports)),
		policies: make(map[string]*policy, len(p.Policies)),
		entries:  make(map[string]*entry),
		backends: make(map[string]*plan.Backend, len(p.Backends)),
		accounts: make(map[string]*accounts, len(p.Backends)),
		whens:    make(map[string]*rule.Program),
		secrets:  readSecrets(p),
		tags:     map[string]string{},
	}
	secrets := make(map[string]*plan.Secret, len(p.Secrets))
	for i := range p.Secrets {
		secrets[p.Secrets[i].Name] = &p.Secrets[i]
	}
	deps.Secrets = func(name string) *plan.Secret { return secrets[name] }
	for i := range p.Backends {
		b := &p.Backends[i]
		g.backends[b.Name] = b
		a, err := g.newAccounts(b, secrets, old)
		if err != nil {
			return nil, err
		}
		g.accounts[b.Name] = a
	}
	for i := range p.Policies {
		pol := &p.Policies[i]
		// An unchanged policy keeps its compiled form and with it its caches.
		if was, ok := old.policies[pol.Name]; ok && old.secrets == g.secrets {
			g.policies[pol.Name] = was
			continue
		}
		c, err := newPolicy(pol, deps)
		if err != nil {
			return nil, err
		}
		g.policies[pol.Name] = c
	}
	rules := make(map[string]*plan.Rule, len(p.Rules))
	for i := range p.Rules {
		rules[p.Rules[i].Name] = &p.Rules[i]
	}
	for _, gateway := range p.Gateways() {
		g.tags[gateway] = loopTag(d.Instance, gateway)
	}
	for i := range p.Ports {
		var digests map[string]string
		if d.Routed {
			digests = p.Digests(&p.Ports[i])
		}
		if err := g.addPort(&p.Ports[i], rules, digests); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// readSecrets is the digest of all secrets that policies may read. Those of
// accounts are not among them: a key that is rotated costs no policy its caches.
func readSecrets(p *plan.Plan) string {
	shown, read := map[string]bool{}, []plan.Secret{}
	for i := range p.Backends {
		for j := range p.Backends[i].Accounts {
			shown[p.Backends[i].Accounts[j].Secret] = true
		}
	}
	for i := range p.Policies {
		for _, name := range p.Policies[i].Auth.Secrets() {
			delete(shown, name)
		}
	}
	for i := range p.Secrets {
		if !shown[p.Secrets[i].Name] {
			read = append(read, p.Secrets[i])
		}
	}
	return plan.Digest(read)
}

func (g *program) addPort(p *plan.Port, rules map[string]*plan.Rule, digests map[string]string) error {
	out := &port{}
	for i := range p.Listeners {
		pl := &p.Listeners[i]
		l := &listener{name: pl.Name, host: pl.Host}
		for j := range pl.VHosts {
			v := &vhost{domain: pl.VHosts[j].Domain}
			for k := range pl.VHosts[j].Entries {
				pe := &pl.VHosts[j].Entries[k]
				e, err := g.newEntry(pl.Name, pe, rules)
				if err != nil {
					return fmt.Errorf("gateway %s listener %s entry %s: %w", p.Gateway, pl.Name, pe.ID, err)
				}
				e.named = v.domain != "*"
				v.entries = append(v.entries, e)
				name := plan.EntryName(pl.Name, v.domain, pe.ID)
				e.digest = digests[name]
				g.entries[entryKey(p.Gateway, p.Number, name)] = e
			}
			l.vhosts = append(l.vhosts, v)
		}
		out.listeners = append(out.listeners, l)
	}
	g.ports[portKey{p.Gateway, p.Number}] = out
	return nil
}

func entryKey(gateway string, port int32, entry string) string {
	return gateway + ":" + strconv.Itoa(int(port)) + "/" + entry
}

func (g *program) newEntry(listener string, pe *plan.Entry, rules map[string]*plan.Rule) (*entry, error) {
	m, err := newMatcher(&pe.Match)
	if err != nil {
		return nil, err
	}
	r, ok := rules[pe.Rule]
	if !ok {
		return nil, fmt.Errorf("BUG: the plan has no rule %q", pe.Rule)
	}
	e := &entry{match: m, listener: listener, rule: r}
	if pe.Policy != "" {
		if e.policy, ok = g.policies[pe.Policy]; !ok {
			return nil, fmt.Errorf("BUG: the plan has no policy %q", pe.Policy)
		}
	}
	for i := range r.Targets {
		t, err := g.newTarget(&r.Targets[i])
		if err != nil {
			return nil, err
		}
		e.targets = append(e.targets, t)
		e.weight += int64(t.plan.Weight)
	}
	if e.models, err = g.newModels(r.Models); err != nil {
		return nil, err
	}
	leads := e.leads()
	e.needBody = slices.ContainsFunc(leads, func(t *target) bool { return t.accounts != nil && t.accounts.needBody })
	e.mute = slices.ContainsFunc(leads, func(t *target) bool { return t.backend != nil && !t.backend.AskUsage })
	return e, nil
}

func (g *program) newTarget(p *plan.Target) (target, error) {
	t := target{plan: p}
	if p.Fault == nil {
		var ok bool
		if t.backend, ok = g.backends[p.Backend]; !ok {
			return t, fmt.Errorf("BUG: the plan has no backend %q", p.Backend)
		}
		t.accounts, t.seen = g.accounts[p.Backend], g.book.Of(p.Backend)
	}
	return t, nil
}

// leads returns all targets that requests may go to.
func (e *entry) leads() (out []*target) {
	for i := range e.targets {
		out = append(out, &e.targets[i])
	}
	if e.models != nil {
		for i := range e.models.list {
			if t := e.models.list[i].target; t != nil {
				out = append(out, t)
			}
		}
	}
	return out
}

func newPolicy(p *plan.Policy, deps auth.Deps) (*policy, error) {
	c := &policy{plan: p, metered: len(p.Token) > 0}
	if p.Fault != nil {
		return c, nil
	}
	if p.Auth != nil {
		var err error
		if c.auth, err = auth.New(p.Auth, deps); err != nil {
			return nil, fmt.Errorf("AuthPolicy %s: %w", p.Auth.Source, err)
		}
		c.claimed, c.bearing = map[string]bool{}, map[string]bool{"Authorization": true, "Cookie": true}
		c.places, c.parameters = map[string]bool{}, map[string]bool{}
		for _, h := range p.Auth.Headers {
			c.claimed[fieldName(h.Key)] = true
		}
		for _, a := range p.Auth.Authentication {
			switch a.Credential.In {
			case plan.InHeader:
				c.bearing[fieldName(a.Credential.Name)] = true
				c.places[fieldName(a.Credential.Name)] = true
			case plan.InQuery:
				c.parameters[a.Credential.Name] = true
			}
		}
	}
	for i := range p.Calls {
		if err := c.addLimit(&p.Calls[i], false); err != nil {
			return nil, err
		}
	}
	for i := range p.Token {
		if err := c.addLimit(&p.Token[i], true); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *policy) addLimit(p *plan.Limit, tokens bool) error {
	l := limit{plan: p, tokens: tokens}
	compile := func(expr string, into *[]*rule.Program, make func(string) (*rule.Program, error)) error {
		prog, err := make(expr)
		if err != nil {
			return fmt.Errorf("limit %s of %s: %w", p.Name, p.Source, err)
		}
		c.needBody = c.needBody || prog.NeedsRequestBody()
		*into = append(*into, prog)
		return nil
	}
	for _, w := range p.When {
		if err := compile(w, &l.when, rule.CompilePredicate); err != nil {
			return err
		}
	}
	for _, x := range p.Counters {
		if err := compile(x, &l.counters, rule.Compile); err != nil {
			return err
		}
	}
	if p.Reserve != nil {
		var one []*rule.Program
		if err := compile(p.Reserve.Amount, &one, rule.Compile); err != nil {
			return err
		}
		l.reserve = one[0]
	}
	for _, r := range p.Rates {
		l.rates = append(l.rates, rateKey(r))
	}
	c.limits = append(c.limits, l)
	return nil
}
