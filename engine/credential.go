package engine

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/rule"
	"github.com/egret-gateway/egret/provider/account"
)

// accounts are those of one backend, with their conditions compiled.
type accounts struct {
	all      []payer
	needBody bool
	fields   map[string]bool // headers that hold one of its credentials, as fieldName makes them
	queries  map[string]bool // and query parameters
	optional bool            // all of them fail open
}

type payer struct {
	*account.Use
	when *rule.Program // nil = always
}

// newAccounts compiles a backend's accounts; nil when it has none. Conditions
// that the program before has compiled are taken over.
func (g *program) newAccounts(b *plan.Backend, secrets map[string]*plan.Secret, old *program) (*accounts, error) {
	if len(b.Accounts) == 0 {
		return nil, nil
	}
	out := &accounts{fields: map[string]bool{}, queries: map[string]bool{}, optional: true}
	for i := range b.Accounts {
		p := &b.Accounts[i]
		a := payer{Use: account.NewUse(p, secrets[p.Secret])}
		if p.When != "" {
			if a.when = old.whens[p.When]; a.when == nil {
				var err error
				if a.when, err = rule.CompilePredicate(p.When); err != nil {
					return nil, fmt.Errorf("%s: account %s: %w", b.Object, p.Name, err)
				}
			}
			g.whens[p.When] = a.when
			out.needBody = out.needBody || a.when.NeedsRequestBody()
		}
		out.needBody = out.needBody || p.ReadsBody()
		out.optional = out.optional && p.FailOpen
		if p.Scheme == plan.SchemeQuery {
			out.queries[p.Field] = true
		} else if p.Field != "" {
			out.fields[fieldName(p.Field)] = true
		}
		out.all = append(out.all, a)
	}
	return out, nil
}

// credit puts the backend's own credential in the place of whatever the caller,
// a policy or a route has said who calls (acceptance gateway 108, 109). It is
// the last to change a request, and does it anew for every try.
func (x *Exchange) credit(a *Attempt, t *target) *Refusal {
	x.payer, x.Record.Account = nil, ""
	if t.accounts == nil {
		return nil
	}
	x.anonymise(a, t.accounts)
	chosen := x.account(t.accounts)
	if chosen == nil {
		if t.accounts.optional {
			return nil
		}
		r := x.shape(http.StatusForbidden, "no_credential", "the gateway has no credential for this call")
		r.Reason = t.backend.Object + ": no credential injector's condition holds for this call"
		return r
	}
	if chosen.Account.Scheme == plan.SchemeNone { // it fails open: nothing is shown, so nothing is learned
		return nil
	}
	if chosen.Account.Scheme == plan.SchemeQuery && a.Path == "*" { // HTTP/2 knows no such path, and says which in its error
		return plain(http.StatusBadRequest, "bad_path", "OPTIONS * has no query, which is where the backend's credential would go")
	}
	if chosen.Account.Pod() {
		if ns, _, _ := strings.Cut(x.head.Gateway, "/"); ns != chosen.Account.Namespace {
			return x.uncredited(t, chosen, errors.New("the gateway's own identity is lent to backends of its own namespace only"))
		}
	}
	out := account.Request{Method: x.head.Method, Host: a.Host, Path: a.Path, Header: a.Header, Body: a.Body}
	if err := x.engine.deps.Accounts.Apply(chosen.Use, &out); err != nil {
		return x.uncredited(t, chosen, err)
	}
	a.Path, x.payer, x.Record.Account = out.Path, chosen, chosen.Account.Name
	return nil
}

// doubted tells whoever fetched a credential that the backend does not take it.
func (x *Exchange) doubted(status int) {
	if status == http.StatusUnauthorized && x.payer != nil {
		x.engine.deps.Accounts.Doubt(x.payer.Use)
	}
}

// bound reports whether a backend is called by its own name alone: a route that
// writes another could have the credential delivered to a neighbour behind the
// same front. Behind an address only a route can know a name.
func (t *target) bound() bool {
	if t.accounts == nil || t.backend.Authority == "" {
		return false
	}
	_, err := netip.ParseAddr(strings.Trim(t.backend.Authority, "[]"))
	return err != nil
}

// account is the first whose condition holds. It must hold however a server
// may read the path, since a client chooses how to spell that; one that cannot
// be evaluated does not hold.
func (x *Exchange) account(of *accounts) *payer {
	if x.entry.policy == nil {
		x.prepare()
	}
	bare := x.input.Bare()
	holds := func(p *rule.Program, in *rule.Input) bool {
		ok, err := p.True(in)
		return ok && err == nil
	}
	for i := range of.all {
		a := &of.all[i]
		if a.when == nil || holds(a.when, &x.input) && (bare == nil || holds(a.when, bare)) {
			return a
		}
	}
	return nil
}

// uncredited answers for a credential that is not to be had; where its account
// fails open the request goes on with none.
func (x *Exchange) uncredited(t *target, a *payer, err error) *Refusal {
	t.seen.Refused(x.engine.deps.Now(), err.Error())
	if a.Account.FailOpen {
		return nil
	}
	status := http.StatusInternalServerError
	if errors.Is(err, account.ErrUnavailable) {
		status = http.StatusServiceUnavailable
	}
	r := x.shape(status, "no_credential", "the gateway cannot show this backend a credential just now")
	r.Reason = t.backend.Object + ": " + err.Error()
	if status == http.StatusServiceUnavailable {
		r.Header.Set("Retry-After", "1")
	}
	return r
}

// anonymise takes out of a request everything that one could be known by: what
// fields and parameters of such names hold, and those that the policy or the
// backend's accounts name.
func (x *Exchange) anonymise(a *Attempt, own *accounts) {
	for name := range a.Header {
		field := fieldName(name)
		if own.fields[field] || plan.Bears(name) || x.entry.policy.bears(field) {
			delete(a.Header, name)
		}
	}
	anonymiseProtocols(a.Header)
	path, query, asked := strings.Cut(a.Path, "?")
	if !asked {
		return
	}
	query = keepParameters(query, func(name string) bool {
		return !own.queries[name] && !plan.BearsQuery(name) && !x.entry.policy.asks(name)
	})
	if a.Path = path; query != "" {
		a.Path += "?" + query
	}
}

// secretProtocol begins a WebSocket's protocol that is a key: browsers have no
// other way to send one to a provider.
const secretProtocol = "openai-insecure-api-key."

func anonymiseProtocols(h http.Header) {
	const field = "Sec-Websocket-Protocol"
	var kept []string
	for _, line := range h[field] {
		for p := range strings.SplitSeq(line, ",") {
			if p = strings.TrimSpace(p); p != "" && !strings.HasPrefix(strings.ToLower(p), secretProtocol) {
				kept = append(kept, p)
			}
		}
	}
	if delete(h, field); len(kept) > 0 {
		h[field] = []string{strings.Join(kept, ", ")}
	}
}

// keepParameters are the parameters of a query whose decoded names pass. A ";"
// separates them too, as some servers read it.
func keepParameters(query string, pass func(string) bool) string {
	kept := slices.DeleteFunc(strings.Split(query, "&"), func(part string) bool {
		for piece := range strings.SplitSeq(part, ";") {
			name, _, _ := strings.Cut(piece, "=")
			if plain, err := url.QueryUnescape(name); err == nil {
				name = plain
			}
			if !pass(name) {
				return true
			}
		}
		return false
	})
	return strings.Join(kept, "&")
}

// references are the fields of an answer that hold addresses.
var references = []string{"Location", "Content-Location", "Refresh", "Link"}

// conceal takes a credential that went out in the query back out of where an
// answer leads: a server that redirects often keeps the query. A value that
// shows it even so, as in an address within the address, goes as a whole.
func (x *Exchange) conceal(h http.Header) {
	if x.payer == nil || x.payer.Account.Scheme != plan.SchemeQuery {
		return
	}
	key := string(x.payer.Secret.Item(x.payer.Account.Key))
	for _, name := range references {
		values := h[name]
		for i, v := range values {
			values[i] = withoutParameter(v, x.payer.Account.Field)
		}
		values = slices.DeleteFunc(values, func(v string) bool {
			return strings.Contains(v, key) || strings.Contains(v, url.QueryEscape(key))
		})
		if h[name] = values; len(values) == 0 {
			delete(h, name)
		}
	}
}

// withoutParameter is a text without a parameter of the queries in it. Where a
// query ends follows from what none may hold (RFC 3986 3.4); a "?" in it, which
// it may, makes no difference.
func withoutParameter(text, parameter string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "?")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		end := strings.IndexAny(rest, "?#<>\" \t")
		if end < 0 {
			end = len(rest)
		}
		query := keepParameters(rest[:end], func(name string) bool { return name != parameter })
		if query != "" || end == 0 {
			out.WriteString("?" + query)
		}
		text = rest[end:]
	}
}

// bears reports whether a policy looks for a credential in a field; asks, in a
// query parameter.
func (p *policy) bears(field string) bool { return p != nil && p.places[field] }
func (p *policy) asks(name string) bool   { return p != nil && p.parameters[name] }
