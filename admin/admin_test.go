package admin

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/sight"
	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/store"
	"github.com/egret-gateway/egret/store/sqlite"
)

const secret = "egret_admin_secret"

// page is the admin page of an engine that serves one route.
func page(t *testing.T) *Server {
	t.Helper()
	ledger, err := sqlite.Open(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ledger.Close() })
	p := &plan.Plan{
		Ports: []plan.Port{{Gateway: "ns/gw", Number: 80, Listeners: []plan.Listener{{Name: "http", VHosts: []plan.VHost{{Domain: "*", Entries: []plan.Entry{
			{ID: "e", Match: plan.Match{Path: plan.PathMatch{Kind: plan.PathPrefix, Value: "/v1"}}, Rule: "ns/route/0"},
		}}}}}}},
		Rules:    []plan.Rule{{Name: "ns/route/0", Route: "ns/route", Targets: []plan.Target{{Backend: "b", Weight: 1}}}},
		Backends: []plan.Backend{{Name: "b", Object: "Service ns/b", Host: "b.example.com", Port: 443}},
	}
	e := engine.New(engine.Deps{Now: time.Now, NewID: func() string { return "id" }, Random: func(int64) int64 { return 0 }, Record: func(*engine.Record) {}, Log: slog.New(slog.DiscardHandler)})
	if err := e.Load(p); err != nil {
		t.Fatal(err)
	}
	s := &Server{Token: secret, Version: "v1", Engine: e, Ledger: ledger, Metrics: prometheus.NewRegistry(), Ready: func() error { return nil }, Log: slog.New(slog.DiscardHandler)}
	s.Loaded(source.Snapshot{}, p, []source.Condition{
		{Kind: "HTTPRoute", Namespace: "ns", Name: "route", Parent: source.Ref{Kind: "Gateway", Namespace: "ns", Name: "gw"}, Type: "Accepted", Status: "True", Reason: "Accepted", Message: "Route is accepted."},
		{Kind: "AuthPolicy", Namespace: "ns", Name: "weak", Type: "Enforced", Status: "False", Reason: "Overridden", Message: "AuthPolicy is overridden on ns/route."},
	})
	return s
}

// ask sends a request with the token.
func ask(t *testing.T, s *Server, method, target, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+secret)
	return answerOf(s, r)
}

func answerOf(s *Server, r *http.Request) (int, string) {
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	b, _ := io.ReadAll(w.Body)
	return w.Code, string(b)
}

func TestGuard(t *testing.T) {
	s := page(t)
	f := func(name string, sign func(*http.Request), want int) {
		t.Helper()
		r := httptest.NewRequest(http.MethodGet, "/status", nil)
		sign(r)
		if got, body := answerOf(s, r); got != want {
			t.Errorf("%s: %d %s, want %d", name, got, body, want)
		}
	}
	f("nothing", func(*http.Request) {}, 401)
	f("bearer", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+secret) }, 200)
	f("basic", func(r *http.Request) { r.SetBasicAuth("anybody", secret) }, 200)
	f("wrong bearer", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+secret+"x") }, 401)
	f("empty bearer", func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") }, 401)
	f("wrong password", func(r *http.Request) { r.SetBasicAuth("egret", "x") }, 401)
	f("in the query", func(r *http.Request) { r.URL.RawQuery = url.Values{"token": {secret}}.Encode() }, 401)
	for _, path := range []string{"/status", "/plan", "/explain", "/usage", "/metrics", "/", "/unknown"} {
		if got, _ := answerOf(s, httptest.NewRequest(http.MethodGet, path, nil)); got != 401 {
			t.Errorf("%s without the token: %d, want 401", path, got)
		}
	}
	s.Token = ""
	f("a page without a token, no token", func(*http.Request) {}, 401)
	f("a page without a token, an empty one", func(r *http.Request) { r.SetBasicAuth("", "") }, 401)
}

func TestProbes(t *testing.T) {
	s := page(t)
	f := func(path string, status int, body string) {
		t.Helper()
		if got, text := answerOf(s, httptest.NewRequest(http.MethodGet, path, nil)); got != status || text != body {
			t.Errorf("%s: %d %q, want %d %q", path, got, text, status, body)
		}
	}
	f("/healthz", 200, "ok\n")
	f("/readyz", 200, "ok\n")
	s.Ready = func() error { return errors.New("the disk is full; free space") }
	f("/healthz", 200, "ok\n")
	f("/readyz", 503, "not ready: the disk is full; free space\n")
}

func TestStatus(t *testing.T) {
	s := page(t)
	read := func() (out Status) {
		t.Helper()
		code, body := ask(t, s, http.MethodGet, "/status", "")
		if err := json.Unmarshal([]byte(body), &out); err != nil || code != 200 {
			t.Fatalf("%d %s: %v", code, body, err)
		}
		return out
	}
	st := read()
	if st.Version != "v1" || st.Ready != "ok" || st.Plan != s.Engine.Plan().Hash() || st.Refused != nil || len(st.Conditions) != 2 || st.Conditions[0].Parent != "Gateway ns/gw" {
		t.Errorf("%+v", st)
	}
	s.Loaded(source.Snapshot{}, s.Engine.Plan(), []source.Condition{{Kind: "XBackend", Namespace: "ns", Name: "b", Type: "Accepted", Status: "True"}})
	s.Seen = func() []sight.Fact {
		return []sight.Fact{{Object: "XBackend ns/b", Kind: sight.Connected, Text: "refused"}}
	}
	if st = read(); len(st.Conditions) != 2 || st.Conditions[1].Type != "egret.dev/Connected" || st.Conditions[1].Status != "False" || !strings.Contains(st.Conditions[1].Message, "refused") {
		t.Errorf("what was seen of a backend: %+v", st.Conditions)
	}
	s.Loaded(source.Snapshot{}, s.Engine.Plan(), []source.Condition{{Kind: "HTTPRoute", Namespace: "ns", Name: "route", Type: "Accepted", Status: "True"}})
	s.Refused(source.Snapshot{}, source.Problems{{File: "a.yaml", Line: 3, Object: "HTTPRoute ns/x", Field: "spec", Why: "is wrong", Do: "correct it"}}, nil)
	if st = read(); st.Refused == nil || len(st.Refused.Problems) != 1 || st.Plan != s.Engine.Plan().Hash() {
		t.Errorf("while a newer configuration is refused: %+v", st)
	}
	_, table := ask(t, s, http.MethodGet, "/status?format=table", "")
	for _, want := range []string{"is NOT served", "a.yaml:3", "HTTPRoute ns/route", "OBJECT"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table does not say %q:\n%s", want, table)
		}
	}
	s.Refused(source.Snapshot{}, nil, errors.New("port 80 is taken"))
	if st = read(); st.Refused == nil || st.Refused.Error != "port 80 is taken" {
		t.Errorf("while a plan is refused: %+v", st.Refused)
	}
	s.Loaded(source.Snapshot{}, s.Engine.Plan(), nil)
	if st = read(); st.Refused != nil || st.Conditions == nil {
		t.Errorf("after the next good one: %+v", st)
	}
}

func TestExplain(t *testing.T) {
	s := page(t)
	code, body := ask(t, s, http.MethodPost, "/explain", `{"gateway":"ns/gw","path":"/v1/chat/completions"}`)
	var a Answer
	if err := json.Unmarshal([]byte(body), &a); err != nil || code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	if a.Route != "ns/route" || a.Verdict != "forward" || len(a.Targets) != 1 {
		t.Errorf("%+v", a)
	}
	if diff := cmp.Diff([]string{"AuthPolicy ns/weak: AuthPolicy is overridden on ns/route."}, a.Lost); diff != "" {
		t.Errorf("policies that lost: %s", diff)
	}
	for _, question := range []string{`{`, `{"gatway":"ns/gw"}`, ``, `[]`, strings.Repeat(" ", maxQuestion+1) + `{}`} {
		if code, body := ask(t, s, http.MethodPost, "/explain", question); code != 400 || !strings.Contains(body, "send {") {
			t.Errorf("%.20q: %d %s, want 400 and an example", question, code, body)
		}
	}
}

func TestUsage(t *testing.T) {
	s := page(t)
	now := time.Now()
	if err := s.Ledger.(*sqlite.Store).Save(t.Context(), []store.Entry{
		{ID: "1", Time: now.Add(-time.Minute), User: "ann", ModelServed: "m", Dialect: "openai-chat", Verdict: "allowed", Status: 200, Input: 9, Output: 3, Total: 12, Exact: true},
		{ID: "2", Time: now.Add(-48 * time.Hour), User: "ann", ModelServed: "m", Dialect: "openai-chat", Verdict: "allowed", Status: 200, Total: 5, Exact: true},
		{ID: "3", Time: now.Add(-time.Minute), User: "bob", ModelServed: "m", Dialect: "openai-chat", Verdict: "limited", Status: 429},
	}, nil); err != nil {
		t.Fatal(err)
	}
	total := func(query string) map[string]int64 {
		t.Helper()
		code, body := ask(t, s, http.MethodGet, "/usage?"+query, "")
		var u Usage
		if err := json.Unmarshal([]byte(body), &u); err != nil || code != 200 {
			t.Fatalf("%s: %d %s", query, code, body)
		}
		out := map[string]int64{}
		for _, r := range u.Rows {
			out[strings.Join(r.Group, " ")] = r.Total
		}
		return out
	}
	f := func(query string, want map[string]int64) {
		t.Helper()
		if diff := cmp.Diff(want, total(query)); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	f("by=user", map[string]int64{"ann": 12, "bob": 0})
	f("by=user&since=72h", map[string]int64{"ann": 17, "bob": 0})
	f("by=user&user=ann", map[string]int64{"ann": 12})
	f("", map[string]int64{"ann m": 12, "bob m": 0})
	if _, body := ask(t, s, http.MethodGet, "/usage?by=user&user=ann", ""); !strings.Contains(body, `"total": 12`) {
		t.Errorf("of ann: %s, want names as those around them", body)
	}
	if _, body := ask(t, s, http.MethodGet, "/usage?user=nobody", ""); !strings.Contains(body, `"rows": []`) {
		t.Errorf("of nobody: %s, want an empty list", body)
	}
	for _, query := range []string{"since=yesterday", "since=-1h", "by=moon", "by=user,moon"} {
		if code, body := ask(t, s, http.MethodGet, "/usage?"+query, ""); code != 400 {
			t.Errorf("%s: %d %s, want 400", query, code, body)
		}
	}
}
