package maas_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	api "github.com/egret-gateway/egret/api/maas"
	"github.com/egret-gateway/egret/maas"
	"github.com/egret-gateway/egret/store"
	"github.com/egret-gateway/egret/store/sqlite"
)

func TestCreateKey(t *testing.T) {
	w := newWorld(t)
	f := func(name, body string, code int, want string) {
		t.Run(name, func(t *testing.T) {
			a := w.as(alice, "POST", "/v1/api-keys", body)
			if a.code != code || a.body != want {
				t.Errorf("answer %d %s, want %d %s", a.code, a.body, code, want)
			}
		})
	}
	f("maas-44 without a name", `{"expiration":"1m"}`, 400, `{"error":"token name is required for api keys"}`)
	f("maas-44 with an empty name", `{"name":""}`, 400, `{"error":"token name is required for api keys"}`)
	f("maas-47 too short", `{"name":"n","expiration":"5m"}`, 400, `{"error":"token expiration must be at least 10 minutes"}`)
	f("no lifetime at all", `{"name":"n","expiration":0}`, 400, `{"error":"expiration must be positive"}`)
	f("maas-48 an empty body", "", 400, `{"error":"EOF"}`)
	f("malformed JSON", `{"name"`, 400, `{"error":"unexpected EOF"}`)
	f("a name of white space", `{"name":"  "}`, 500, `{"error":"Failed to generate api key"}`)

	t.Run("maas-45 a key for a day", func(t *testing.T) {
		a := w.as(alice, "POST", "/v1/api-keys", `{"name":" ci ","description":"for the build","expiration":"24h"}`)
		var key api.NewKey
		a.into(t, &key)
		if a.code != http.StatusCreated || key.Expiration != "24h0m0s" || key.Name != "ci" || key.Description != "for the build" {
			t.Errorf("answer %d %s", a.code, a.body)
		}
		wantOrder(t, a.body, "token", "expiration", "expiresAt", "jti", "name", "description")
		if want := w.clock().Add(24 * time.Hour).Unix(); key.ExpiresAt != want {
			t.Errorf("expiresAt %d, want %d", key.ExpiresAt, want)
		}
	})
	t.Run("maas-46 a key without a lifetime", func(t *testing.T) {
		a := w.as(alice, "POST", "/v1/api-keys", `{"name":"n"}`)
		var key api.NewKey
		a.into(t, &key)
		if a.code != http.StatusCreated || key.Expiration != "720h0m0s" {
			t.Errorf("answer %d %s", a.code, a.body)
		}
		wantOrder(t, a.body, "token", "expiration", "expiresAt", "jti", "name")
	})
}

func TestListKeys(t *testing.T) {
	w := newWorld(t)
	list := func(t *testing.T) []api.Key {
		t.Helper()
		a := w.as(alice, "GET", "/v1/api-keys", "")
		var keys []api.Key
		a.into(t, &keys)
		if a.code != http.StatusOK {
			t.Errorf("answer %d %s", a.code, a.body)
		}
		return keys
	}
	t.Run("maas-49 nobody's list is empty and not null", func(t *testing.T) {
		if a := w.as(alice, "GET", "/v1/api-keys", ""); a.code != 200 || a.body != "[]" {
			t.Errorf("answer %d %s", a.code, a.body)
		}
	})
	first := w.as(alice, "POST", "/v1/api-keys", `{"name":"one","description":"d","expiration":"24h"}`)
	var key api.NewKey
	first.into(t, &key)
	want := api.Key{
		ID: key.JTI, Name: "one", Description: "d", CreationDate: "2026-02-13T17:15:13Z",
		ExpirationDate: "2026-02-14T17:15:13Z", Status: "active",
	}
	t.Run("maas-50 a key in the list", func(t *testing.T) {
		if diff := cmp.Diff([]api.Key{want}, list(t)); diff != "" {
			t.Errorf("list (-want +got):\n%s", diff)
		}
		body := w.as(alice, "GET", "/v1/api-keys", "").body
		wantOrder(t, strings.Trim(body, "[]"), "id", "name", "description", "creationDate", "expirationDate", "status")
	})
	t.Run("maas-52 one key by its id", func(t *testing.T) {
		a := w.as(alice, "GET", "/v1/api-keys/"+key.JTI, "")
		var got api.Key
		a.into(t, &got)
		if diff := cmp.Diff(want, got); diff != "" || a.code != 200 {
			t.Errorf("answer %d (-want +got):\n%s", a.code, diff)
		}
		for _, id := range []string{"x", "..", "%2e%2e", "a%20b"} {
			a = w.as(alice, "GET", "/v1/api-keys/"+id, "")
			if a.code != http.StatusNotFound || a.body != `{"error":"API key not found"}` {
				t.Errorf("unknown id %s: %d %s", id, a.code, a.body)
			}
		}
	})
	t.Run("a key of somebody else does not exist", func(t *testing.T) {
		if a := w.as(admin, "GET", "/v1/api-keys/"+key.JTI, ""); a.code != http.StatusNotFound {
			t.Errorf("read: %d %s", a.code, a.body)
		}
		if a := w.as(admin, "DELETE", "/v1/api-keys/"+key.JTI, ""); a.code != http.StatusNotFound {
			t.Errorf("revoke: %d %s", a.code, a.body)
		}
	})
	t.Run("maas-51 newest first", func(t *testing.T) {
		w.pass(time.Second)
		w.key(alice, "two")
		w.pass(time.Second)
		w.key(alice, "three")
		var names []string
		for _, k := range list(t) {
			names = append(names, k.Name)
		}
		if diff := cmp.Diff([]string{"three", "two", "one"}, names); diff != "" {
			t.Errorf("names (-want +got):\n%s", diff)
		}
	})
	t.Run("maas-53 the key's token lists models and the same keys", func(t *testing.T) {
		if a := w.with(key.Token, "GET", "/v1/models", ""); a.code != http.StatusOK {
			t.Errorf("models: %d %s", a.code, a.body)
		}
		if a := w.with(key.Token, "GET", "/v1/api-keys", ""); a.body != w.as(alice, "GET", "/v1/api-keys", "").body {
			t.Errorf("keys: %d %s", a.code, a.body)
		}
	})
	t.Run("maas-54 a token is no key", func(t *testing.T) {
		jti := w.mint(alice).JTI
		for _, k := range list(t) {
			if k.ID == jti {
				t.Errorf("token %s is in the list", jti)
			}
		}
	})
	t.Run("a key is expired once its time is over", func(t *testing.T) {
		w.pass(24 * time.Hour)
		keys := list(t)
		if got := keys[len(keys)-1]; got.Status != "expired" || got.Name != "one" {
			t.Errorf("key %+v", got)
		}
	})
}

func TestRevokeKey(t *testing.T) {
	w := newWorld(t)
	one, two := w.key(alice, "one"), w.key(alice, "two")
	w.pass(time.Second)
	t.Run("maas-56 a key that is not there", func(t *testing.T) {
		a := w.as(alice, "DELETE", "/v1/api-keys/x", "")
		if a.code != http.StatusNotFound || a.body != `{"error":"API key not found"}` {
			t.Errorf("answer %d %s", a.code, a.body)
		}
	})
	t.Run("maas-56 one key is revoked at once and the other stays", func(t *testing.T) {
		review, err := w.realm.Review(t.Context(), one.Token, []string{"maas-default-gateway-sa"})
		w.must(err)
		epoch := w.realm.Epoch()
		if a := w.as(alice, "DELETE", "/v1/api-keys/"+one.JTI, ""); a.code != http.StatusNoContent || a.body != "" {
			t.Fatalf("answer %d %s", a.code, a.body)
		}
		if w.realm.Epoch() == epoch || !w.realm.Revoked(&review) {
			t.Error("an identity that was reviewed before is not revoked")
		}
		if a := w.with(one.Token, "GET", "/v1/models", ""); a.code != http.StatusUnauthorized {
			t.Errorf("the revoked key: %d %s", a.code, a.body)
		}
		if a := w.with(two.Token, "GET", "/v1/models", ""); a.code != http.StatusOK {
			t.Errorf("the other key: %d %s", a.code, a.body)
		}
		var key api.Key
		w.as(alice, "GET", "/v1/api-keys/"+one.JTI, "").into(t, &key)
		if key.Status != api.KeyExpired {
			t.Errorf("the revoked key is shown as %s", key.Status)
		}
	})
	t.Run("revoking it again is fine", func(t *testing.T) {
		if a := w.as(alice, "DELETE", "/v1/api-keys/"+one.JTI, ""); a.code != http.StatusNoContent {
			t.Errorf("answer %d %s", a.code, a.body)
		}
		if a := w.with(one.Token, "GET", "/v1/models", ""); a.code != http.StatusUnauthorized {
			t.Errorf("the revoked key: %d %s", a.code, a.body)
		}
	})
}

func TestRevokeTokens(t *testing.T) {
	w := newWorld(t)
	t.Run("maas-43 nothing to revoke", func(t *testing.T) {
		if a := w.as(alice, "DELETE", "/v1/tokens", ""); a.code != http.StatusNoContent || a.body != "" {
			t.Errorf("answer %d %s", a.code, a.body)
		}
	})
	premium := who{alice.name, []string{"premium-group"}}
	free, paid, key, other := w.mint(alice), w.mint(premium), w.key(alice, "k"), w.mint(admin)
	const name = "alice-example-com-fc2398a7"
	before := w.uid("maas-default-gateway-tier-free", name)
	review, err := w.realm.Review(t.Context(), free.Token, []string{"maas-default-gateway-sa"})
	w.must(err)
	w.pass(time.Minute)

	t.Run("maas-41 the ServiceAccount gets another UID", func(t *testing.T) {
		if a := w.as(alice, "DELETE", "/v1/tokens", ""); a.code != http.StatusNoContent || a.body != "" {
			t.Fatalf("answer %d %s", a.code, a.body)
		}
		if w.uid("maas-default-gateway-tier-free", name) == before {
			t.Error("the UID is the same")
		}
	})
	t.Run("maas-42 old tokens are refused at once, in every tier, cached or not", func(t *testing.T) {
		for what, token := range map[string]string{"token": free.Token, "token of another tier": paid.Token, "key": key.Token} {
			if a := w.with(token, "GET", "/v1/models", ""); a.code != http.StatusUnauthorized {
				t.Errorf("%s: %d %s", what, a.code, a.body)
			}
		}
		if !w.realm.Revoked(&review) {
			t.Error("an identity that was reviewed before is not revoked")
		}
		if a := w.with(other.Token, "GET", "/v1/models", ""); a.code != http.StatusOK {
			t.Errorf("somebody else's token: %d %s", a.code, a.body)
		}
	})
	t.Run("maas-55 keys stay listed, as expired", func(t *testing.T) {
		var keys []api.Key
		w.as(alice, "GET", "/v1/api-keys", "").into(t, &keys)
		if len(keys) != 1 || keys[0].Status != api.KeyExpired || keys[0].ID != key.JTI {
			t.Errorf("keys %+v", keys)
		}
	})
	t.Run("a new token works", func(t *testing.T) {
		if a := w.with(w.mint(alice).Token, "GET", "/v1/models", ""); a.code != http.StatusOK {
			t.Errorf("answer %d %s", a.code, a.body)
		}
	})
	t.Run("a MaaS token revokes itself and its like", func(t *testing.T) {
		free, paid := w.mint(alice), w.mint(premium)
		if a := w.with(free.Token, "DELETE", "/v1/tokens", ""); a.code != http.StatusNoContent {
			t.Fatalf("answer %d %s", a.code, a.body)
		}
		for _, token := range []string{free.Token, paid.Token} {
			if a := w.with(token, "GET", "/v1/models", ""); a.code != http.StatusUnauthorized {
				t.Errorf("answer %d %s", a.code, a.body)
			}
		}
	})
	t.Run("without the database of keys tokens are refused, and the answer says what is left to do", func(t *testing.T) {
		minted := w.mint(alice).Token
		w.server.Keys = unmarked{w.store}
		a := w.as(alice, "DELETE", "/v1/tokens", "")
		if a.code != http.StatusServiceUnavailable || !strings.Contains(a.body, "all tokens are refused from now on") || a.head.Get("Retry-After") == "" {
			t.Errorf("answer %d %s", a.code, a.body)
		}
		if a := w.with(minted, "GET", "/v1/models", ""); a.code != http.StatusUnauthorized {
			t.Errorf("answer %d %s", a.code, a.body)
		}
		w.server.Keys = w.store
		if a := w.as(alice, "DELETE", "/v1/tokens", ""); a.code != http.StatusNoContent {
			t.Errorf("answer %d %s", a.code, a.body)
		}
	})
	t.Run("a failure is told", func(t *testing.T) {
		a := w.as(who{"***", []string{"x"}}, "DELETE", "/v1/tokens", "")
		if a.code != http.StatusInternalServerError || a.body != `{"error":"Failed to revoke tokens"}` {
			t.Errorf("answer %d %s", a.code, a.body)
		}
	})
}

func TestStorageModes(t *testing.T) {
	t.Run("maas-57 on disk keys survive a restart, and so do denials", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "maas.db")
		w := openWorld(t, path)
		one, two := w.key(alice, "one"), w.key(alice, "two")
		w.as(alice, "DELETE", "/v1/api-keys/"+two.JTI, "")
		w.must(w.store.Close())
		w = openWorld(t, path)
		var keys []api.Key
		w.as(alice, "GET", "/v1/api-keys", "").into(t, &keys)
		if len(keys) != 2 {
			t.Errorf("keys %+v", keys)
		}
		if a := w.with(one.Token, "GET", "/v1/models", ""); a.code != http.StatusOK {
			t.Errorf("a key: %d %s", a.code, a.body)
		}
		if a := w.with(two.Token, "GET", "/v1/models", ""); a.code != http.StatusUnauthorized {
			t.Errorf("a revoked key: %d %s", a.code, a.body)
		}
	})
	t.Run("maas-57 in memory they do not", func(t *testing.T) {
		w := newWorld(t)
		w.key(alice, "one")
		w = newWorld(t)
		if a := w.as(alice, "GET", "/v1/api-keys", ""); a.body != "[]" {
			t.Errorf("keys %s", a.body)
		}
	})
}

func TestAudit(t *testing.T) {
	w := newWorld(t)
	token, key := w.mint(alice), w.key(alice, "k")
	w.as(alice, "DELETE", "/v1/api-keys/"+key.JTI, "")
	w.as(alice, "DELETE", "/v1/tokens", "")
	w.as(who{"bob", []string{"nobody"}}, "POST", "/v1/tokens", "")
	lines := strings.Split(strings.TrimSpace(w.audit.String()), "\n")
	want := []string{
		`"msg":"minted","what":"token","username":"alice@example.com"`,
		`"msg":"minted","what":"api key","username":"alice@example.com"`,
		`"msg":"revoked","jti":"` + key.JTI + `","what":"api key"`,
		`"msg":"revoked","accounts":1,"what":"all tokens"`,
		`"msg":"refused","what":"mint","username":"bob"`,
	}
	if len(lines) != len(want) {
		t.Fatalf("audit:\n%s", w.audit)
	}
	for i := range want {
		if !strings.Contains(lines[i], want[i]) {
			t.Errorf("line %d is %s, want %s in it", i, lines[i], want[i])
		}
	}
	for _, secret := range []string{token.Token, key.Token, "sha256~of-the-cluster"} {
		if strings.Contains(w.audit.String()+w.log.String(), secret) {
			t.Error("a token is in the log")
		}
	}
}

// TestKeysAreBounded: one person cannot fill the disk of all.
func TestKeysAreBounded(t *testing.T) {
	w := newWorld(t)
	create := func(body string) answer {
		t.Helper()
		return w.as(alice, "POST", "/v1/api-keys", body)
	}
	wantCode := func(what string, a answer, code int) {
		t.Helper()
		if a.code != code {
			t.Errorf("%s: answer %d %.200s, want %d", what, a.code, a.body, code)
		}
	}
	wantCode("a long name", create(`{"name":"`+strings.Repeat("n", 257)+`"}`), 400)
	wantCode("a long description", create(`{"name":"n","description":"`+strings.Repeat("d", 4097)+`"}`), 400)
	wantCode("as long as may be", create(`{"name":"`+strings.Repeat("n", 256)+`","description":"`+strings.Repeat("d", 4096)+`"}`), 201)
	for i := range 999 {
		w.must(w.store.PutKey(t.Context(), store.Key{
			ID: fmt.Sprint("old-", i), Owner: alice.name, Name: "n", Created: w.clock(), Expires: w.clock().Add(time.Hour),
		}))
	}
	wantCode("one too many", create(`{"name":"n"}`), 429)
	if a := w.as(admin, "POST", "/v1/api-keys", `{"name":"n"}`); a.code != 201 {
		t.Errorf("somebody else: answer %d %s", a.code, a.body)
	}
	w.pass(2 * time.Hour)
	wantCode("ended, but of today", create(`{"name":"n"}`), 429)
	w.pass(24 * time.Hour)
	wantCode("the next day", create(`{"name":"n"}`), 201)
}

// stuckCluster cannot delete.
type stuckCluster struct{ maas.Cluster }

func (stuckCluster) DeleteAccount(context.Context, string, string) error { return errors.New("no") }

// TestDenyListIsBounded: who revokes again and again does not fill the
// deny-list for years, and what could not be deleted stays denied.
func TestDenyListIsBounded(t *testing.T) {
	w := newWorld(t)
	for range 5 {
		w.mint(alice)
		if a := w.as(alice, "DELETE", "/v1/tokens", ""); a.code != http.StatusNoContent {
			t.Fatalf("answer %d %s", a.code, a.body)
		}
	}
	denied := func(later time.Duration) int {
		t.Helper()
		list, err := w.store.Denied(t.Context(), w.clock().Add(later))
		w.must(err)
		return len(list)
	}
	if now, later := denied(0), denied(2*time.Hour); now != 5 || later != 0 {
		t.Errorf("%d are denied now and %d in two hours, want 5 and 0", now, later)
	}
	w.mint(alice)
	w.server.Cluster = stuckCluster{w.realm}
	if a := w.as(alice, "DELETE", "/v1/tokens", ""); a.code != http.StatusInternalServerError {
		t.Errorf("answer %d %s", a.code, a.body)
	}
	if n := denied(6 * 365 * 24 * time.Hour); n != 1 {
		t.Errorf("%d are denied in six years, want the one that is still there", n)
	}
}

// unmarked is a database of keys that is away.
type unmarked struct{ *sqlite.Store }

func (unmarked) ExpireKeys(context.Context, string, time.Time) error { return store.ErrAway }
