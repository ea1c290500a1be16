package auth_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/auth"
)

// roundTrip answers metadata requests by a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestMetadataAnswers: what becomes of an answer, nil when it is absent.
func TestMetadataAnswers(t *testing.T) {
	f := func(name string, res *http.Response, want any) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			w := newWorld(t)
			d := w.deps()
			d.HTTP = roundTrip(func(*http.Request) (*http.Response, error) {
				if res == nil {
					return nil, errors.New("connection refused")
				}
				return res, nil
			})
			p, err := auth.New(&plan.Auth{Metadata: []plan.Metadata{{Step: named("facts"), HTTP: plan.HTTPCall{URL: "http://facts/"}}}}, d)
			if err != nil {
				t.Fatal(err)
			}
			in := request("GET", "/")
			if r := p.Check(t.Context(), in); r.Denied != nil {
				t.Fatalf("denied: %s", r.Denied.Reason)
			}
			if diff := cmp.Diff(want, in.Metadata["facts"]); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if logged := strings.Contains(w.log.String(), "rule=facts"); logged != (want == nil) {
				t.Errorf("log: %q", w.log.String())
			}
		})
	}
	const kind = "application/json"
	moved := answer(302, kind, `{}`)
	moved.Header.Set("Location", "http://169.254.169.254/")
	f("JSON", answer(200, kind, `{"a":[1]}`), map[string]any{"a": []any{float64(1)}})
	f("JSON of another kind", answer(201, "application/problem+json; charset=utf-8", `"a"`), "a")
	f("text", answer(200, "text/plain", `{"a":1}`), `{"a":1}`)
	f("broken JSON", answer(200, kind, `{"a":`), nil)
	f("1 MiB", answer(200, "text/plain", strings.Repeat("x", 1<<20)), strings.Repeat("x", 1<<20))
	f("more than 1 MiB", answer(200, "text/plain", strings.Repeat("x", 1<<20+1)), nil)
	f("not found", answer(404, kind, `{"error":"not_found"}`), nil)
	f("a redirect is not followed", moved, nil)
	f("an error", answer(500, kind, `{}`), nil)
	f("nobody there", nil, nil)
}

// TestMetadataRequests: the request that is made.
func TestMetadataRequests(t *testing.T) {
	type sent struct {
		Method, URL, Host, Body string
		Header                  http.Header
	}
	f := func(name string, call plan.HTTPCall, want sent) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			w := newWorld(t)
			w.secrets["secret/ns/s"] = &plan.Secret{Data: []plan.Item{{Key: "key", Value: plan.Bytes("s3cr3t")}}}
			var got sent
			d := w.deps()
			d.HTTP = roundTrip(func(r *http.Request) (*http.Response, error) {
				got = sent{Method: r.Method, URL: r.URL.String(), Host: r.Host, Header: r.Header}
				if r.Body != nil {
					b, err := io.ReadAll(r.Body)
					if err != nil || int64(len(b)) != r.ContentLength {
						t.Errorf("%d bytes, content length %d, %v", len(b), r.ContentLength, err)
					}
					got.Body = string(b)
				}
				return answer(200, "text/plain", ""), nil
			})
			p, err := auth.New(&plan.Auth{Metadata: []plan.Metadata{{Step: named("facts"), HTTP: call}}}, d)
			if err != nil {
				t.Fatal(err)
			}
			p.Check(t.Context(), request("GET", "/a/b?c=d", "X-User", "ann"))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s\nlog: %s", diff, w.log.String())
			}
			if strings.Contains(w.log.String(), "s3cr3t") {
				t.Error("the log holds the secret")
			}
		})
	}
	const at = "http://facts/x"
	form, kind := "application/x-www-form-urlencoded", "Content-Type"
	secret := func(in plan.CredentialPlace, name string) plan.HTTPCall {
		return plan.HTTPCall{URL: at, Secret: "secret/ns/s", SecretKey: "key", Credential: plan.Credential{In: in, Name: name}}
	}
	f("GET by default", plan.HTTPCall{URL: at}, sent{Method: "GET", URL: at, Host: "facts", Header: http.Header{}})
	f("placeholders", plan.HTTPCall{URL: "http://facts/{context.request.http.headers.x-user}?m={request.method}"},
		sent{Method: "GET", URL: "http://facts/ann?m=GET", Host: "facts", Header: http.Header{}})
	f("an expression", plan.HTTPCall{URLExpression: `"https://" + request.host + "/y"`},
		sent{Method: "GET", URL: "https://maas.example.com/y", Host: "maas.example.com", Header: http.Header{}})
	f("a body", plan.HTTPCall{URL: at, Method: "POST", ContentType: "application/json", Body: expression(`{"path": request.path}`)},
		sent{Method: "POST", URL: at, Host: "facts", Header: http.Header{kind: {"application/json"}}, Body: `{"path":"/a/b?c=d"}`})
	parameters := []plan.Property{property("user", expression(`request.headers["x-user"]`)), property("n", static("1"))}
	f("parameters as a form", plan.HTTPCall{URL: at, Method: "POST", Parameters: parameters},
		sent{Method: "POST", URL: at, Host: "facts", Header: http.Header{kind: {form}}, Body: "n=1&user=ann"})
	f("parameters as JSON", plan.HTTPCall{URL: at, Method: "POST", ContentType: "application/json", Parameters: parameters},
		sent{Method: "POST", URL: at, Host: "facts", Header: http.Header{kind: {"application/json"}}, Body: `{"n":1,"user":"ann"}`})
	f("headers", plan.HTTPCall{URL: at, Headers: []plan.Property{property("x-for", expression("request.path")), property("Host", static(`"other"`))}},
		sent{Method: "GET", URL: at, Host: "other", Header: http.Header{"X-For": {"/a/b?c=d"}, "Host": {"other"}}})
	f("a header that is not one line: no request", plan.HTTPCall{URL: at, Headers: []plan.Property{property("x-for", expression(`"a\nb"`))}}, sent{})
	f("a URL without a host: no request", plan.HTTPCall{URLExpression: `"/x"`}, sent{})
	f("a secret, by default a bearer", secret("", ""), sent{Method: "GET", URL: at, Host: "facts", Header: http.Header{"Authorization": {"Bearer s3cr3t"}}})
	f("a secret with a prefix", secret(plan.InAuthorization, "Token"), sent{Method: "GET", URL: at, Host: "facts", Header: http.Header{"Authorization": {"Token s3cr3t"}}})
	f("a secret in a header", secret(plan.InHeader, "X-Key"), sent{Method: "GET", URL: at, Host: "facts", Header: http.Header{"X-Key": {"s3cr3t"}}})
	f("a secret in a cookie", secret(plan.InCookie, "k"), sent{Method: "GET", URL: at, Host: "facts", Header: http.Header{"Cookie": {"k=s3cr3t"}}})
	f("a secret in the query", secret(plan.InQuery, "k"), sent{Method: "GET", URL: at + "?k=s3cr3t", Host: "facts", Header: http.Header{}})
	f("a secret that is missing: no request", plan.HTTPCall{URL: at, Secret: "secret/ns/none", SecretKey: "key"}, sent{})
}

// TestMetadataIsBounded: a service that does not answer costs 3 s at most, and
// concurrent requests share one call.
func TestMetadataIsBounded(t *testing.T) {
	facts := []plan.Metadata{{
		Step: plan.Step{Name: "facts", Cache: &plan.Cache{Key: *selector("request.host")}},
		HTTP: plan.HTTPCall{URL: "http://facts/"},
	}}
	t.Run("in time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newWorld(t).deps()
			d.HTTP = roundTrip(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, context.Cause(r.Context())
			})
			p, err := auth.New(&plan.Auth{Metadata: facts}, d)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			if r := p.Check(t.Context(), request("GET", "/")); r.Denied != nil || time.Since(start) != auth.CallTimeout {
				t.Errorf("denied %v after %s", r.Denied, time.Since(start))
			}
		})
	})
	t.Run("in number", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.tier = func(*http.Request, []string) *http.Response {
				time.Sleep(time.Second)
				return answer(200, "application/json", `{"a":1}`)
			}
			p := w.pipeline(&plan.Auth{Metadata: facts})
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					in := request("GET", "/")
					p.Check(t.Context(), in)
					if diff := cmp.Diff(map[string]any{"facts": map[string]any{"a": float64(1)}}, in.Metadata); diff != "" {
						t.Error(diff)
					}
				})
			}
			wg.Wait()
			time.Sleep(59*time.Second - time.Nanosecond) // the default ttl is 60 s
			p.Check(t.Context(), request("GET", "/"))
			if n := w.lookups.Load(); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
		})
	})
	t.Run("a key that is empty names nobody", func(t *testing.T) {
		w := newWorld(t)
		nameless := []plan.Metadata{facts[0]}
		nameless[0].Cache = &plan.Cache{Key: *selector("auth.identity.none"), TTL: time.Hour}
		p := w.pipeline(&plan.Auth{Metadata: nameless})
		for range 3 {
			p.Check(t.Context(), request("GET", "/"))
		}
		if n := w.lookups.Load(); n != 3 {
			t.Errorf("%d requests, want 3", n)
		}
	})
	t.Run("a rule that changed does not find what the old one left", func(t *testing.T) {
		w := newWorld(t)
		changed := []plan.Metadata{facts[0]}
		changed[0].HTTP.URL = "http://other/"
		w.pipeline(&plan.Auth{Metadata: facts}).Check(t.Context(), request("GET", "/"))
		w.pipeline(&plan.Auth{Metadata: changed}).Check(t.Context(), request("GET", "/"))
		if n := w.lookups.Load(); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
	})
}

// TestMetadataTellsNobodyWhoCalls: the MaaS API answers metadata requests too
// (tiers), and believes X-MaaS-* headers.
func TestMetadataTellsNobodyWhoCalls(t *testing.T) {
	f := func(name string, call plan.HTTPCall, sent bool) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			w, asked := newWorld(t), false
			w.secrets["secret/ns/s"] = &plan.Secret{Name: "secret/ns/s", Data: []plan.Item{{Key: "k", Value: plan.Bytes("root")}}}
			d := w.deps()
			d.HTTP = roundTrip(func(*http.Request) (*http.Response, error) {
				asked = true
				return answer(200, "application/json", `{}`), nil
			})
			p, err := auth.New(&plan.Auth{Metadata: []plan.Metadata{{Step: named("facts"), HTTP: call}}}, d)
			if err != nil {
				t.Fatal(err)
			}
			p.Check(t.Context(), request("GET", "/", "X-To", "maas.gateway.invalid"))
			if asked != sent {
				t.Errorf("sent: %v, want %v", asked, sent)
			}
		})
	}
	const api = "http://maas-api.opendatahub.svc.cluster.local:8080/v1/tokens"
	header := func(name string) []plan.Property { return []plan.Property{property(name, static(`"root"`))} }
	f("nothing", plan.HTTPCall{URL: api}, true)
	f("another header", plan.HTTPCall{URL: api, Headers: header("X-Team")}, true)
	f("a header", plan.HTTPCall{URL: api, Headers: header("X-MaaS-Username")}, false)
	f("in odd letters", plan.HTTPCall{URL: api, Headers: header("x_mAAs_group")}, false)
	f("the header of a shared secret", plan.HTTPCall{URL: api, Secret: "secret/ns/s", SecretKey: "k",
		Credential: plan.Credential{In: plan.InHeader, Name: "X-MaaS-Username"}}, false)
	f("a gateway in memory, by its own name", plan.HTTPCall{URLExpression: `"http://" + request.headers["x-to"] + "/"`}, false)
}
