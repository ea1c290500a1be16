package ident_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/ident"
)

var bearer = plan.Credential{In: plan.InAuthorization, Name: "Bearer"}

func TestExtract(t *testing.T) {
	const none, bad = "(none)", "(rejected)"
	f := func(name string, c plan.Credential, h http.Header, path, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			got, err := ident.Extract(c, h, path)
			var rejected *ident.Rejected
			switch {
			case errors.Is(err, ident.ErrNoCredential):
				got = none
			case errors.As(err, &rejected):
				got = bad
			case err != nil:
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
	authorization := func(v ...string) http.Header { return http.Header{"Authorization": v} }
	f("maas-84 no header", bearer, nil, "/", none)
	f("a bearer token", bearer, authorization("Bearer abc"), "/", "abc")
	f("case is kept", bearer, authorization("Bearer aBc"), "/", "aBc")
	f("the default prefix", plan.Credential{}, authorization("Bearer abc"), "/", "abc")
	f("maas-86 another scheme", bearer, authorization("Basic x"), "/", none)
	f("the prefix has case", bearer, authorization("bearer abc"), "/", none)
	f("only the prefix", bearer, authorization("Bearer"), "/", none)
	f("only the prefix and a blank", bearer, authorization("Bearer "), "/", none)
	f("a longer prefix", bearer, authorization("BearerX abc"), "/", none)
	f("two blanks", bearer, authorization("Bearer  abc"), "/", bad)
	f("a blank inside", bearer, authorization("Bearer a bc"), "/", bad)
	f("a line end inside", bearer, authorization("Bearer a\nbc"), "/", bad)
	f("two headers", bearer, authorization("Bearer abc", "Bearer abc"), "/", bad)
	f("16 KiB", bearer, authorization("Bearer "+strings.Repeat("a", 16<<10)), "/", strings.Repeat("a", 16<<10))
	f("more than 16 KiB", bearer, authorization("Bearer "+strings.Repeat("a", 16<<10+1)), "/", bad)

	header := plan.Credential{In: plan.InHeader, Name: "X-Api-Key"}
	f("a header", header, http.Header{"X-Api-Key": {"k"}}, "/", "k")
	f("a header, in the plan's lower case", plan.Credential{In: plan.InHeader, Name: "x-api-key"}, http.Header{"X-Api-Key": {"k"}}, "/", "k")
	f("no such header", header, authorization("Bearer abc"), "/", none)
	f("an empty header", header, http.Header{"X-Api-Key": {""}}, "/", none)
	f("a header twice", header, http.Header{"X-Api-Key": {"k", "l"}}, "/", bad)

	cookie := plan.Credential{In: plan.InCookie, Name: "key"}
	f("a cookie among others", cookie, http.Header{"Cookie": {"a=b; key=k; c=d"}}, "/", "k")
	f("a quoted cookie", cookie, http.Header{"Cookie": {`key="k"`}}, "/", "k")
	f("another name's end", cookie, http.Header{"Cookie": {"monkey=k"}}, "/", none)
	f("a cookie twice", cookie, http.Header{"Cookie": {"key=k", "key=l"}}, "/", bad)

	query := plan.Credential{In: plan.InQuery, Name: "api_key"}
	f("a parameter", query, nil, "/v1/models?x=1&api_key=k%2Bl", "k+l")
	f("no query", query, nil, "/v1/api_key=k", none)
	f("a parameter twice", query, nil, "/?api_key=k&api_key=l", bad)
	f("a parameter that cannot be decoded", query, nil, "/?api_key=%zz", bad)
}

// FuzzToken holds what everything behind Extract and JWT relies on: no input
// makes them panic, what comes out is short and free of blanks and control
// characters, and no token verifies that the issuer did not sign.
func FuzzToken(f *testing.F) {
	now := clock()
	v := &ident.JWT{Issuer: issuerURL, Keys: ident.NewKeys(testKeys.fetch, 0, now), Now: now}
	good := testKeys.sign(f, rs256, claims{})
	f.Add("Bearer "+good, "key=k", "/?api_key=k")
	f.Add("Bearer ", "key=\"", "/?api_key")
	f.Add("Basic dXNlcjpwYXNz", "key", "?&&=&%")
	f.Add("Bearer eyJhbGciOiJub25lIn0.e30.", "a=b;key=\"\";", "/?%61pi_key=1;2")
	f.Add("Bearer "+good[:len(good)-4], "", "")
	f.Fuzz(func(t *testing.T, authorization, cookie, path string) {
		h := http.Header{"Authorization": {authorization}, "Cookie": {cookie}}
		for _, c := range []plan.Credential{
			bearer, {In: plan.InHeader, Name: "Authorization"}, {In: plan.InCookie, Name: "key"}, {In: plan.InQuery, Name: "api_key"},
		} {
			token, err := ident.Extract(c, h, path)
			if err != nil {
				continue
			}
			if token == "" || len(token) > ident.MaxCredential || strings.ContainsAny(token, " \t\r\n\x00\x7f") {
				t.Fatalf("%s: took %q", c.In, token)
			}
			// The last letter of a signature has bits that mean nothing, so a good
			// token has more than one spelling; what it says has not.
			if id, err := v.Identify(t.Context(), token); err == nil && id.Subject != "alice" {
				t.Fatalf("%q stands for %q", token, id.Subject)
			}
		}
	})
}
