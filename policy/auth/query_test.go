package auth_test

import (
	"testing"

	"github.com/egret-gateway/egret/plan"
)

// TestQueryDecidesNothing: request.path carries the query, so that conditions
// about how a path ends could be satisfied by whoever writes the query. Other
// spellings of a path that servers take for the same are no better.
func TestQueryDecidesNothing(t *testing.T) {
	const (
		private = `!request.path.endsWith("/health")`
		open    = `request.path.endsWith("/health")`
	)
	when := func(expr string) []plan.Pattern { return []plan.Pattern{{Predicate: expr}} }
	f := func(name string, a plan.Auth, path string, want int) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			got := 200
			if r := newWorld(t).pipeline(&a).Check(t.Context(), request("GET", path)); r.Denied != nil {
				got = r.Denied.Status
			}
			if got != want {
				t.Errorf("GET %s: %d, want %d", path, got, want)
			}
		})
	}
	policy := plan.Auth{When: []string{private}, Authentication: []plan.Authentication{review("tokens")}}
	f("a policy spares the path", policy, "/health", 200)
	f("a policy is not switched off by a query", policy, "/models?x=/health", 401)
	f("a policy that spares the path may apply with a query", policy, "/health?x=1", 401)

	door := review("tokens")
	anybody := anonymous("anybody")
	anybody.When = when(open)
	ways := plan.Auth{Authentication: []plan.Authentication{door, anybody}}
	f("another way in", ways, "/health", 200)
	f("another way in is not opened by a query", ways, "/models?x=/health", 401)

	check := predicate("nobody", "false")
	check.When = when(private)
	checks := plan.Auth{Authentication: []plan.Authentication{anonymous("any")}, Authorization: []plan.Authorization{check}}
	f("a check spares the path", checks, "/health", 200)
	f("a check is not switched off by a query", checks, "/models?x=/health", 403)

	admin := plan.Auth{When: []string{`request.path.startsWith("/admin")`}, Authentication: []plan.Authentication{review("tokens")}}
	for _, path := range []string{"/admin/x", "/%61dmin/x", "//admin/x", "/admin%2Fx", "/admin;a=b/x", "/admin%3Fx"} {
		f("a policy is not switched off by a spelling: "+path, admin, path, 401)
	}
	f("a path that is none of these", admin, "/x/admin", 200)
	f("a broken escape", admin, "/%zzadmin", 200)

	asked := plan.Auth{When: []string{`request.query != "x=/health"`}, Authentication: []plan.Authentication{review("tokens")}}
	f("a condition about the query itself holds as it stands", asked, "/models?x=/health", 200)
}

// TestHostDecidesNothing: routes are matched by host names without case, port
// and last dot, so that a condition about the host must not be put off by them.
func TestHostDecidesNothing(t *testing.T) {
	a := plan.Auth{When: []string{`request.host == "api.example.com"`}, Authentication: []plan.Authentication{review("tokens")}}
	for host, want := range map[string]int{
		"api.example.com": 401, "API.example.com": 401, "api.example.com.": 401, "api.example.com:1234": 401, "api.example.com.:80": 401,
		"www.example.com": 200, "[::1]:80": 200,
	} {
		in := request("GET", "/")
		in.Request.Host = host
		got := 200
		if r := newWorld(t).pipeline(&a).Check(t.Context(), in); r.Denied != nil {
			got = r.Denied.Status
		}
		if got != want {
			t.Errorf("Host %s: %d, want %d", host, got, want)
		}
	}
}

// TestHostIsNoAudience: a review without audiences asks for the request's host
// (Authorino), but not for one that only the client has named: whoever got hold
// of a token for something else could name that.
func TestHostIsNoAudience(t *testing.T) {
	for fixed, want := range map[bool]int{true: 200, false: 401} {
		in := request("GET", "/", "Authorization", "Bearer "+freeToken)
		in.Request.Host, in.Request.Named = audience, fixed
		a := plan.Auth{Authentication: []plan.Authentication{{Step: named("tokens"), TokenReview: &plan.TokenReview{}}}}
		got := 200
		if r := newWorld(t).pipeline(&a).Check(t.Context(), in); r.Denied != nil {
			got = r.Denied.Status
		}
		if got != want {
			t.Errorf("a host that somebody has named, %v: %d, want %d", fixed, got, want)
		}
	}
}
