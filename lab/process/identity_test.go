package process

import (
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/lab/child"
)

func TestIdentity(t *testing.T) {
	dir := child.Fixed(t)
	users := newPeople(t)
	ann := users.add(t, "ann")
	g := child.Quickstart(t, "--manifests", dir, "--users", string(users))

	t.Run("a user who is added is known without a restart", func(t *testing.T) {
		new := users.add(t, "new")
		known(t, g, new)
		if got := g.Call(t, http.MethodPost, chat, g.Mint(t, new), ask("Hello")).Status; got != http.StatusOK {
			t.Errorf("a call of the new user: %d", got)
		}
	})
	t.Run("maas-41 maas-42 a revoked token is refused at once, on every route", func(t *testing.T) {
		token, other := g.Mint(t, ann), g.Mint(t, ann)
		for _, path := range []string{"/external/v1/models", "/v1/models"} {
			if got := g.Call(t, http.MethodGet, path, token, "").Status; got != http.StatusOK {
				t.Fatalf("%s before: %d", path, got)
			}
		}
		if got := g.Call(t, http.MethodDelete, "/maas-api/v1/tokens", ann, "").Status; got != http.StatusNoContent {
			t.Fatalf("revoke: %d", got)
		}
		for _, path := range []string{"/external/v1/models", "/v1/models"} {
			for _, token := range []string{token, other} {
				if got := g.Call(t, http.MethodGet, path, token, "").Status; got != http.StatusUnauthorized {
					t.Errorf("%s after: %d, want 401", path, got)
				}
			}
		}
		if got := g.Call(t, http.MethodGet, "/external/v1/models", g.Mint(t, ann), "").Status; got != http.StatusOK {
			t.Errorf("with a token minted afterwards: %d, want 200", got)
		}
	})
	models := func(path, token string) string {
		return regexp.MustCompile(`"created":\d+`).ReplaceAllString(g.Call(t, http.MethodGet, path, token, "").Body, `"created":0`)
	}
	t.Run("maas-71 maas-72 the list is the same by both paths and with both kinds of token", func(t *testing.T) {
		want := models("/v1/models", g.Mint(t, ann))
		if !strings.Contains(want, "gpt-4-external") {
			t.Fatal(want)
		}
		for _, path := range []string{"/v1/models", "/maas-api/v1/models"} {
			if diff := cmp.Diff(want, models(path, ann)); diff != "" {
				t.Errorf("%s: %s", path, diff)
			}
		}
	})
	t.Run("gateway-142 every registry entry is listed; a broken registry costs the external models only", func(t *testing.T) {
		file := filepath.Join(dir, "openshift/external-model-registry.yaml")
		good := read(t, file)
		child.Write(t, file, good+"    - id: one-more\n      provider: partner\n      backend: nowhere\n")
		child.Until(t, "the new entry is listed", func() bool { return strings.Contains(models("/v1/models", ann), `"one-more"`) })
		if got := strings.Count(models("/v1/models", ann), `"id"`); got != 3 {
			t.Errorf("%d models are listed, want 3", got)
		}
		child.Write(t, file, strings.Replace(good, "- id: gpt-4-external", "- id: [", 1))
		child.Until(t, "the external models are gone", func() bool { return strings.HasPrefix(models("/v1/models", ann), `{"data":null`) })
		if a := g.Call(t, http.MethodPost, chat, g.Mint(t, ann), ask("Hello")); a.Status != http.StatusOK {
			t.Errorf("a call with a broken registry: %d %s", a.Status, a.Body)
		}
	})
}
