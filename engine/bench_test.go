package engine

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/egret-gateway/egret/plan"
)

// quickstartPolicy has what the bridge of the quickstart has: a reviewed token,
// an exported identity, and a limit per tier with its predicate and counter.
func quickstartPolicy() plan.Policy {
	p := asksAlice()
	p.Auth.Filters = []plan.Success{{
		Step: plan.Step{Name: "identity"}, Key: "identity",
		JSON: []plan.Property{
			{Name: "userid", Value: plan.Value{Expression: "auth.identity.user.username"}},
			{Name: "tier", Value: plan.Value{Static: []byte(`"free"`)}},
		},
	}}
	for _, tier := range []string{"free", "premium", "enterprise"} {
		l := budget(1 << 50).Token[0]
		l.Name, l.ID = tier, "tokenlimit."+tier
		l.When = []string{`auth.identity.tier == "` + tier + `" && !request.path.endsWith("/v1/models")`}
		l.Counters = []string{"auth.identity.userid"}
		p.Token = append(p.Token, l)
	}
	return p
}

// BenchmarkExchange is the engine's whole part in one unary call: match,
// identity from the cache, limits, headers, usage, charge, Record.
func BenchmarkExchange(b *testing.B) {
	w := newWorld(b, onePlan(quickstartPolicy()))
	w.deps.Record = func(*Record) {}
	ctx, h := b.Context(), chat()
	body, answer := []byte(chatBody), []byte(`{"id":"x","model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hello there"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}`)
	head := ResponseHead{Status: 200, Header: http.Header{"Content-Type": {"application/json"}, "Date": {"now"}}}
	b.ReportAllocs()
	for b.Loop() {
		x, _ := w.Begin(ctx, h)
		if x.Body(ctx, body) != Forward {
			b.Fatal(x.Refusal.Reason)
		}
		x.Attempt(1)
		x.Response(head)
		x.Chunk(ctx, answer, true)
		x.End(ctx, Done, int64(len(answer)))
	}
}

// BenchmarkCredentialed is a try at a backend with a credential of the platform's,
// with as many fields as SDKs send.
func BenchmarkCredentialed(b *testing.B) {
	w := newWorld(b, keyed([]plan.Account{bearerOf("a")}))
	h := get("/")
	for _, name := range []string{"Accept", "Accept-Encoding", "Accept-Language", "User-Agent", "X-Stainless-Lang", "X-Stainless-Package-Version", "X-Stainless-Os", "X-Stainless-Arch",
		"X-Stainless-Runtime", "X-Stainless-Runtime-Version", "X-Stainless-Retry-Count", "X-Forwarded-For", "X-Forwarded-Proto"} {
		h.Header.Set(name, "value")
	}
	x, _ := w.Begin(b.Context(), h)
	b.ReportAllocs()
	for b.Loop() {
		if _, refusal := x.Attempt(1); refusal != nil {
			b.Fatal(refusal.Reason)
		}
	}
}

// BenchmarkEvent is one event of a stream that passes.
func BenchmarkEvent(b *testing.B) {
	for _, hidden := range []bool{false, true} {
		b.Run(fmt.Sprintf("usage asked for by us=%v", hidden), func(b *testing.B) {
			w := newWorld(b, onePlan(quickstartPolicy()))
			ctx := b.Context()
			body := `{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[]}`
			if hidden {
				body = `{"model":"m","stream":true,"messages":[]}`
			}
			x, _ := w.Begin(ctx, chat())
			x.Body(ctx, []byte(body))
			x.Attempt(1)
			x.Response(ResponseHead{Status: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}})
			event := []byte(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}` + "\n\n")
			b.ReportAllocs()
			for b.Loop() {
				x.Chunk(ctx, event, false)
			}
		})
	}
}
