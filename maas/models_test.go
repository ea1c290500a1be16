package maas_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	api "github.com/egret-gateway/egret/api/maas"
	"github.com/egret-gateway/egret/maas"
)

// list returns the models that a call with a MaaS token shows.
func (w *world) list(token string) api.Models {
	w.t.Helper()
	a := w.with(token, "GET", "/v1/models", "")
	if a.code != http.StatusOK {
		w.t.Fatalf("models: %d %s", a.code, a.body)
	}
	var models api.Models
	a.into(w.t, &models)
	return models
}

func TestModelsAuthorization(t *testing.T) {
	w := newWorld(t)
	f := func(name, header string, code int, want string) {
		t.Run(name, func(t *testing.T) {
			headers := map[string]string{maas.HeaderUsername: "alice", maas.HeaderGroup: `["system:authenticated"]`}
			if header != "" {
				headers["Authorization"] = header
			}
			if a := w.send("GET", "/v1/models", "", headers); a.code != code || !strings.HasPrefix(a.body, want) {
				t.Errorf("answer %d %s, want %d %s", a.code, a.body, code, want)
			}
		})
	}
	f("maas-69 no Authorization", "", 401, `{"error":{"message":"Authorization token required","type":"authentication_error"}}`)
	f("maas-69 a blank token", "Bearer  ", 401, `{"error":{"message":"Valid authorization token required","type":"authentication_error"}}`)
	f("a token without prefix", w.mint(alice).Token, 200, `{"data":[`)
	f("an opaque token", "Bearer sha256~x", 200, `{"data":[`)

	a := w.as(who{"bob", []string{"nobody"}}, "GET", "/v1/models", "")
	if a.code != 500 || a.body != `{"error":{"message":"Failed to authorize request","type":"server_error"}}` {
		t.Errorf("a user in no tier: %d %s", a.code, a.body)
	}
}

func TestExternalModels(t *testing.T) {
	w := newWorld(t)
	token := w.mint(alice).Token
	now := w.clock().Unix()
	quickstart := []api.Model{
		{ID: "gpt-4-external", Created: now, Object: "model", OwnedBy: "openai", Ready: true},
		{ID: "claude-3-sonnet-external", Created: now, Object: "model", OwnedBy: "anthropic", Ready: true},
	}
	t.Run("maas-76 the quickstart's registry, whose backend key means nothing", func(t *testing.T) {
		if diff := cmp.Diff(api.Models{Data: quickstart, Object: "list"}, w.list(token)); diff != "" {
			t.Errorf("models (-want +got):\n%s", diff)
		}
		body := w.with(token, "GET", "/v1/models", "").body
		wantOrder(t, body, "data", "object")
		wantOrder(t, body[len(`{"data":[`):], "id", "created", "object", "owned_by", "ready")
	})
	t.Run("maas-71 the own credential and the MaaS token show the same list", func(t *testing.T) {
		own, ours := w.as(alice, "GET", "/v1/models", ""), w.with(token, "GET", "/v1/models", "")
		if own.code != 200 || own.body != ours.body {
			t.Errorf("own credential: %d %s, MaaS token: %s", own.code, own.body, ours.body)
		}
	})
	t.Run("maas-75 an edit counts at once", func(t *testing.T) {
		w.configMap(maas.RegistryConfigMap, "models", "[{id: 5, provider: p, extra: [x]}, {provider: q}]")
		want := []api.Model{
			{ID: "5", Created: now, Object: "model", OwnedBy: "p", Ready: true},
			{ID: "", Created: now, Object: "model", OwnedBy: "q", Ready: true},
		}
		if diff := cmp.Diff(want, w.list(token).Data); diff != "" {
			t.Errorf("models (-want +got):\n%s", diff)
		}
	})
	t.Run("maas-73 no registry", func(t *testing.T) {
		w.configMap(maas.RegistryConfigMap, "", "")
		if a := w.with(token, "GET", "/v1/models", ""); a.code != 200 || a.body != `{"data":null,"object":"list"}` {
			t.Errorf("answer %d %s", a.code, a.body)
		}
		w.configMap(maas.RegistryConfigMap, "other", "x")
		if a := w.with(token, "GET", "/v1/models", ""); a.body != `{"data":null,"object":"list"}` {
			t.Errorf("without the key: %d %s", a.code, a.body)
		}
	})
	t.Run("maas-74 broken YAML is one error in the log and the list goes on", func(t *testing.T) {
		w.log.Reset()
		w.configMap(maas.RegistryConfigMap, "models", "- id: [")
		for range 2 {
			if a := w.with(token, "GET", "/v1/models", ""); a.code != 200 || a.body != `{"data":null,"object":"list"}` {
				t.Errorf("answer %d %s", a.code, a.body)
			}
		}
		if n := strings.Count(w.log.String(), `"level":"ERROR"`); n != 1 {
			t.Errorf("%d errors in the log:\n%s", n, w.log)
		}
	})
}

// Listing with the own credential makes a token for the models, which nobody
// can use to prolong a chain.
func TestListingIsNoMint(t *testing.T) {
	w := newWorld(t)
	w.as(alice, "GET", "/v1/models", "")
	a, err := w.realm.FindAccount(t.Context(), "maas-default-gateway-tier-free", "alice-example-com-fc2398a7")
	w.must(err)
	if !a.LastHumanMint.Equal(time.Time{}) || a.Owner != alice.name {
		t.Errorf("account %+v", a)
	}
}
