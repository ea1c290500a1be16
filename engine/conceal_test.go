package engine

import (
	"net/http"
	"strings"
	"testing"

	"github.com/egret-gateway/egret/plan"
)

// TestConceal: a credential in the query does not come back in where an answer
// leads, and nothing else of that changes.
func TestConceal(t *testing.T) {
	f := func(name, in, want string) {
		t.Run("gateway-108 "+name+": "+in, func(t *testing.T) {
			x, _ := newWorld(t, keyed([]plan.Account{inQuery()})).Begin(t.Context(), get("/"))
			defer x.End(t.Context(), Done, 0)
			a, refusal := x.Attempt(1)
			if refusal != nil || a.Path != "/?key=sk-a" {
				t.Fatalf("%+v, %+v", a, refusal)
			}
			upstream := http.Header{name: {in}}
			got := x.Response(ResponseHead{Status: 302, Header: upstream}).Header
			if got.Get(name) != want || want == "" && got[name] != nil {
				t.Errorf("%q, want %q", got[name], want)
			}
			if upstream.Get(name) != in {
				t.Error("the upstream's own header has changed")
			}
		})
	}
	f("Location", "https://b.example.com/v2?alt=sse&key=sk-a", "https://b.example.com/v2?alt=sse")
	f("Location", "/v2?key=sk-a", "/v2")
	f("Location", "/v2?key=sk-a#top", "/v2#top")
	f("Location", "/v2?k%65y=sk%2Da&a=1,'2'", "/v2?a=1,'2'")
	f("Location", "/v2?a=b?c&key=sk-a", "/v2?a=b?c")
	f("Location", "/v2?", "/v2?")
	f("Location", "/v2?keys=1&a=key", "/v2?keys=1&a=key")
	f("Location", "/login?next=%2Fv2%3Fkey%3Dsk-a", "")
	f("Location", "/v2#key=sk-a", "")
	f("Content-Location", "/v2?key=sk-a&a=1", "/v2?a=1")
	f("Refresh", "5; url=/v2?key=sk-a", "5; url=/v2")
	f("Link", `</v2?key=sk-a&page=2>; rel="next", </v2?page=9&key=sk-a>; rel="last"`, `</v2?page=2>; rel="next", </v2?page=9>; rel="last"`)
	t.Run("an answer to a credential elsewhere stays as it is", func(t *testing.T) {
		x, _ := newWorld(t, keyed([]plan.Account{bearerOf("a")})).Begin(t.Context(), get("/"))
		defer x.End(t.Context(), Done, 0)
		if _, refusal := x.Attempt(1); refusal != nil {
			t.Fatal(refusal.Reason)
		}
		const at = "/v2?key=of-the-page"
		if got := x.Response(ResponseHead{Status: 302, Header: http.Header{"Location": {at}}}).Header.Get("Location"); got != at {
			t.Errorf("%q", got)
		}
	})
}

// TestAsterisk: the path "*" is that of OPTIONS alone, and has no query that a
// credential could stand in.
func TestAsterisk(t *testing.T) {
	f := func(method, path string, account plan.Account, status int) {
		t.Run(method+" "+path+" to "+string(account.Scheme), func(t *testing.T) {
			p := keyed([]plan.Account{account})
			p.Ports[0].Listeners[0].VHosts[0].Entries[0].Match.Path = plan.PathMatch{Kind: plan.PathRegex, Value: ".*"}
			h := get(path)
			h.Method = method
			a, refusal := newWorld(t, p).attempt(t, h)
			if status == 0 {
				if refusal != nil || a.Path != path {
					t.Errorf("%+v, %+v", a, refusal)
				}
				return
			}
			if refusal == nil || refusal.Status != status || refusal.Code != "bad_path" || strings.Contains(refusal.Reason, "sk-") {
				t.Errorf("%+v, want %d", refusal, status)
			}
		})
	}
	f("OPTIONS", "*", bearerOf("a"), 0)
	f("OPTIONS", "*", inQuery(), 400)
	f("GET", "*", bearerOf("a"), 400)
	f("GET", "*", inQuery(), 400)
	f("OPTIONS", "*?a=1", bearerOf("a"), 400)
}
