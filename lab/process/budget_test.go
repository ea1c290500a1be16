package process

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/egret-gateway/egret/lab/child"
)

// TestBudgets asks one quickstart with a simulator that echoes, so that every
// call has a cost that is known beforehand, as several people.
func TestBudgets(t *testing.T) {
	dir := child.Fixed(t)
	bridge := read(t, filepath.Join(dir, "openshift/maas-bridge.yaml"))
	child.Write(t, filepath.Join(dir, "openshift/second-bridge.yaml"), strings.NewReplacer("external-model-bridge", "second-bridge",
		"external-bridge-auth", "second-bridge-auth", "/external/", "/second/").Replace(bridge))
	users := newPeople(t)
	ann, bob := users.add(t, "ann"), users.add(t, "bob")
	pia, eva := users.add(t, "pia", "premium-group"), users.add(t, "eva", "enterprise-group")
	g := child.Quickstart(t, "--manifests", dir, "--users", string(users))
	post := func(path, token, body string) *child.Answer { return g.Call(t, http.MethodPost, path, token, body) }
	const limit = 100

	annToken := g.Mint(t, ann)
	t.Run("maas-13 with a fixed cost t there are ceil(100/t) 200s, then only 429s", func(t *testing.T) {
		first := post(chat, annToken, ask("Hello"))
		each := cost(t, first)
		codes := []int{first.Status}
		for int64(len(codes)) < limit/each+3 {
			codes = append(codes, post(chat, annToken, ask("Hello")).Status)
		}
		want := slices.Concat(slices.Repeat([]int{200}, int((limit+each-1)/each)), slices.Repeat([]int{429}, len(codes)))[:len(codes)]
		if !slices.Equal(codes, want) {
			t.Errorf("a call costs %d of %d: got %v, want %v", each, limit, codes, want)
		}
	})
	t.Run("maas-103 two tokens of one user share a budget, two users do not", func(t *testing.T) {
		if got := post(chat, g.Mint(t, ann), ask("Hello")).Status; got != http.StatusTooManyRequests {
			t.Errorf("ann with a second token: %d, want 429", got)
		}
		if got := post(chat, g.Mint(t, bob), ask("Hello")).Status; got != http.StatusOK {
			t.Errorf("bob: %d, want 200", got)
		}
	})
	t.Run("maas-104 budgets are per route", func(t *testing.T) {
		if got := post("/second/v1/chat/completions", annToken, ask("Hello")).Status; got != http.StatusOK {
			t.Errorf("ann on another route: %d, want 200", got)
		}
	})
	t.Run("maas-105 completions and chat on one route share a budget", func(t *testing.T) {
		if got := post("/external/v1/completions", annToken, `{"model":"gpt-4-external","prompt":"Hello"}`).Status; got != http.StatusTooManyRequests {
			t.Errorf("completions after chat has spent the budget: %d, want 429", got)
		}
	})
	t.Run("maas-102 the model list is neither limited nor charged", func(t *testing.T) {
		before := g.Metric(t, hits(account(t, annToken)))
		for range 5 {
			if got := g.Call(t, http.MethodGet, "/external/v1/models", annToken, "").Status; got != http.StatusOK {
				t.Fatalf("the list answers %d with a spent budget, want 200", got)
			}
		}
		if after := g.Metric(t, hits(account(t, annToken))); after != before {
			t.Errorf("charged tokens went from %v to %v", before, after)
		}
	})
	t.Run("maas-106 premium has 50,000 tokens a minute, enterprise 100,000", func(t *testing.T) {
		for _, tier := range []struct{ token, limit string }{{pia, "50000"}, {eva, "100000"}} {
			token := g.Mint(t, tier.token)
			for range 3 { // each costs more than the whole free tier
				a := post(chat, token, ask(strings.Repeat("word ", 2*limit)))
				if got := a.Header.Get("X-Ratelimit-Limit-Tokens"); a.Status != http.StatusOK || got != tier.limit {
					t.Errorf("%d with a limit of %s, want 200 with %s", a.Status, got, tier.limit)
				}
			}
		}
	})
}

// hits is the series of the tokens that a user of the free tier was charged.
func hits(user string) string {
	return `authorized_hits{limitador_namespace="default/external-model-bridge",model="gpt-4-external",tier="free",user="` + user + `"}`
}

func TestMetrics(t *testing.T) {
	g := child.Quickstart(t, "--manifests", child.Fixed(t))
	token := g.Mint(t, g.UserToken)
	series := func(name, more string) string {
		return name + `{` + more + `limitador_namespace="default/external-model-bridge",tier="free",user="` + account(t, token) + `"}`
	}
	calls, limited := series("authorized_calls", ""), series("limited_calls", `limit_name="free-user-tokens",`)
	t.Run("maas-117 a chat counts one call and its tokens", func(t *testing.T) {
		callsBefore, hitsBefore := g.Metric(t, calls), g.Metric(t, hits(account(t, token)))
		a := g.Call(t, http.MethodPost, chat, token, ask("Hello, how are you?"))
		child.Until(t, "the call is counted", func() bool { return g.Metric(t, calls) == callsBefore+1 })
		if got, want := g.Metric(t, hits(account(t, token)))-hitsBefore, float64(cost(t, a)); got != want {
			t.Errorf("authorized_hits rose by %v, the answer says %v", got, want)
		}
	})
	t.Run("maas-118 maas-119 a 429 counts one limited call, and the limiter is up", func(t *testing.T) {
		for g.Call(t, http.MethodPost, chat, token, ask(strings.Repeat("word ", 100))).Status == http.StatusOK {
		}
		before := g.Metric(t, limited)
		g.Call(t, http.MethodPost, chat, token, ask("Hello"))
		child.Until(t, "the refusal is counted", func() bool { return g.Metric(t, limited) == before+1 })
		if got := g.Metric(t, "limitador_up"); got != 1 {
			t.Errorf("limitador_up %v", got)
		}
	})
}

func TestWindows(t *testing.T) {
	t.Parallel() // it waits, mostly
	const window = 3 * time.Second
	dir := child.Fixed(t, "window: 1m", "window: "+window.String(), "- name: enterprise\n", "- name: staff\n")
	users := newPeople(t)
	ann, staff := users.add(t, "ann"), users.add(t, "sue", "enterprise-group")
	g := child.Quickstart(t, "--manifests", dir, "--users", string(users))
	t.Run("maas-14 maas-111 a call answers 200 again once the window has passed", func(t *testing.T) {
		token := g.Mint(t, ann)
		began := time.Now()
		if got := g.Call(t, http.MethodPost, chat, token, ask(strings.Repeat("word ", 100))).Status; got != http.StatusOK {
			t.Fatalf("the first call answers %d", got)
		}
		refused := 0
		child.Until(t, "a 200 again", func() bool {
			switch a := g.Call(t, http.MethodPost, chat, token, ask("Hello")); a.Status {
			case http.StatusTooManyRequests:
				refused++
				return false
			case http.StatusOK:
				return true
			default:
				t.Fatalf("%d %s", a.Status, a.Body)
				return false
			}
		})
		if took := time.Since(began); refused == 0 || took < window {
			t.Errorf("%d calls were refused and a 200 came after %s, want some and %s", refused, took, window)
		}
	})
	t.Run("maas-107 a tier without a limit is never 429", func(t *testing.T) {
		token := g.Mint(t, staff)
		for range 20 {
			a := g.Call(t, http.MethodPost, chat, token, ask(strings.Repeat("word ", 200)))
			if a.Status != http.StatusOK || a.Header.Get("X-Ratelimit-Limit-Tokens") != "" {
				t.Fatalf("%d with limit %q, want 200 without one", a.Status, a.Header.Get("X-Ratelimit-Limit-Tokens"))
			}
		}
	})
}
