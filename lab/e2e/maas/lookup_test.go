//go:build cluster

package maas

import (
	"fmt"
	"strings"
	"testing"

	"github.com/egret-gateway/egret/lab/cluster"
)

// lookup is maas 59 to 68: questions, and edits of the ConfigMap that the next
// answer is to know, as soon as a watch can tell.
func (w *walk) lookup(t *testing.T) {
	login := w.login(t, "free")
	ask := func(t *testing.T, body string) cluster.Answer {
		return w.ask(t, "POST", "/maas-api/v1/tiers/lookup", login, body)
	}
	of := func(groups ...string) string {
		return `{"groups":["` + strings.Join(groups, `","`) + `"]}`
	}
	const everybody = "system:authenticated"
	for _, c := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"maas-59 everybody", of(everybody), 200, `^\{"tier":"free","displayName":"Free Tier"\}$`},
		{"maas-60 premium wins", of(everybody, "premium-group"), 200, `"tier":"premium"`},
		{"maas-61 enterprise", of("admin-group"), 200, `"tier":"enterprise"`},
		{"maas-62 an unknown group", of("a", "b"), 404, `^\{"error":"not_found","message":"group groups \[a, b\] not found in any tier"\}$`},
		{"maas-63 no list", `{}`, 400, `"error":"bad_request"`},
		{"maas-63 an empty list", `{"groups":[]}`, 400, `"error":"bad_request"`},
		{"maas-63 no JSON", `{`, 400, `"error":"bad_request"`},
		{"maas-63 no body", ``, 400, `"error":"bad_request".*EOF`},
		{"maas-66 a tier without a display name", of(group(w.home["gold"])), 200, `^\{"tier":"gold","displayName":"gold"\}$`},
		{"maas-38 the group of a tier's own tokens", of("system:serviceaccounts:maas-default-gateway-tier-premium"), 200, `"tier":"premium"`},
	} {
		t.Run(c.name, func(t *testing.T) { answers(t, ask(t, c.body), c.status, c.want) })
	}
	becomes := func(t *testing.T, status int, want string) {
		t.Helper()
		w.Eventually(t, quick, "the next lookup knows", func() error {
			if a := ask(t, of(everybody)); a.Status != status || !matches(want, a.Body) {
				return fmt.Errorf("%d %s, want %d %s", a.Status, a.Body, status, want)
			}
			return nil
		})
	}
	defer func() {
		w.tiers(t, w.mapping())
		becomes(t, 200, `"tier":"free"`)
	}()
	t.Run("maas-68 an edit is known without a restart", func(t *testing.T) {
		w.tiers(t, strings.Replace(w.mapping(), "level: 0", "level: 9", 1))
		w.Eventually(t, quick, "the next lookup knows", func() error {
			return is(ask(t, of(everybody, "premium-group")).Body, `{"tier":"free","displayName":"Free Tier"}`)
		})
	})
	t.Run("maas-67 of equal levels the first", func(t *testing.T) {
		w.tiers(t, `[{name: one, level: 5, groups: ["`+everybody+`"]}, {name: two, level: 5, groups: ["`+everybody+`"]}]`)
		becomes(t, 200, `"tier":"one"`)
		w.tiers(t, `[{name: two, level: 5, groups: ["`+everybody+`"]}, {name: one, level: 5, groups: ["`+everybody+`"]}]`)
		becomes(t, 200, `"tier":"two"`)
	})
	for name, text := range map[string]string{
		"a name twice":         `[{name: a, groups: ["` + everybody + `"]}, {name: a, groups: [b]}]`,
		"no name":              `[{name: "", groups: ["` + everybody + `"]}]`,
		"a blank display name": `[{name: a, displayName: " ", groups: ["` + everybody + `"]}]`,
		"no YAML":              `[{`,
	} {
		t.Run("maas-65 "+name, func(t *testing.T) {
			w.tiers(t, text)
			becomes(t, 500, `^\{"error":"internal_error","message":"failed to lookup tier: failed to load tier configuration: `)
			answers(t, w.ask(t, "POST", "/maas-api/v1/tokens", login, ""), 500, `^\{"error":"Failed to generate token"\}$`)
			w.tiers(t, w.mapping())
			becomes(t, 200, `"tier":"free"`)
		})
	}
	t.Run("maas-64 no ConfigMap", func(t *testing.T) {
		w.Delete(t, "configmaps", "opendatahub", "tier-to-group-mapping")
		becomes(t, 500, `tier mapping not found, provide configuration in tier-to-group-mapping`)
	})
}
