package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/auth"
	"github.com/egret-gateway/egret/policy/ident"
	"github.com/egret-gateway/egret/policy/rule"
)

// Tokens of the world: a person's cluster token and MaaS tokens.
const (
	clusterToken = "sha256~kube-admin"
	freeToken    = "free.token.x"
	premiumToken = "premium.token.x"
	oddToken     = "odd.token.x" // the right audience, but a namespace without a tier
	expiredToken = "expired.token.x"

	audience = "maas-default-gateway-sa"
	cluster  = "https://kubernetes.default.svc"
)

// world is everything a pipeline asks, small and real: a realm with a few
// tokens, access rules, and a tier service.
type world struct {
	t testing.TB

	mu      sync.Mutex
	away    error           // the cluster cannot be reached
	hang    bool            // access reviews are never answered
	slow    time.Duration   // that token reviews take
	allowed map[string]bool // "group namespace/name" that may post
	revoked map[string]bool // by jti
	expires time.Time       // of all tokens; zero = never
	epoch   uint64
	tier    func(r *http.Request, groups []string) *http.Response

	reviews, accesses, lookups atomic.Int32
	events                     []auth.Event
	log                        strings.Builder
	secrets                    map[string]*plan.Secret
	caches                     *auth.Caches
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, allowed: map[string]bool{}, revoked: map[string]bool{}, secrets: map[string]*plan.Secret{}, caches: auth.NewCaches()}
	w.tier = func(_ *http.Request, groups []string) *http.Response {
		if strings.Contains(strings.Join(groups, " "), "premium") {
			return answer(200, "application/json", `{"tier":"premium","displayName":"Premium"}`)
		}
		return answer(200, "application/json; charset=utf-8", `{"tier":"free","displayName":"Free"}`)
	}
	return w
}

func answer(status int, contentType, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(strings.NewReader(body))}
}

// Review implements ident.Reviewer.
func (w *world) Review(_ context.Context, token string, audiences []string) (ident.Review, error) {
	w.reviews.Add(1)
	time.Sleep(w.slow)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away != nil {
		return ident.Review{}, w.away
	}
	account := func(name, tier, id string) ident.Review {
		ns := "maas-default-gateway-tier-" + tier
		return ident.Review{ID: id, User: ident.User{
			Username: "system:serviceaccount:" + ns + ":" + name, UID: "u-" + name,
			Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + ns, "system:authenticated"},
		}}
	}
	known := map[string]ident.Review{
		freeToken:    account("alice-1", "free", "1"),
		premiumToken: account("bob-2", "premium", "2"),
		oddToken:     {ID: "3", User: ident.User{Username: "system:serviceaccount:elsewhere:eve"}},
		clusterToken: {User: ident.User{Username: "kube:admin", Groups: []string{"system:authenticated", "tier-free-users"}}},
	}
	r, ok := known[token]
	want := audience
	if token == clusterToken {
		want = cluster
	}
	if !ok || !strings.Contains(strings.Join(audiences, " "), want) {
		return ident.Review{Error: "no such token, or another audience: " + token}, nil
	}
	r.Authenticated, r.Audiences, r.Expires = true, []string{want}, w.expires
	return r, nil
}

// Access implements ident.Authorizer.
func (w *world) Access(ctx context.Context, a ident.Access) (bool, string, error) {
	w.accesses.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hang {
		<-ctx.Done()
		return false, "", ctx.Err()
	}
	if w.away != nil {
		return false, "", w.away
	}
	for _, g := range a.Groups {
		if a.Verb == "post" && a.Group == "serving.kserve.io" && a.Resource == "llminferenceservices" && w.allowed[g+" "+a.Namespace+"/"+a.Name] {
			return true, "", nil
		}
	}
	if a.Path != "" && w.allowed[a.User+" "+a.Verb+" "+a.Path] {
		return true, "", nil
	}
	if a.User == "mute" {
		return false, "", nil
	}
	return false, "no rule of " + a.User + " allows it", nil
}

// Revoked and Epoch implement ident.Revoked.
func (w *world) Revoked(r *ident.Review) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.revoked[r.ID]
}

func (w *world) Epoch() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.epoch
}

// RoundTrip is the tier service, and whatever else a test puts there.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	w.lookups.Add(1)
	var asked struct{ Groups []string }
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		_ = json.Unmarshal(b, &asked)
	}
	w.mu.Lock()
	tier := w.tier
	w.mu.Unlock()
	if res := tier(r, asked.Groups); res != nil {
		return res, nil
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return nil, errors.New("connection refused")
}

func (w *world) set(change func(*world)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w)
}

// pipeline compiles a policy in this world.
func (w *world) pipeline(a *plan.Auth) *auth.Pipeline {
	w.t.Helper()
	p, err := auth.New(a, w.deps())
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func request(method, path string, header ...string) *rule.Input {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return &rule.Input{Request: rule.Request{
		ID: "r1", Method: method, Scheme: "https", Host: "maas.example.com", Path: path,
		Protocol: "HTTP/1.1", Header: h, Size: -1, Time: time.Unix(1770000000, 0),
	}}
}

// post makes a request with a bearer token.
func post(path, token string) *rule.Input {
	return request("POST", path, "Authorization", "Bearer "+token)
}

// expression, selector and static are the three kinds of values.
func expression(s string) *plan.Value { return &plan.Value{Expression: s} }
func selector(s string) *plan.Value   { return &plan.Value{Selector: s} }
func static(s string) *plan.Value     { return &plan.Value{Static: json.RawMessage(s)} }

func property(name string, v *plan.Value) plan.Property { return plan.Property{Name: name, Value: *v} }

// serviceAccounts is how the quickstart's policies authenticate tokens.
func serviceAccounts() plan.Authentication {
	return plan.Authentication{
		Step:        plan.Step{Name: "service-accounts", Cache: &plan.Cache{Key: *selector("context.request.http.headers.authorization.@case:lower"), TTL: 600 * time.Second}},
		Credential:  plan.Credential{In: plan.InAuthorization, Name: "Bearer"},
		TokenReview: &plan.TokenReview{Audiences: []string{audience}},
		Defaults:    []plan.Property{property("userid", expression(`auth.identity.user.username.split(":")[3]`))},
	}
}

// bridgePolicy is external-bridge-auth of the quickstart.
func bridgePolicy() *plan.Auth {
	return &plan.Auth{
		Source:         "default/external-bridge-auth",
		Authentication: []plan.Authentication{serviceAccounts()},
		Filters: []plan.Success{{Step: plan.Step{Name: "identity"}, Key: "identity", JSON: []plan.Property{
			property("userid", expression("auth.identity.userid")),
			property("tier", expression(`auth.identity.user.username.split(":")[2].split("-tier-")[1]`)),
		}}},
	}
}

// apiPolicy is maas-api-auth-policy of the quickstart.
func apiPolicy() *plan.Auth {
	return &plan.Auth{
		Source: "opendatahub/maas-api-auth-policy",
		Authentication: []plan.Authentication{{
			Step:        plan.Step{Name: "openshift-identities"},
			Credential:  plan.Credential{In: plan.InAuthorization, Name: "Bearer"},
			TokenReview: &plan.TokenReview{Audiences: []string{cluster, audience}},
		}},
		Headers: []plan.Success{
			{Step: plan.Step{Name: "X-MaaS-Group"}, Key: "x-maas-group", Plain: selector("auth.identity.user.groups.@tostr")},
			{Step: plan.Step{Name: "X-MaaS-Username"}, Key: "x-maas-username", Plain: selector("auth.identity.user.username")},
		},
	}
}

// gatewayPolicy is gateway-auth-policy of the quickstart.
func gatewayPolicy() *plan.Auth {
	cached := func(key string, ttl time.Duration) *plan.Cache {
		return &plan.Cache{Key: *selector(key), TTL: ttl}
	}
	return &plan.Auth{
		Source:         "openshift-ingress/gateway-auth-policy",
		Authentication: []plan.Authentication{serviceAccounts()},
		Metadata: []plan.Metadata{{
			Step: plan.Step{Name: "matchedTier", Cache: cached("auth.identity.user.username", 300*time.Second)},
			HTTP: plan.HTTPCall{
				URL: "http://maas-api.opendatahub.svc.cluster.local:8080/v1/tiers/lookup", Method: "POST",
				ContentType: "application/json", Body: expression(`{"groups": auth.identity.user.groups}`),
			},
		}},
		Authorization: []plan.Authorization{{
			Step: plan.Step{Name: "tier-access", Cache: cached("{auth.identity.user.username}:{request.path}", 60*time.Second)},
			Access: &plan.AccessReview{
				ResourceAttributes:  true,
				User:                expression("auth.identity.user.username"),
				AuthorizationGroups: expression("auth.identity.user.groups"),
				Group:               static(`"serving.kserve.io"`),
				Resource:            static(`"llminferenceservices"`),
				Verb:                static(`"post"`),
				Namespace:           expression(`request.path.split("/")[1]`),
				Name:                expression(`request.path.split("/")[2]`),
			},
		}},
		Headers: []plan.Success{
			{Step: plan.Step{Name: "X-MaaS-Tier"}, Key: "x-maas-tier", Plain: expression("auth.metadata.matchedTier.tier")},
			{Step: plan.Step{Name: "X-MaaS-Username"}, Key: "x-maas-username", Plain: expression("auth.identity.userid")},
		},
		Filters: []plan.Success{{Step: plan.Step{Name: "identity"}, Key: "identity", JSON: []plan.Property{
			property("userid", expression("auth.identity.userid")),
			property("tier", expression("auth.metadata.matchedTier.tier")),
		}}},
	}
}

func (w *world) deps() auth.Deps {
	return auth.Deps{
		Reviewer: w, Authorizer: w, Revoked: w, HTTP: w, Caches: w.caches,
		Secrets: func(name string) *plan.Secret { return w.secrets[name] },
		Log:     slog.New(slog.NewTextHandler(&w.log, nil)),
		Observe: func(e auth.Event) { w.set(func(w *world) { w.events = append(w.events, e) }) },
	}
}
