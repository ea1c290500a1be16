package rule

import (
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/egret-gateway/egret/plan"
)

// sample is a request as the quickstart's gateway sees it.
func sample() *Input {
	return &Input{
		Request: Request{
			ID: "r1", Method: "POST", Scheme: "https", Host: "maas.example.com",
			Path: "/external/v1/chat/completions?x=1", Protocol: "HTTP/1.1",
			Header: http.Header{
				"Authorization": {"Bearer AbC"}, "Content-Type": {"application/json"},
				"User-Agent": {"curl/8"}, "X-Two": {"a", "b"},
			},
			Size: 42, Time: time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC),
		},
		Source: netip.MustParseAddrPort("192.0.2.7:4711"),
		Identity: map[string]any{
			"authenticated": true, "tier": "free", "userid": "alice-1",
			"user": map[string]any{
				"username": "system:serviceaccount:maas-default-gateway-tier-free:alice-1",
				"groups":   []any{"system:serviceaccounts", "system:authenticated"},
			},
		},
		Metadata: map[string]any{"matchedTier": map[string]any{"tier": "free", "level": 0.0}},
	}
}

func benchmarkTrue(b *testing.B, expr string) {
	p, err := CompilePredicate(expr)
	if err != nil {
		b.Fatal(err)
	}
	in := sample()
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := p.True(in); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkPredicate(b *testing.B) {
	benchmarkTrue(b, `auth.identity.tier == "free" && !request.path.endsWith("/v1/models")`)
}

func BenchmarkHeader(b *testing.B) {
	benchmarkTrue(b, `request.headers["content-type"] == "application/json"`)
}

func BenchmarkTracked(b *testing.B) {
	benchmarkTrue(b, `auth.identity.user.groups.exists(g, g == "system:authenticated")`)
}

// quickstart are the expressions that the quickstart's policies compile.
var quickstart = []string{
	`auth.identity.user.username.split(":")[3]`,
	`{"groups": auth.identity.user.groups}`,
	`auth.identity.user.username`,
	`auth.identity.user.groups`,
	`request.path.split("/")[1]`,
	`request.path.split("/")[2]`,
	`auth.metadata.matchedTier.tier`,
	`auth.identity.user.username.split(":")[2].split("-tier-")[1]`,
	`auth.identity.tier == "free" && !request.path.endsWith("/v1/models")`,
	`auth.identity.tier == "premium" && !request.path.endsWith("/v1/models")`,
	`auth.identity.tier == "enterprise" && !request.path.endsWith("/v1/models")`,
	`auth.identity.userid`,
	`auth.identity.userid`,
	`auth.identity.userid`,
	`responseBodyJSON("/usage/total_tokens")`,
}

func BenchmarkCompileQuickstart(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		for _, expr := range quickstart {
			if _, err := Compile(expr); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkSelector(b *testing.B) {
	v, err := NewValue(plan.Value{Selector: "auth.identity.user.username"})
	if err != nil {
		b.Fatal(err)
	}
	in := sample()
	b.ReportAllocs()
	for b.Loop() {
		if s, err := v.Text(in); s == "" || err != nil {
			b.Fatal(s, err)
		}
	}
}
