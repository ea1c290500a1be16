package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/egret-gateway/egret/dialect"
	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/store"
)

// call is the record of a chat that passed.
func call() *engine.Record {
	return &engine.Record{
		ID: "request", Trace: "00-trace-span-00", Time: time.Unix(1000, 0).UTC(), Gateway: "ns/gw", Route: "ns/route", Rule: "ns/route/0", Backend: "backend",
		Remote: netip.MustParseAddrPort("192.0.2.1:5000"), Method: "POST", Host: "host", Path: "/v1/chat/completions", Status: 200, Outcome: engine.Done,
		User: "ann", Subject: "system:serviceaccount:ns:ann", Tier: "free", Policy: "ns/auth", Checked: true, Charged: true,
		Dialect: dialect.OpenAIChat, Asked: "gpt", Served: "gpt-1", Usage: dialect.Usage{Input: 9, Output: 3, Total: 12, Exact: true}, Attempts: 1,
		Auth: time.Millisecond, FirstByte: 2 * time.Millisecond, Duration: 3 * time.Millisecond, Sent: 100,
	}
}

// refused is the record of one that a limit refused.
func refused() *engine.Record {
	r := call()
	r.Status, r.Outcome, r.Code, r.Limit = 429, engine.Refused, "limited", "per-user"
	r.Checked, r.Charged, r.Usage, r.Backend, r.Served, r.FirstByte = true, false, dialect.Usage{}, "", "", 0
	return r
}

// series are the lines of the metrics with the names, as they are scraped.
func series(m *Metrics, names ...string) []string {
	w := httptest.NewRecorder()
	promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	var out []string
	for line := range strings.Lines(w.Body.String()) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, _, _ = strings.Cut(name, "{")
		if slices.Contains(names, name) {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

func TestMetrics(t *testing.T) {
	compare := func(t *testing.T, m *Metrics, want string, names ...string) {
		t.Helper()
		if diff := cmp.Diff(strings.TrimSpace(want), strings.Join(series(m, names...), "\n")); diff != "" {
			t.Error(diff)
		}
	}
	t.Run("maas-117 a chat counts one call and its tokens", func(t *testing.T) {
		m := NewMetrics()
		m.Record(call())
		compare(t, m, `
authorized_calls{limitador_namespace="ns/route",tier="free",user="ann"} 1
authorized_hits{limitador_namespace="ns/route",model="gpt-1",tier="free",user="ann"} 12
`, "authorized_calls", "authorized_hits", "limited_calls")
	})
	t.Run("maas-118 a 429 counts one limited call", func(t *testing.T) {
		m := NewMetrics()
		m.Record(refused())
		compare(t, m, `
limited_calls{limit_name="per-user",limitador_namespace="ns/route",tier="free",user="ann"} 1
`, "authorized_calls", "authorized_hits", "limited_calls")
	})
	t.Run("maas-119 the limiter is up", func(t *testing.T) {
		compare(t, NewMetrics(), `
limitador_up 1
`, "limitador_up")
	})
	t.Run("the auth server's answers by policy", func(t *testing.T) {
		m := NewMetrics()
		for _, code := range []string{"", "unauthenticated", "unauthorized", "identity_unavailable"} {
			r := call()
			r.Code = code
			m.Record(r)
		}
		compare(t, m, `
auth_server_authconfig_response_status{authconfig="auth",namespace="ns",status="OK"} 1
auth_server_authconfig_response_status{authconfig="auth",namespace="ns",status="PERMISSION_DENIED"} 1
auth_server_authconfig_response_status{authconfig="auth",namespace="ns",status="UNAUTHENTICATED"} 1
auth_server_authconfig_response_status{authconfig="auth",namespace="ns",status="UNAVAILABLE"} 1
`, "auth_server_authconfig_response_status")
	})
	t.Run("a reload is counted with its result", func(t *testing.T) {
		m := NewMetrics()
		m.Reload(true, 7, 0, time.Unix(5, 0))
		m.Reload(false, 8, 2, time.Unix(6, 0))
		compare(t, m, `
egret_config_objects 8
egret_config_problems 2
egret_plan_loaded_timestamp_seconds 5
egret_reloads_total{result="kept_previous"} 1
egret_reloads_total{result="loaded"} 1
`, "egret_config_objects", "egret_config_problems", "egret_plan_loaded_timestamp_seconds", "egret_reloads_total")
	})
}

func TestLabelsAreBounded(t *testing.T) {
	t.Run("models beyond the bound are one", func(t *testing.T) {
		m := NewMetrics()
		for i := range maxModels + 50 {
			r := call()
			r.Served = fmt.Sprint("model-", i)
			m.Record(r)
		}
		all := series(m, "authorized_hits")
		if len(all) != maxModels+1 {
			t.Errorf("%d series, want %d and one for all others", len(all), maxModels)
		}
		if want := `authorized_hits{limitador_namespace="ns/route",model="other",tier="free",user="ann"} 600`; !slices.Contains(all, want) {
			t.Errorf("no %s in %v", want, all[len(all)-3:])
		}
	})
	f := func(name, value, want string) {
		t.Helper()
		if got := newBound(10).value(value); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	f("nothing stays nothing", "", "")
	f("a name", "gpt-4", "gpt-4")
	f("the longest", strings.Repeat("x", maxValue), strings.Repeat("x", maxValue))
	f("too long", strings.Repeat("x", maxValue+1), other)
	f("a control character", "a\nb", other)
	f("what is not UTF-8", "a\xff", other)

	t.Run("callers at the same time", func(t *testing.T) {
		b := newBound(10)
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for i := range 100 {
					b.value(fmt.Sprint(i % 20))
				}
			})
		}
		group.Wait()
		known := 0
		for i := range 20 {
			if b.value(fmt.Sprint(i)) != other {
				known++
			}
		}
		if known != 10 {
			t.Errorf("%d values are told apart, want 10", known)
		}
	})
}

func TestAccessLog(t *testing.T) {
	var out bytes.Buffer
	log := &AccessLog{Log: slog.New(slog.NewJSONHandler(&out, nil))}
	line := func(r *engine.Record) map[string]any {
		t.Helper()
		out.Reset()
		log.Record(r)
		got := map[string]any{}
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatalf("%v: %s", err, out.String())
		}
		delete(got, "time")
		return got
	}
	if diff := cmp.Diff(map[string]any{
		"level": "INFO", "msg": "request", "request_id": "request", "trace": "00-trace-span-00", "gateway": "ns/gw", "route": "ns/route", "backend": "backend",
		"remote": "192.0.2.1", "method": "POST", "host": "host", "path": "/v1/chat/completions", "status": 200.0, "outcome": "done", "bytes": 100.0,
		"duration_ms": 3.0, "first_byte_ms": 2.0, "subject": "system:serviceaccount:ns:ann", "user": "ann", "tier": "free",
		"dialect": "openai-chat", "model": "gpt", "model_served": "gpt-1", "stream": false, "attempts": 1.0,
		"tokens": map[string]any{"total": 12.0, "input": 9.0, "output": 3.0, "cached": 0.0, "reasoning": 0.0, "exact": true},
	}, line(call())); diff != "" {
		t.Error(diff)
	}
	got := line(refused())
	if got["code"] != "limited" || got["limit"] != "per-user" {
		t.Errorf("a refusal: %v", got)
	}
	if got := line(&engine.Record{Method: "GET", Status: 404, Outcome: engine.Refused, Code: "no_route"}); got["tokens"] != nil || got["user"] != nil {
		t.Errorf("a call without identity that is no AI call: %v", got)
	}
}

func TestLedger(t *testing.T) {
	to := &kept{}
	w := store.NewWriter(to)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	l := &Ledger{Writer: w}
	l.Record(call())
	over := refused()
	over.Trace = "00-trace-other-00"
	l.Record(over)
	inner := call()
	inner.Inner = true
	l.Record(inner) // counted by the gateway in front
	list := call()
	list.Dialect = ""
	l.Record(list) // no AI call
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]store.Entry{
		{ID: "00-trace-span-00", Time: time.Unix(1000, 0).UTC(), User: "ann", Tier: "free", Gateway: "ns/gw", Route: "ns/route", Backend: "backend",
			ModelAsked: "gpt", ModelServed: "gpt-1", Dialect: "openai-chat", Verdict: "allowed", Status: 200, Input: 9, Output: 3, Total: 12, Exact: true,
			Duration: 3 * time.Millisecond, FirstToken: 2 * time.Millisecond},
		{ID: "00-trace-other-00", Time: time.Unix(1000, 0).UTC(), User: "ann", Tier: "free", Gateway: "ns/gw", Route: "ns/route",
			ModelAsked: "gpt", Dialect: "openai-chat", Verdict: "limited", Status: 429, Duration: 3 * time.Millisecond},
	}, to.entries); diff != "" {
		t.Error(diff)
	}
}

// kept is a database in memory.
type kept struct{ entries []store.Entry }

func (k *kept) Save(_ context.Context, entries []store.Entry, _ []store.Counter) error {
	k.entries = append(k.entries, entries...)
	return nil
}
