package engine

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/provider/account"
)

// keyed is onePlan with accounts on its backend, and a Secret with two keys.
func keyed(accounts []plan.Account, policies ...plan.Policy) *plan.Plan {
	p := onePlan(policies...)
	p.Backends[0].Object, p.Backends[0].Accounts = "XBackendDestination g/b", accounts
	p.Secrets = []plan.Secret{{Name: "s", Kind: plan.SecretOpaque, Digest: "1", Data: []plan.Item{{Key: "a", Value: []byte("sk-a")}, {Key: "b", Value: []byte("sk-b")}}}}
	return p
}

// bearerOf shows item key as a bearer token.
func bearerOf(key string) plan.Account {
	return plan.Account{Name: key, Namespace: "g", Scheme: plan.SchemeHeader, Secret: "s", Key: key, Field: "Authorization", Prefix: "Bearer "}
}

// attempt takes a request to its first try.
func (w *world) attempt(t testing.TB, h Head) (*Attempt, *Refusal) {
	t.Helper()
	x, step := w.Begin(t.Context(), h)
	defer x.End(t.Context(), Done, 0)
	if step == NeedBody {
		step = x.Body(t.Context(), []byte(chatBody))
	}
	if step == Refuse {
		return nil, x.Refusal
	}
	return x.Attempt(1)
}

// said are the places in which a client may put something that it is known by.
var said = []struct {
	name string
	put  func(h *Head, value string)
}{
	{"Authorization", field("Authorization", "Bearer ")},
	{"Authorization twice", func(h *Head, v string) { h.Header["Authorization"] = []string{"Bearer " + v, "Basic " + v} }},
	{"Proxy-Authorization", field("Proxy-Authorization", "Basic ")},
	{"X-Api-Key", field("X-Api-Key", "")},
	{"X_Api_Key", func(h *Head, v string) { h.Header["X_api_key"] = []string{v} }},
	{"Api-Key", field("Api-Key", "")},
	{"X-Provider-Api-Key", field("X-Provider-Api-Key", "")},
	{"X-Goog-Api-Key", field("X-Goog-Api-Key", "")},
	{"Ocp-Apim-Subscription-Key", field("Ocp-Apim-Subscription-Key", "")},
	{"X-Amz-Security-Token", field("X-Amz-Security-Token", "")},
	{"X-Auth-Token", field("X-Auth-Token", "")},
	{"X-Access-Token", field("X-Access-Token", "")},
	{"X-Forwarded-Access-Token", field("X-Forwarded-Access-Token", "")},
	{"X-Original-Authorization", field("X-Original-Authorization", "")},
	{"Cookie", field("Cookie", "session=")},
	{"Openai-Organization", field("Openai-Organization", "")},
	{"Openai-Project", field("Openai-Project", "")},
	{"X-Goog-User-Project", field("X-Goog-User-Project", "")},
	{"a WebSocket's protocol", field("Sec-Websocket-Protocol", "realtime, openai-insecure-api-key.")},
	{"the policy's own header", field("X-Knock", "")},
	{"the policy's own parameter", parameter("knock")},
	{"the account's field", func(h *Head, v string) { h.Header["X_company"] = []string{v} }},
	{"api_key", parameter("api_key")},
	{"key", parameter("key")},
	{"an escaped name", parameter("api%5Fkey")},
	{"behind a semicolon", parameter("a=1;key")},
	{"access_token", parameter("access_token")},
	{"X-Amz-Signature", parameter("X-Amz-Signature")},
	{"sig", parameter("sig")},
	{"in upper case", parameter("API-KEY")},
}

func field(name, prefix string) func(*Head, string) {
	return func(h *Head, v string) { h.Header[name] = []string{prefix + v} }
}

func parameter(name string) func(*Head, string) {
	return func(h *Head, v string) { h.Path += "&" + name + "=" + v }
}

// knocked is a policy that looks for keys in places of its own, and asks
// nobody.
func knocked() plan.Policy {
	step := func(name string, c plan.Credential) plan.Authentication {
		return plan.Authentication{Step: plan.Step{Name: name}, Credential: c, Anonymous: true}
	}
	return plan.Policy{Auth: &plan.Auth{Source: "n/knock", Authentication: []plan.Authentication{
		step("a", plan.Credential{In: plan.InHeader, Name: "X-Knock"}), step("b", plan.Credential{In: plan.InQuery, Name: "knock"}),
	}, Headers: []plan.Success{{Step: plan.Step{Name: "h"}, Key: "authorization", Plain: &plan.Value{Static: []byte(`"Bearer hush-of-the-policy"`)}}}}}
}

// hushed reports what of a word got into what is sent.
func hushed(t *testing.T, a *Attempt, word string) {
	t.Helper()
	if strings.Contains(a.Path, word) {
		t.Errorf("path %s", a.Path)
	}
	for name, values := range a.Header {
		if strings.Contains(strings.Join(values, ","), word) {
			t.Errorf("header %s: %s", name, values)
		}
	}
}

func TestNothingOfTheClients(t *testing.T) {
	own := plan.Account{Name: "company", Namespace: "g", Scheme: plan.SchemeHeader, Secret: "s", Key: "b", Field: "X-Company", When: "false"}
	w := newWorld(t, keyed([]plan.Account{own, bearerOf("a")}, knocked()))
	for _, s := range said {
		t.Run("gateway-108 nothing of the client's in "+s.name, func(t *testing.T) {
			h := get("/x?first=1")
			h.Header["Idempotency-Key"], h.Header["Openai-Beta"] = []string{"kept"}, []string{"kept"}
			s.put(&h, "hush")
			a, refusal := w.attempt(t, h)
			if refusal != nil {
				t.Fatal(refusal.Reason)
			}
			hushed(t, a, "hush")
			if got := a.Header["Authorization"]; len(got) != 1 || got[0] != "Bearer sk-a" {
				t.Errorf("authorization %q", got)
			}
			if a.Header.Get("Idempotency-Key") != "kept" || a.Header.Get("Openai-Beta") != "kept" || !strings.HasPrefix(a.Path, "/x?first=1") {
				t.Errorf("too much was taken out: %s %v", a.Path, a.Header)
			}
		})
	}
}

// FuzzNothingOfTheClients puts a word into fields and parameters of any name
// that Bears or BearsQuery knows, in any spelling.
func FuzzNothingOfTheClients(f *testing.F) {
	for _, name := range []string{"Authorization", "x_api_key", "API-KEY", "X-Vault-Token", "My-Secret", "key", "sig"} {
		f.Add(name, "a=1")
	}
	w := newWorld(f, keyed([]plan.Account{bearerOf("a")}))
	f.Fuzz(func(t *testing.T, name, query string) {
		h := get("/x?" + query)
		if plan.Bears(name) {
			h.Header[http.CanonicalHeaderKey(name)] = []string{"hush-hush"}
		}
		if plan.BearsQuery(name) {
			h.Path += "&" + name + "=hush-hush"
		}
		if a, refusal := w.attempt(t, h); refusal == nil && !strings.Contains(query, "hush") {
			hushed(t, a, "hush-hush")
			if got := a.Header["Authorization"]; len(got) != 1 || got[0] != "Bearer sk-a" {
				t.Errorf("authorization %q", got)
			}
		}
	})
}

func TestAccounts(t *testing.T) {
	when := func(a plan.Account, expr string) plan.Account { a.When = expr; return a }
	open := func(a plan.Account) plan.Account { a.FailOpen = true; return a }
	lost := bearerOf("lost") // an item that the Secret does not have
	pod := plan.Account{Name: "pod", Namespace: "g", Scheme: plan.SchemeGCP, Field: "Authorization", Prefix: "Bearer ", Token: &plan.Token{Pod: true}}
	f := func(name, path, want string, status int, accounts ...plan.Account) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, keyed(accounts))
				h := get(path)
				h.Header.Set("Authorization", "Bearer mine")
				a, refusal := w.attempt(t, h)
				if status != 0 {
					if refusal == nil || refusal.Status != status || refusal.Code != "no_credential" {
						t.Fatalf("%+v, want %d", refusal, status)
					}
					if strings.Contains(string(refusal.Body)+refusal.Reason, "sk-") {
						t.Errorf("a secret in %+v", refusal)
					}
					return
				}
				if refusal != nil {
					t.Fatal(refusal.Reason)
				}
				if got := strings.Join(a.Header["Authorization"], ","); got != want {
					t.Errorf("authorization %q, want %q", got, want)
				}
				if account := w.records[len(w.records)-1].Account; (account == "") != (want == "") {
					t.Errorf("the record names account %q for authorization %q", account, want)
				}
			})
		})
	}
	a, b := bearerOf("a"), bearerOf("b")
	f("gateway-108 the only one", "/", "Bearer sk-a", 0, a)
	f("the first that holds", "/", "Bearer sk-b", 0, when(a, `request.path == "/else"`), b)
	f("none that holds refuses", "/", "", 403, when(a, "false"), when(b, "false"))
	f("also when one of them fails open", "/", "", 403, when(a, "false"), open(when(b, "false")))
	f("none that holds, and all fail open", "/", "", 0, open(when(a, "false")), open(when(b, "false")))
	f("what cannot be evaluated does not hold", "/", "Bearer sk-b", 0, when(a, `auth.identity.tier == "gold"`), b)
	f("a path is what any server reads", "/a//b", "Bearer sk-b", 0, when(a, `request.path == "/a//b"`), b)
	f("what is missing refuses, and falls to no other", "/", "", 503, lost, b)
	f("or goes without, when it fails open", "/", "", 0, open(lost), b)
	f("gateway-106 nothing in the place of what fails open", "/", "", 0, plan.Account{Name: "x", Namespace: "g", FailOpen: true, Scheme: plan.SchemeNone})
	f("a token that nobody fetches", "/", "", 503, pod)
	other := pod
	other.Namespace = "elsewhere"
	f("the pod's identity is not for another namespace", "/", "", 500, other)
}

// TestRotate: a new Secret is a new credential, and costs nobody a cached
// identity.
func TestRotate(t *testing.T) {
	t.Run("gateway-108 rotation takes effect without restart", func(t *testing.T) {
		p := keyed([]plan.Account{bearerOf("a")}, asksAlice())
		w := newWorld(t, p)
		h := chat()
		first, refusal := w.attempt(t, h)
		if refusal != nil {
			t.Fatal(refusal.Reason)
		}
		next := keyed([]plan.Account{bearerOf("a")}, asksAlice())
		next.Secrets[0].Digest, next.Secrets[0].Data = "2", []plan.Item{{Key: "a", Value: []byte("sk-new")}}
		if err := w.Load(next); err != nil {
			t.Fatal(err)
		}
		second, refusal := w.attempt(t, h)
		if refusal != nil {
			t.Fatal(refusal.Reason)
		}
		if a, b := first.Header.Get("Authorization"), second.Header.Get("Authorization"); a != "Bearer sk-a" || b != "Bearer sk-new" {
			t.Errorf("%q, then %q", a, b)
		}
		if w.reviews != 1 {
			t.Errorf("%d reviews", w.reviews)
		}
	})
}

// TestSigned: a signature needs the body, also where nothing else does.
func TestSigned(t *testing.T) {
	t.Run("gateway-119 the body is read to be signed", func(t *testing.T) {
		aws := plan.Account{Name: "aws", Namespace: "g", Scheme: plan.SchemeAWS, Secret: "s", ID: "a", Key: "b", AWS: &plan.AWS{Region: "us-east-1", Service: "bedrock"}}
		w := newWorld(t, keyed([]plan.Account{aws}))
		h := get("/model/m/invoke")
		h.Method, h.Length = http.MethodPost, 5
		x, step := w.Begin(t.Context(), h)
		defer x.End(t.Context(), Done, 0)
		if step != NeedBody {
			t.Fatalf("step %v", step)
		}
		if step = x.Body(t.Context(), []byte("hello")); step != Forward {
			t.Fatalf("step %v", step)
		}
		a, refusal := x.Attempt(1)
		if refusal != nil {
			t.Fatal(refusal.Reason)
		}
		if got := a.Header.Get("Authorization"); !strings.HasPrefix(got, "AWS4-HMAC-SHA256 Credential=sk-a/20260102/us-east-1/bedrock/aws4_request, ") || string(a.Body) != "hello" {
			t.Errorf("%q, body %q", got, a.Body)
		}
	})
}

// tokens is a token endpoint that numbers its tokens.
type tokens struct{ n atomic.Int64 }

// RoundTrip implements http.RoundTripper.
func (e *tokens) RoundTrip(*http.Request) (*http.Response, error) {
	body := fmt.Sprintf(`{"access_token":"t%d","expires_in":3600}`, e.n.Add(1))
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// TestToken: a request waits for its first token, and a backend that refuses
// one has the next made.
func TestToken(t *testing.T) {
	t.Run("gateway-119 a token is exchanged for, and again when it is refused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			office := account.New(account.Options{HTTP: &tokens{}})
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			go office.Run(ctx)
			w := newWorld(t, keyed([]plan.Account{{
				Name: "o", Namespace: "g", Scheme: plan.SchemeOAuth2, Secret: "s", Key: "a", Field: "Authorization", Prefix: "Bearer ", Token: &plan.Token{URL: "https://t.example/", Client: "c"},
			}}))
			w.deps.Accounts = office
			call := func(want string, status int) {
				t.Helper()
				x, _ := w.Begin(t.Context(), get("/"))
				defer x.End(t.Context(), Done, 0)
				a, refusal := x.Attempt(1)
				if refusal != nil {
					t.Fatal(refusal.Reason)
				}
				if got := a.Header.Get("Authorization"); got != want {
					t.Errorf("authorization %q, want %q", got, want)
				}
				x.Response(ResponseHead{Status: status, Header: http.Header{}})
			}
			call("Bearer t1", 200)
			time.Sleep(time.Minute)
			call("Bearer t1", 401)
			synctest.Wait()
			call("Bearer t2", 200)
		})
	})
}

// TestHost: a credential is for the backend's own host, whatever a route makes
// of the Host field; behind an address only the route knows the name.
func TestHost(t *testing.T) {
	f := func(authority, want string) {
		t.Run("gateway-149 the Host of "+authority, func(t *testing.T) {
			p := keyed([]plan.Account{bearerOf("a")})
			p.Backends[0].Authority = authority
			if told := newWorld(t, p).Explain(t.Context(), get("/"), nil).Targets[0]; told.Host != authority {
				t.Errorf("explained as %q", told.Host)
			}
			p.Rules[0].Rewrite = &plan.Rewrite{Host: "neighbour.example.com"}
			p.Rules[0].Request.Set = []plan.Header{{Name: "host", Value: "other.example.com"}}
			a, refusal := newWorld(t, p).attempt(t, get("/"))
			if refusal != nil || a.Host != want {
				t.Errorf("host %q, want %q; %v", a.Host, want, refusal)
			}
		})
	}
	f("api.openai.com", "api.openai.com")
	f("192.0.2.1", "neighbour.example.com")
	f("[2001:db8::1]", "neighbour.example.com")
	f("front.team.svc.cluster.local", "front.team.svc.cluster.local")
	t.Run("gateway-149 the Host of a Service is not the client's", func(t *testing.T) {
		p := keyed([]plan.Account{bearerOf("a")})
		b := &p.Backends[0]
		b.Host, b.Endpoints, b.Authority = "", []plan.Endpoint{{Address: "10.0.0.1", Port: 80}}, "front.team.svc.cluster.local"
		h := get("/")
		h.Host = "neighbour.apps.example.com"
		if a, refusal := newWorld(t, p).attempt(t, h); refusal != nil || a.Host != b.Authority {
			t.Errorf("host %q, want %q; %v", a.Host, b.Authority, refusal)
		}
	})
}

// inQuery shows item "a" as parameter "key".
func inQuery() plan.Account {
	return plan.Account{Name: "q", Namespace: "g", Scheme: plan.SchemeQuery, Secret: "s", Key: "a", Field: "key"}
}

// TestExplained: which account it would be, and nothing of it.
func TestExplained(t *testing.T) {
	w := newWorld(t, keyed([]plan.Account{inQuery()}))
	out := w.Explain(t.Context(), get("/"), nil)
	if got := out.Targets[0]; got.Credential != "the platform's own: account q (query)" || strings.Contains(plan.Digest(got)+got.Path, "sk-") {
		t.Errorf("%+v", got)
	}
}
