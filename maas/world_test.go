package maas_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	api "github.com/egret-gateway/egret/api/maas"
	"github.com/egret-gateway/egret/maas"
	"github.com/egret-gateway/egret/policy/ident/local"
	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/store/sqlite"
)

var _ maas.Cluster = (*local.Realm)(nil)

// signingKey is made once: that is the slow part of every realm.
var signingKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// defaultTiers is the mapping that MaaS is installed with.
const defaultTiers = `
- name: free
  displayName: Free Tier
  description: for everybody
  level: 0
  groups: [tier-free-users, "system:authenticated"]
- name: premium
  displayName: Premium Tier
  level: 1
  groups: [tier-premium-users, premium-group]
- name: enterprise
  displayName: Enterprise Tier
  level: 2
  groups: [tier-enterprise-users, enterprise-group, admin-group]
`

const quickstartRegistry = `
- id: gpt-4-external
  provider: openai
  backend: external-model-backend
- id: claude-3-sonnet-external
  provider: anthropic
  backend: anthropic-backend
`

const namespace = "opendatahub"

// world is the API with the realm, the store and the gateway's identity step.
type world struct {
	t      *testing.T
	server *maas.Server
	realm  *local.Realm
	store  *sqlite.Store
	users  string // path of the users file
	people *local.Users
	snap   source.Snapshot
	log    *bytes.Buffer // of the server
	audit  *bytes.Buffer

	mu  sync.Mutex
	now time.Time
}

func newWorld(t *testing.T) *world { return openWorld(t, ":memory:") }

// openWorld opens a world whose store is at path.
func openWorld(t *testing.T, path string) *world {
	t.Helper()
	w := &world{
		t: t, now: time.Date(2026, 2, 13, 17, 15, 13, 400e6, time.UTC),
		log: &bytes.Buffer{}, audit: &bytes.Buffer{}, users: filepath.Join(t.TempDir(), "users.yaml"),
	}
	var err error
	w.store, err = sqlite.Open(t.Context(), path)
	w.must(err)
	t.Cleanup(func() { w.must(w.store.Close()) })
	key, err := signingKey()
	w.must(err)
	issuer, err := local.NewIssuer(key)
	w.must(err)
	w.people, err = local.OpenUsers("", slog.New(slog.DiscardHandler))
	w.must(err)
	w.realm, err = local.Open(t.Context(), local.Options{Users: w.people, Issuer: issuer, State: w.store, Now: w.clock})
	w.must(err)
	config := maas.DefaultConfig()
	config.Namespace = namespace
	w.server = &maas.Server{
		Cluster: w.realm, Keys: w.store, Config: config, Now: w.clock,
		Log:   slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Audit: slog.New(slog.NewJSONHandler(w.audit, nil)),
	}
	w.configMap(maas.TiersConfigMap, "tiers", defaultTiers)
	w.configMap(maas.RegistryConfigMap, "models", quickstartRegistry)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// configMap sets one ConfigMap and loads the new snapshot; without a key the
// ConfigMap is removed.
func (w *world) configMap(name, key, text string) {
	var maps []*corev1.ConfigMap
	for _, m := range w.snap.ConfigMaps {
		if m.Name != name {
			maps = append(maps, m)
		}
	}
	if key != "" {
		maps = append(maps, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: map[string]string{key: text},
		})
	}
	w.snap.ConfigMaps = maps
	w.server.Load(&w.snap)
}

// who is a caller with a credential of their own.
type who struct {
	name   string
	groups []string
}

var (
	admin = who{"kube:admin", []string{"system:cluster-admins", "system:authenticated"}}
	alice = who{"alice@example.com", []string{"system:authenticated"}}
)

// answer is what came back.
type answer struct {
	code int
	body string
	head http.Header
}

func (a answer) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		t.Fatalf("answer %d %q: %v", a.code, a.body, err)
	}
}

// as calls the API as the gateway does for somebody whose own credential it
// has reviewed.
func (w *world) as(p who, method, path, body string) answer {
	groups, err := json.Marshal(p.groups)
	w.must(err)
	return w.send(method, path, body, map[string]string{
		maas.HeaderUsername: p.name, maas.HeaderGroup: string(groups), "Authorization": "Bearer sha256~of-the-cluster",
	})
}

// with calls the API with a MaaS token: it is reviewed, and refused with 401
// where the gateway would.
func (w *world) with(token, method, path, body string) answer {
	review, err := w.realm.Review(w.t.Context(), token, []string{local.IssuerURL, "maas-default-gateway-sa"})
	w.must(err)
	if !review.Authenticated {
		return answer{code: http.StatusUnauthorized, body: review.Error}
	}
	groups, err := json.Marshal(review.User.Groups)
	w.must(err)
	return w.send(method, path, body, map[string]string{
		maas.HeaderUsername: review.User.Username, maas.HeaderGroup: string(groups), "Authorization": "Bearer " + token,
	})
}

func (w *world) send(method, path, body string, headers map[string]string) answer {
	req := httptest.NewRequestWithContext(w.t.Context(), method, path, strings.NewReader(body))
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	rec := httptest.NewRecorder()
	w.server.Handler().ServeHTTP(rec, req)
	res := rec.Result()
	text, err := io.ReadAll(res.Body)
	w.must(err)
	w.must(res.Body.Close())
	return answer{res.StatusCode, string(text), res.Header}
}

// mint returns a new MaaS token of somebody.
func (w *world) mint(p who) api.Token {
	w.t.Helper()
	a := w.as(p, "POST", "/v1/tokens", `{"expiration":"10m"}`)
	if a.code != http.StatusCreated {
		w.t.Fatalf("mint: %d %s", a.code, a.body)
	}
	var token api.Token
	a.into(w.t, &token)
	return token
}

// key returns a new API key of somebody.
func (w *world) key(p who, name string) api.NewKey {
	w.t.Helper()
	a := w.as(p, "POST", "/v1/api-keys", `{"name":"`+name+`"}`)
	if a.code != http.StatusCreated {
		w.t.Fatalf("create key: %d %s", a.code, a.body)
	}
	var key api.NewKey
	a.into(w.t, &key)
	return key
}

// sub is the subject of a token.
func sub(t *testing.T, token string) string {
	t.Helper()
	s, _ := claimsOf(t, token)["sub"].(string)
	return s
}

func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("token has %d parts, want 3", len(parts))
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{}
	if err := json.Unmarshal(body, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// uid is that of a ServiceAccount now.
func (w *world) uid(namespace, name string) string {
	a, err := w.realm.FindAccount(context.Background(), namespace, name)
	w.must(err)
	return a.UID
}
