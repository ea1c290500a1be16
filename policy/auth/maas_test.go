package auth_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/auth"
	"github.com/egret-gateway/egret/policy/rule"
)

const (
	modelPath  = "/llm/granite/v1/chat/completions"
	bridgePath = "/external/v1/chat/completions"
)

// refusal is what a caller sees of a Denied.
type refusal struct {
	Status            int
	Challenge, Reason string
	Body              string
}

func seen(d *auth.Denied) refusal {
	if d == nil {
		return refusal{}
	}
	return refusal{d.Status, strings.Join(d.Header.Values("WWW-Authenticate"), ", "), d.Header.Get("X-Ext-Auth-Reason"), string(d.Body)}
}

// TestMaaSPolicies runs the three policies of the quickstart.
func TestMaaSPolicies(t *testing.T) {
	passes := refusal{}
	f := func(name string, p *plan.Auth, in *rule.Input, want refusal) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			w := newWorld(t)
			w.allowed["system:serviceaccounts:maas-default-gateway-tier-free llm/granite"] = true
			if diff := cmp.Diff(want, seen(w.pipeline(p).Check(t.Context(), in).Denied)); diff != "" {
				t.Errorf("(-want +got)\n%s\nlog: %s", diff, w.log.String())
			}
		})
	}
	unauthenticated := func(realm, reason string) refusal {
		return refusal{Status: 401, Challenge: `Bearer realm="` + realm + `"`, Reason: reason}
	}
	f("maas-84 no token on a model route", gatewayPolicy(), request("POST", modelPath), unauthenticated("service-accounts", "credential not found"))
	f("maas-84 no token on the bridge", bridgePolicy(), request("POST", bridgePath), unauthenticated("service-accounts", "credential not found"))
	f("maas-84 maas-70 no token on the API", apiPolicy(), request("GET", "/v1/models"), unauthenticated("openshift-identities", "credential not found"))
	f("maas-85 a garbage token", bridgePolicy(), post(bridgePath, "garbage"), unauthenticated("service-accounts", "not authenticated"))
	f("maas-86 Basic", bridgePolicy(), request("POST", bridgePath, "Authorization", "Basic x"), unauthenticated("service-accounts", "credential not found"))
	f("maas-87 a cluster token on the bridge", bridgePolicy(), post(bridgePath, clusterToken), unauthenticated("service-accounts", "not authenticated"))
	f("maas-40 an expired token on the API", apiPolicy(), post("/maas-api/v1/models", expiredToken), unauthenticated("openshift-identities", "not authenticated"))
	f("maas-88 a MaaS token on the API", apiPolicy(), post("/maas-api/v1/models", freeToken), passes)
	f("maas-71 a cluster token on the API", apiPolicy(), post("/v1/models", clusterToken), passes)
	f("a MaaS token on the bridge", bridgePolicy(), post(bridgePath, freeToken), passes)
	f("maas-89 a model without RBAC", gatewayPolicy(), post("/llm/other/v1/chat/completions", freeToken),
		refusal{Status: 403, Reason: "not authorized: no rule of system:serviceaccount:maas-default-gateway-tier-free:alice-1 allows it"})
	f("maas-90 a model with RBAC", gatewayPolicy(), post(modelPath, freeToken), passes)
	f("maas-91 a path of one segment", gatewayPolicy(), post("/x", freeToken), refusal{Status: 403, Reason: "not authorized: unknown reason"})
	f("maas-91 a path with an empty name", gatewayPolicy(), post("/llm/", freeToken), refusal{Status: 403, Reason: "not authorized: unknown reason"})
	f("a namespace without a tier", bridgePolicy(), post(bridgePath, oddToken), refusal{Status: 403, Reason: "not authorized: unknown reason"})
}

func TestMaaSResults(t *testing.T) {
	credential := &plan.Credential{In: plan.InAuthorization, Name: "Bearer"}
	f := func(name string, p *plan.Auth, in *rule.Input, want auth.Result) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			w := newWorld(t)
			w.allowed["system:serviceaccounts:maas-default-gateway-tier-premium llm/granite"] = true
			got := w.pipeline(p).Check(t.Context(), in)
			if got.Denied != nil {
				t.Fatalf("denied: %s", got.Denied.Reason)
			}
			if diff := cmp.Diff(got.Identity, in.Identity); diff != "" {
				t.Errorf("Input.Identity differs: %s", diff)
			}
			got.Identity = nil
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	const bob = "system:serviceaccount:maas-default-gateway-tier-premium:bob-2"
	identity := map[string]any{"identity": map[string]any{"userid": "bob-2", "tier": "premium"}}

	f("maas-92 a model route gets the name and the tier", gatewayPolicy(), post(modelPath, premiumToken), auth.Result{
		Headers: []plan.Header{{Name: "x-maas-tier", Value: "premium"}, {Name: "x-maas-username", Value: "bob-2"}},
		Filters: identity, Subject: bob, Method: "service-accounts", Consumed: credential,
	})
	f("the bridge derives the tier from the namespace", bridgePolicy(), post(bridgePath, premiumToken), auth.Result{
		Filters: identity, Subject: bob, Method: "service-accounts", Consumed: credential,
	})
	f("maas-39 a client's header never wins", apiPolicy(),
		request("POST", "/maas-api/v1/tokens", "Authorization", "Bearer "+clusterToken, "X-MaaS-Username", "root", "X-MaaS-Group", `["admin"]`), auth.Result{
			Headers: []plan.Header{{Name: "x-maas-group", Value: `["system:authenticated","tier-free-users"]`}, {Name: "x-maas-username", Value: "kube:admin"}},
			Subject: "kube:admin", Method: "openshift-identities", Consumed: credential,
		})
}

func TestMaaSCaches(t *testing.T) {
	run := func(name string, test func(t *testing.T, w *world, check func(token, path string) int)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.allowed["system:authenticated llm/granite"] = true
				test(t, w, func(token, path string) int {
					// Compiled anew for every request: a reload loses nothing.
					r := w.pipeline(gatewayPolicy()).Check(t.Context(), post(path, token))
					if r.Denied == nil {
						return 200
					}
					return r.Denied.Status
				})
			})
		})
	}
	run("maas-96 a tier is looked up once per user and 300 s", func(t *testing.T, w *world, check func(string, string) int) {
		for range 5 {
			if got := check(freeToken, modelPath); got != 200 {
				t.Fatal(got)
			}
			time.Sleep(60*time.Second - time.Nanosecond)
		}
		if n := w.lookups.Load(); n != 1 {
			t.Errorf("%d lookups within 300 s, want 1", n)
		}
		time.Sleep(5 * time.Nanosecond)
		check(freeToken, modelPath)
		check(premiumToken, modelPath)
		if n := w.lookups.Load(); n != 3 {
			t.Errorf("%d lookups, want 3: one more after 300 s, one for the other user", n)
		}
	})
	run("maas-90 an access stays for 60 s", func(t *testing.T, w *world, check func(string, string) int) {
		check(freeToken, modelPath)
		w.set(func(w *world) { clear(w.allowed) })
		time.Sleep(60*time.Second - time.Nanosecond)
		if got := check(freeToken, modelPath); got != 200 {
			t.Errorf("within 60 s: %d", got)
		}
		if got := check(freeToken, modelPath+"?x=1"); got != 403 {
			t.Errorf("for another path: %d", got)
		}
		time.Sleep(time.Nanosecond)
		if got := check(freeToken, modelPath); got != 403 {
			t.Errorf("after 60 s: %d", got)
		}
	})
	run("maas-90 a denial does not stay", func(t *testing.T, w *world, check func(string, string) int) {
		w.set(func(w *world) { clear(w.allowed) })
		if got := check(freeToken, modelPath); got != 403 {
			t.Fatal(got)
		}
		w.set(func(w *world) { w.allowed["system:authenticated llm/granite"] = true })
		if got := check(freeToken, modelPath); got != 200 {
			t.Errorf("after the role was bound: %d", got)
		}
	})
	run("an error document is not a tier, and is not remembered", func(t *testing.T, w *world, check func(string, string) int) {
		good := w.tier
		w.set(func(w *world) {
			w.tier = func(*http.Request, []string) *http.Response {
				return answer(404, "application/json", `{"error":"not_found","tier":"enterprise"}`)
			}
		})
		if got := check(freeToken, modelPath); got != 403 {
			t.Errorf("without a tier: %d", got)
		}
		w.set(func(w *world) { w.tier = good })
		if got := check(freeToken, modelPath); got != 200 {
			t.Errorf("with a tier again: %d", got)
		}
	})
	run("maas-42 a revoked token is refused at once", func(t *testing.T, w *world, check func(string, string) int) {
		if got := check(freeToken, modelPath); got != 200 {
			t.Fatal(got)
		}
		w.set(func(w *world) { w.revoked["1"], w.epoch = true, 1 })
		if got := check(freeToken, modelPath); got != 401 {
			t.Errorf("after the revocation: %d", got)
		}
	})
	run("a token in other case is another token", func(t *testing.T, w *world, check func(string, string) int) {
		check(freeToken, modelPath)
		if got := check(strings.ToUpper(freeToken), modelPath); got != 401 {
			t.Errorf("in upper case: %d", got)
		}
	})
	run("maas-94 the cluster is away", func(t *testing.T, w *world, check func(string, string) int) {
		w.set(func(w *world) { w.away = errors.New("dial tcp: connection refused") })
		in := post(modelPath, freeToken)
		r := w.pipeline(gatewayPolicy()).Check(t.Context(), in)
		if diff := cmp.Diff(refusal{Status: 500, Body: "Internal Server Error.\n"}, seen(r.Denied)); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if len(r.Denied.Header) != 0 || !strings.Contains(r.Denied.Reason, "connection refused") || strings.Contains(r.Denied.Reason, freeToken) {
			t.Errorf("header %v, reason %q", r.Denied.Header, r.Denied.Reason)
		}
		w.set(func(w *world) { w.away = nil })
		if got := check(freeToken, modelPath); got != 200 {
			t.Errorf("when it is back: %d", got)
		}
	})
	run("maas-94 the cluster goes away between identity and access", func(t *testing.T, w *world, check func(string, string) int) {
		check(freeToken, modelPath)
		w.set(func(w *world) { w.away = errors.New("dial tcp: connection refused") })
		if got := check(freeToken, "/llm/other/v1/chat/completions"); got != 500 {
			t.Errorf("got %d", got)
		}
	})
	run("maas-94 an access review that is never answered", func(t *testing.T, w *world, check func(string, string) int) {
		w.set(func(w *world) { w.hang = true })
		start := time.Now()
		if got := check(freeToken, modelPath); got != 500 || time.Since(start) != auth.CallTimeout {
			t.Errorf("got %d after %s", got, time.Since(start))
		}
	})
	run("who joins a question is not answered by the hurry of who began it", func(t *testing.T, w *world, check func(string, string) int) {
		good := w.tier
		w.set(func(w *world) {
			w.slow = 2 * time.Second
			w.tier = func(r *http.Request, groups []string) *http.Response {
				if w.lookups.Load() == 1 {
					<-r.Context().Done()
					return nil
				}
				return good(r, groups)
			}
		})
		first := make(chan int, 1)
		go func() { first <- check(freeToken, modelPath) }()
		time.Sleep(3 * time.Second)
		if got := check(freeToken, modelPath); got != 200 {
			t.Errorf("got %d", got)
		}
		if got := <-first; got == 200 {
			t.Error("who began it had time enough")
		}
	})
	run("maas-94 everybody is slow and the last never answers", func(t *testing.T, w *world, check func(string, string) int) {
		good := w.tier
		w.set(func(w *world) {
			w.slow, w.hang = 2*time.Second, true
			w.tier = func(r *http.Request, groups []string) *http.Response {
				time.Sleep(2 * time.Second)
				return good(r, groups)
			}
		})
		start := time.Now()
		if got := check(freeToken, modelPath); got != 500 || time.Since(start) != auth.CheckTimeout {
			t.Errorf("got %d after %s", got, time.Since(start))
		}
	})
}
