//go:build cluster

package maas

import (
	"testing"
	"time"
)

// revocation is maas 41, 42 and 55, and what an administrator does by hand.
func (w *walk) revocation(t *testing.T) {
	paths := []string{"/maas-api/v1/models", "/v1/models", "/external/v1/models", "/llm/open/v1/models"}
	all := func(token string, status int) {
		t.Helper()
		for _, path := range paths {
			if a := w.ask(t, "GET", path, token, ""); a.Status != status {
				t.Errorf("%s: %d %s, want %d", path, a.Status, a.Body, status)
			}
		}
	}
	t.Run("maas-41 maas-42 maas-55 revoked tokens are refused at once, on every route", func(t *testing.T) {
		token, login := w.somebody(t, "free")
		stranger, _ := w.somebody(t, "free")
		var key struct{ Token string }
		w.reads(t, w.ask(t, "POST", "/maas-api/v1/api-keys", login, `{"name":"k"}`), 201, &key)
		again := w.mint(t, token)
		for _, one := range []string{token, key.Token, again} {
			all(one, 200)
		}
		before := w.account(t, claimsOf(t, token)).UID
		answers(t, w.ask(t, "DELETE", "/maas-api/v1/tokens", login, ""), 204, `^$`)
		for _, one := range []string{token, key.Token, again} {
			all(one, 401)
		}
		if after := w.account(t, claimsOf(t, token)).UID; after == before || after == "" {
			t.Errorf("uid %q, before %q", after, before)
		}
		answers(t, w.ask(t, "GET", "/maas-api/v1/api-keys", login, ""), 200, `"status":"expired"`)
		all(stranger, 200)
		all(w.mint(t, login), 200)
	})
	t.Run("maas-42 with the MaaS token itself", func(t *testing.T) {
		token, _ := w.somebody(t, "premium")
		answers(t, w.ask(t, "DELETE", "/maas-api/v1/tokens", token, ""), 204, `^$`)
		all(token, 401)
	})
	t.Run("maas-42 an account that was deleted by hand is unknown to the API, and mints again", func(t *testing.T) {
		token, login := w.somebody(t, "free")
		namespace, name := claimsOf(t, token).account()
		w.Delete(t, "serviceaccounts", namespace, name)
		// An API server remembers its own reviews for ten seconds.
		w.Eventually(t, 20*time.Second, "the token is refused", func() error {
			a := w.ask(t, "GET", "/maas-api/v1/api-keys", token, "")
			return a.Want(401, nil)
		})
		all(w.mint(t, login), 200)
	})
}
