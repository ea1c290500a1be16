package engine

import (
	"context"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/plan"
)

// modelPlan is onePlan with models.
func modelPlan(m *plan.Models, policies ...plan.Policy) *plan.Plan {
	p := onePlan(policies...)
	p.Rules[0].Models = m
	for _, name := range []string{"second", "third"} {
		p.Backends = append(p.Backends, plan.Backend{Name: name, Host: name + ".example.com", Port: 80, AskUsage: true})
	}
	return p
}

func leading(backend string) *plan.Target { return &plan.Target{Backend: backend, Weight: 1} }

// asking takes a chat call with a body as far as the attempt.
func (w *world) asking(h Head, body string) (*Attempt, *Refusal) {
	h.Length = int64(len(body))
	ctx := context.Background()
	x, step := w.Begin(ctx, h)
	defer x.End(ctx, Done, 0)
	if step == NeedBody {
		step = x.Body(ctx, []byte(body))
	}
	if step == Refuse {
		return nil, x.Refusal
	}
	a, refusal := x.Attempt(1)
	return a, refusal
}

func TestModels(t *testing.T) {
	w := newWorld(t, modelPlan(&plan.Models{Source: "ConfigMap n/m", Strict: true, List: []plan.Model{
		{Name: "g*", Target: leading("second")},
		{Name: "gpt-*", Target: leading("third"), Upstream: "all-gpts"},
		{Name: "gpt-4", Target: leading("second")},
		{Name: "here"},
		{Name: "no", Target: &plan.Target{Weight: 1, Fault: &plan.Fault{Status: 500, Reason: "gone"}}},
	}}))
	f := func(model, backend, sent string) {
		t.Helper()
		a, refusal := w.asking(chat(), `{"model":"`+model+`","messages":[]}`)
		switch {
		case refusal != nil:
			t.Errorf("%s: refused: %s", model, refusal.Reason)
		case a.Backend.Name != backend || string(a.Body) != `{"model":"`+sent+`","messages":[]}`:
			t.Errorf("%s: %s gets %s, want %s and model %s", model, a.Backend.Name, a.Body, backend, sent)
		}
	}
	t.Run("an exact name wins, then the longest pattern", func(t *testing.T) {
		f("gpt-4", "second", "gpt-4")
		f("gpt-5", "third", "all-gpts")
		f("gemini", "second", "gemini")
		f("here", "b", "here")
	})
	refused := func(h Head, body string, status int, code, said string) {
		t.Helper()
		_, r := w.asking(h, body)
		if r == nil || r.Status != status || r.Code != code || said != "" && string(r.Body) != said {
			t.Errorf("%s: %+v, want %d %s %s", body, r, status, code, said)
		}
	}
	t.Run("gateway-128 what names no model of the list is refused", func(t *testing.T) {
		refused(chat(), ``, 400, "missing_body", `{"error":"missing request body"}`)
		refused(chat(), `{}`, 400, "missing_model", `{"error":"missing model in request body"}`)
		refused(chat(), `{"model":"","messages":[]}`, 400, "missing_model", "")
		refused(chat(), `{"model":"other","messages":[]}`, 400, "unsupported_model", `{"error":"unsupported model: other"}`)
		refused(chat(), `{"model":"\u003cb>&","messages":[]}`, 400, "unsupported_model", `{"error":"unsupported model: <b>&"}`)
		refused(chat(), `{"model":7}`, 400, "bad_body", "")
		refused(chat(), `{"model":"here","mode\u006c":"gpt-4"}`, 400, "bad_body", "")
		refused(chat(), `{"model":"no"}`, 500, "backend_fault", "")
		refused(get("/v1/chat/completions"), ``, 400, "missing_body", "")
		messages := chat()
		messages.Path = "/v1/messages"
		refused(messages, `{"model":"other"}`, 400, "unsupported_model", `{"type":"error","error":{"type":"invalid_request_error","message":"unsupported model: other"}}`)
	})
	t.Run("gateway-128 other paths are unaffected", func(t *testing.T) {
		for _, path := range []string{"/v1/models", "/", "/v1/files"} {
			if a, refusal := w.asking(get(path), ""); refusal != nil || a.Backend.Name != "b" {
				t.Errorf("%s: %v %v", path, a, refusal)
			}
		}
	})
	t.Run("explain tells whose calls a backend gets", func(t *testing.T) {
		var got []string
		for _, told := range w.Explain(context.Background(), chat(), nil).Targets {
			got = append(got, told.Model+">"+told.Backend+told.Fault)
		}
		if diff := cmp.Diff([]string{">b", "g*>second", "gpt-*>third", "gpt-4>second", "no>500: gone"}, got); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
}

// TestModelHeaders: what is said to the next gateway, and what stays behind.
func TestModelHeaders(t *testing.T) {
	p := modelPlan(&plan.Models{List: []plan.Model{
		{Name: "bare", Target: leading("second"), Bare: true},
		{Name: "own", Provider: "p", Upstream: "renamed"},
		{Name: "outside", Provider: "p", Target: leading("third")},
	}})
	p.Backends[0].Platform = true
	p.Rules[0].Request = plan.Edits{Set: []plan.Header{{Name: "x-provider-api-key", Value: "of the rule's backend"}}}
	w := newWorld(t, p)
	head := chat()
	for _, name := range []string{plan.HeaderModel, plan.HeaderProvider, "Cookie", "X-Api-Key"} {
		head.Header.Set(name, "a client's")
	}
	f := func(model string, want http.Header) {
		t.Helper()
		a, refusal := w.asking(head, `{"model":"`+model+`","messages":[]}`)
		if refusal != nil {
			t.Fatal(refusal.Reason)
		}
		got := http.Header{}
		for _, name := range []string{plan.HeaderModel, plan.HeaderProvider, "Cookie", "X-Api-Key", "Authorization", "X-Provider-Api-Key"} {
			if v := a.Header[name]; v != nil {
				got[name] = v
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", model, diff)
		}
	}
	kept := func(more ...string) http.Header {
		h := http.Header{"Cookie": {"a client's"}, "X-Api-Key": {"a client's"}, "Authorization": {"Bearer good"}, "X-Provider-Api-Key": {"of the rule's backend"}}
		for i := 0; i < len(more); i += 2 {
			h.Set(more[i], more[i+1])
		}
		return h
	}
	f("bare", http.Header{})
	f("own", kept(plan.HeaderModel, "renamed", plan.HeaderProvider, "p"))
	f("outside", kept())
	f("unheard-of", kept())
}
