package lab

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/egret-gateway/egret/compile"
	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/policy/auth"
	"github.com/egret-gateway/egret/policy/ident/local"
	"github.com/egret-gateway/egret/policy/quota"
	"github.com/egret-gateway/egret/source/file"
	"github.com/egret-gateway/egret/store"
	"github.com/egret-gateway/egret/store/sqlite"
	"github.com/egret-gateway/egret/telemetry"
)

// TestBudget holds the allocations of a request and of an event against
// budget.txt.
func TestBudget(t *testing.T) {
	e, token := brain(t)
	budget := budgets(t)
	check := func(name string, got float64) {
		t.Helper()
		t.Logf("%s: %v allocs, budget %v", name, got, budget[name])
		if got > budget[name]+slack {
			t.Errorf("%s: %v allocs, the budget in budget.txt is %v", name, got, budget[name])
		}
	}
	ctx := t.Context()
	call := head(token, int64(len(question)))
	body, reply := []byte(question), []byte(answer)
	upstream := engine.ResponseHead{Status: 200, Header: http.Header{"Content-Type": {"application/json"}, "Date": {"now"}}}
	check("request", testing.AllocsPerRun(2000, func() {
		x := begin(t, e, call, body)
		x.Response(upstream)
		x.Chunk(ctx, reply, true)
		if r := x.End(ctx, engine.Done, int64(len(reply))); !r.Charged || r.Usage.Total != 12 {
			t.Fatalf("%+v", r)
		}
	}))
	x := begin(t, e, head(token, int64(len(streamed))), []byte(streamed))
	x.Response(engine.ResponseHead{Status: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}})
	piece := []byte(event)
	check("event", testing.AllocsPerRun(2000, func() {
		if len(x.Chunk(ctx, piece, false)) == 0 {
			t.Fatal("an event was kept back")
		}
	}))
	x.End(ctx, engine.ClientGone, 0)
}

// begin follows a call to its upstream.
func begin(t *testing.T, e *engine.Engine, h engine.Head, body []byte) *engine.Exchange {
	x, step := e.Begin(t.Context(), h)
	if step == engine.NeedBody {
		step = x.Body(t.Context(), body)
	}
	if step != engine.Forward {
		t.Fatalf("%+v", x.Refusal)
	}
	if _, refusal := x.Attempt(1); refusal != nil {
		t.Fatalf("%+v", refusal)
	}
	return x
}

func head(token string, length int64) engine.Head {
	return engine.Head{
		Gateway: "default/path", Port: 8080, Method: http.MethodPost, Scheme: "http", Host: "gateway", Path: "/v1/chat/completions", Protocol: "HTTP/1.1", Length: length,
		Header: http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}, "User-Agent": {"lab"}, "Accept": {"*/*"}},
	}
}

// brain is the engine as the standalone system wires it, without planes.
func brain(t *testing.T) (e *engine.Engine, token string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	quiet := slog.New(slog.DiscardHandler)
	path := filepath.Join(t.TempDir(), "users.yaml")
	token, err := local.Enroll(path, "ann", nil, nil)
	must(err)
	users, err := local.OpenUsers(path, quiet)
	must(err)
	issuer, err := local.OpenIssuer("")
	must(err)
	state, err := sqlite.Open(t.Context(), "")
	must(err)
	t.Cleanup(func() { state.Close() })
	realm, err := local.Open(t.Context(), local.Options{Users: users, Issuer: issuer, State: state})
	must(err)
	snap, problems := file.Load(t.Context(), file.Options{Paths: []string{"testdata/path.yaml"}})
	must(problems.Err())
	realm.Load(&snap)

	writer := store.NewWriter(nowhere{})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- writer.Run(ctx) }()
	t.Cleanup(func() { stop(); must(<-ended) })
	metrics, ledger := telemetry.NewMetrics(), &telemetry.Ledger{Writer: writer}
	e = engine.New(engine.Deps{
		Auth:    auth.Deps{Reviewer: realm, Authorizer: realm, Revoked: realm, Caches: auth.NewCaches(), Now: time.Now, Log: quiet},
		Limiter: quota.NewMemory(quota.Options{Save: writer.Counter}), Now: time.Now, Log: quiet,
		Record: func(r *engine.Record) { metrics.Record(r); ledger.Record(r) },
		NewID:  func() string { return strings.Repeat("0123456789abcdef", 2) }, Random: func(int64) int64 { return 0 },
	})
	p, _ := compile.Compile(snap, compile.Options{Alone: true})
	must(e.Load(p))
	return e, token
}

// nowhere is a database that forgets.
type nowhere struct{}

func (nowhere) Save(context.Context, []store.Entry, []store.Counter) error { return nil }

func budgets(t *testing.T) map[string]float64 {
	t.Helper()
	text, err := os.ReadFile("budget.txt")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		var name string
		var n float64
		if strings.HasPrefix(line, "#") {
			continue
		}
		if _, err := fmt.Sscan(line, &name, &n); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		out[name] = n
	}
	return out
}
