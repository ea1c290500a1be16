package engine

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/auth"
	"github.com/egret-gateway/egret/policy/ident"
	"github.com/egret-gateway/egret/policy/quota"
)

// world is an engine with what it stands on, without a data plane.
type world struct {
	*Engine
	limiter *quota.Memory
	reviews int

	mu      sync.Mutex
	records []Record
}

// newWorld serves p; its clock stands still and its ids count.
func newWorld(t testing.TB, p *plan.Plan) *world {
	t.Helper()
	w := &world{}
	now := func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	w.limiter = quota.NewMemory(quota.Options{Now: now})
	ids := 0
	w.Engine = New(Deps{
		Auth:    auth.Deps{Reviewer: w, Caches: auth.NewCaches(), Now: now},
		Limiter: w.limiter, Now: now, Log: slog.New(slog.DiscardHandler),
		Record: func(r *Record) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.records = append(w.records, *r)
		},
		NewID: func() string {
			w.mu.Lock()
			defer w.mu.Unlock()
			ids++
			return fmt.Sprintf("%032x", ids)
		},
		Random: func(n int64) int64 { return 0 },
	})
	if err := w.Load(p); err != nil {
		t.Fatal(err)
	}
	return w
}

// Review knows the token "good", which is alice's.
func (w *world) Review(_ context.Context, token string, _ []string) (ident.Review, error) {
	w.mu.Lock()
	w.reviews++
	w.mu.Unlock()
	return ident.Review{Authenticated: token == "good", User: ident.User{Username: "alice"}}, nil
}

// onePlan has a gateway g/w with one rule for all paths and one backend.
func onePlan(policies ...plan.Policy) *plan.Plan {
	e := plan.Entry{ID: "e", Rule: "r", Match: plan.Match{Path: plan.PathMatch{Kind: plan.PathPrefix, Value: "/"}}}
	for i := range policies {
		policies[i].Name = plan.Digest(policies[i])
		e.Policy = policies[i].Name
	}
	return &plan.Plan{
		Ports: []plan.Port{{Gateway: "g/w", Number: 80, Listeners: []plan.Listener{{
			Name: "l", VHosts: []plan.VHost{{Domain: "*", Entries: []plan.Entry{e}}},
		}}}},
		Rules: []plan.Rule{{
			Name: "r", Route: "n/route", Targets: []plan.Target{{Backend: "b", Weight: 1}},
			Timeouts: plan.Timeouts{Request: plan.DefaultRequestTimeout, Idle: plan.DefaultIdleTimeout},
		}},
		Policies: policies,
		Backends: []plan.Backend{{Name: "b", Host: "b.example.com", Port: 80, Authority: "b.example.com", AskUsage: true}},
	}
}

// asksAlice is a policy that reviews tokens and caches the result.
func asksAlice() plan.Policy {
	return plan.Policy{Auth: &plan.Auth{Source: "n/who", Authentication: []plan.Authentication{{
		Step: plan.Step{Name: "tokens", Cache: &plan.Cache{TTL: time.Hour}}, TokenReview: &plan.TokenReview{Audiences: []string{"a"}},
	}}}}
}

// budget is a policy with one token limit for everybody.
func budget(tokens int64) plan.Policy {
	return plan.Policy{Token: []plan.Limit{{Name: "t", ID: "tokenlimit.t", Source: "n/p", Rates: []plan.Rate{{Limit: tokens, Window: time.Minute}}}}}
}

// get is a request to the gateway of onePlan.
func get(path string) Head {
	return Head{Gateway: "g/w", Port: 80, Method: http.MethodGet, Scheme: "http", Host: "gw.example.com", Path: path, Header: http.Header{}}
}

const chatBody = `{"model":"m","messages":[{"role":"user","content":"Hello"}]}`

// chat is a chat call.
func chat() Head {
	h := get("/v1/chat/completions")
	h.Method, h.Length = http.MethodPost, int64(len(chatBody))
	h.Header = http.Header{"Authorization": {"Bearer good"}, "Content-Type": {"application/json"}, "User-Agent": {"test"}, "Accept": {"*/*"}}
	return h
}

// call takes a chat call through all steps; the upstream answers with usage.
func (w *world) call(t testing.TB, h Head, tokens int) *Record {
	ctx := context.Background()
	x, step := w.Begin(ctx, h)
	if step == NeedBody {
		step = x.Body(ctx, []byte(chatBody))
	}
	if step == Refuse {
		return x.End(ctx, Done, 0)
	}
	if _, refusal := x.Attempt(1); refusal != nil {
		return x.End(ctx, Done, 0)
	}
	p := x.Response(ResponseHead{Status: 200, Header: http.Header{"Content-Type": {"application/json"}}})
	body := fmt.Sprintf(`{"usage":{"total_tokens":%d}}`, tokens)
	if p.Watch && string(x.Chunk(ctx, []byte(body), true)) != body {
		t.Error("a watched body changed on its way")
	}
	return x.End(ctx, Done, int64(len(body)))
}
