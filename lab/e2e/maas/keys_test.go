//go:build cluster

package maas

import (
	"fmt"
	"regexp"
	"testing"
	"time"
)

func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }

// keys is maas 43 to 56.
func (w *walk) keys(t *testing.T) {
	login, other := w.login(t, "free"), w.login(t, "free")
	t.Run("maas-43 there is nothing to revoke yet", func(t *testing.T) {
		answers(t, w.ask(t, "DELETE", "/maas-api/v1/tokens", login, ""), 204, `^$`)
	})
	t.Run("maas-49 no keys", func(t *testing.T) { answers(t, w.ask(t, "GET", "/maas-api/v1/api-keys", login, ""), 200, `^\[\]$`) })
	for _, c := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"maas-44 no name", `{}`, 400, `^\{"error":"token name is required for api keys"\}$`},
		{"maas-47 too short", `{"name":"k","expiration":"5m"}`, 400, `^\{"error":"token expiration must be at least 10 minutes"\}$`},
		{"maas-48 no body", ``, 400, `^\{"error":"EOF"\}$`},
		{"maas-45 a day", `{"name":"day","description":"d","expiration":"24h"}`, 201,
			`^\{"token":"[^"]+","expiration":"24h0m0s","expiresAt":\d+,"jti":"[^"]+","name":"day","description":"d"\}$`},
		{"maas-46 without a lifetime", `{"name":"month"}`, 201, `"expiration":"720h0m0s"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			answers(t, w.ask(t, "POST", "/maas-api/v1/api-keys", login, c.body), c.status, c.want)
		})
	}
	var made struct{ Token, JTI string }
	w.reads(t, w.ask(t, "POST", "/maas-api/v1/api-keys", login, `{"name":"last"}`), 201, &made)
	ephemeral := claimsOf(t, w.mint(t, login)).ID
	list := func(login string) (out []map[string]string) {
		w.reads(t, w.ask(t, "GET", "/maas-api/v1/api-keys", login, ""), 200, &out)
		return out
	}
	t.Run("maas-50 maas-51 maas-54 the keys, newest first", func(t *testing.T) {
		got := list(login)
		if len(got) != 3 || got[0]["name"] != "last" || got[1]["name"] != "month" || got[2]["name"] != "day" {
			t.Fatalf("keys %v", got)
		}
		for _, k := range got {
			if k["status"] != "active" || k["id"] == ephemeral || !matches(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`, k["creationDate"]+"") {
				t.Errorf("key %v", k)
			}
		}
		if created, _ := time.Parse(time.RFC3339, got[2]["creationDate"]); fmt.Sprint(created.Add(24*time.Hour).Format(time.RFC3339)) != got[2]["expirationDate"] {
			t.Errorf("key %v", got[2])
		}
	})
	one := "/maas-api/v1/api-keys/" + made.JTI
	t.Run("maas-52 one key", func(t *testing.T) {
		answers(t, w.ask(t, "GET", one, login, ""), 200, `^\{"id":"`+made.JTI+`","name":"last","creationDate":"[^"]+","expirationDate":"[^"]+","status":"active"\}$`)
		answers(t, w.ask(t, "GET", "/maas-api/v1/api-keys/none", login, ""), 404, `^\{"error":"API key not found"\}$`)
		answers(t, w.ask(t, "GET", one, other, ""), 404, `^\{"error":"API key not found"\}$`)
	})
	t.Run("maas-53 a key works", func(t *testing.T) {
		answers(t, w.ask(t, "GET", "/maas-api/v1/models", made.Token, ""), 200, `gpt-4-external`)
		answers(t, w.ask(t, "GET", "/llm/open/v1/models", made.Token, ""), 200, `granite`)
	})
	t.Run("maas-56 one key is revoked, by its owner, at once", func(t *testing.T) {
		answers(t, w.ask(t, "DELETE", one, other, ""), 404, `^\{"error":"API key not found"\}$`)
		answers(t, w.ask(t, "DELETE", one, login, ""), 204, `^$`)
		for _, path := range []string{"/maas-api/v1/models", "/external/v1/models", "/llm/open/v1/models"} {
			answers(t, w.ask(t, "GET", path, made.Token, ""), 401, `^$`)
		}
		if got := list(login); got[0]["status"] != "expired" || got[1]["status"] != "active" {
			t.Errorf("keys %v", got)
		}
	})
	t.Run("maas-55 all are revoked and stay listed", func(t *testing.T) {
		answers(t, w.ask(t, "DELETE", "/maas-api/v1/tokens", login, ""), 204, `^$`)
		got := list(login)
		if len(got) != 3 {
			t.Errorf("keys %v", got)
		}
		for _, k := range got {
			if k["status"] != "expired" {
				t.Errorf("key %v", k)
			}
		}
	})
}
