package maas_test

import (
	"strings"
	"testing"

	"github.com/egret-gateway/egret/maas"
)

func TestLookupTier(t *testing.T) {
	w := newWorld(t)
	lookup := func(body string) answer { return w.send("POST", "/v1/tiers/lookup", body, nil) }
	f := func(name, body string, code int, want string) {
		t.Run(name, func(t *testing.T) {
			if a := lookup(body); a.code != code || a.body != want {
				t.Errorf("answer %d %s, want %d %s", a.code, a.body, code, want)
			}
		})
	}
	f("maas-59 everybody is in the free tier", `{"groups":["system:authenticated"]}`, 200,
		`{"tier":"free","displayName":"Free Tier"}`)
	f("maas-60 the higher of two tiers wins", `{"groups":["system:authenticated","premium-group"]}`, 200,
		`{"tier":"premium","displayName":"Premium Tier"}`)
	f("maas-61 admins", `{"groups":["admin-group"]}`, 200, `{"tier":"enterprise","displayName":"Enterprise Tier"}`)
	f("a tier's own ServiceAccounts", `{"groups":["system:serviceaccounts:maas-default-gateway-tier-premium"]}`, 200,
		`{"tier":"premium","displayName":"Premium Tier"}`)
	f("maas-62 no tier", `{"groups":["a","b"]}`, 404,
		`{"error":"not_found","message":"group groups [a, b] not found in any tier"}`)
	bad := `{"error":"bad_request","message":"invalid request body: `
	f("maas-63 no list", `{}`, 400, bad+`Key: 'TierLookup.Groups' Error:Field validation for 'Groups' failed on the 'required' tag"}`)
	f("maas-63 an empty list", `{"groups":[]}`, 400, bad+`Key: 'TierLookup.Groups' Error:Field validation for 'Groups' failed on the 'min' tag"}`)
	f("maas-63 bad JSON", `{"groups":`, 400, bad+`unexpected EOF"}`)
	f("maas-63 an empty body", ``, 400, bad+`EOF"}`)
	t.Run("maas-63 a bare list", func(t *testing.T) {
		if a := lookup(`[]`); a.code != 400 || !strings.HasPrefix(a.body, bad) {
			t.Errorf("answer %d %s", a.code, a.body)
		}
	})
}

func TestTierConfiguration(t *testing.T) {
	w := newWorld(t)
	f := func(name, key, tiers string, code int, want string) {
		t.Run(name, func(t *testing.T) {
			w.configMap(maas.TiersConfigMap, key, tiers)
			a := w.send("POST", "/v1/tiers/lookup", `{"groups":["g"]}`, nil)
			if a.code != code || !strings.Contains(a.body, want) {
				t.Errorf("answer %d %s, want %d with %s", a.code, a.body, code, want)
			}
		})
	}
	failed := `{"error":"internal_error","message":"failed to lookup tier: `
	f("maas-64 no ConfigMap", "", "", 500,
		failed+`tier mapping not found, provide configuration in tier-to-group-mapping"}`)
	f("no key", "other", "", 500, failed+"failed to load tier configuration: ")
	f("bad YAML", "tiers", "- name: [", 500, failed+"failed to load tier configuration: ")
	f("no list", "tiers", "name: a", 500, failed+"failed to load tier configuration: ")
	f("maas-65 a name that is there twice", "tiers", "[{name: a, groups: [g]}, {name: a}]", 500, `tier \"a\" is there twice`)
	f("maas-65 no name", "tiers", "[{name: a, groups: [g]}, {level: 1}]", 500, "tier 2 has no name")
	f("maas-65 a blank displayName", "tiers", "[{name: a, groups: [g], displayName: ' '}]", 500, "displayName is blank")
	f("maas-66 no displayName", "tiers", "[{name: a, groups: [g]}]", 200, `{"tier":"a","displayName":"a"}`)
	f("maas-67 equal levels keep the file's order", "tiers", "[{name: b, level: 3, groups: [g]}, {name: a, level: 3, groups: [g]}]",
		200, `"tier":"b"`)
	f("maas-68 an edit counts at once", "tiers", "[{name: b, groups: [g]}, {name: a, level: 3, groups: [g]}]", 200, `"tier":"a"`)
	f("names are case-sensitive", "tiers", "[{name: b, groups: [G]}, {name: B, groups: [g]}]", 200, `"tier":"B"`)
}

func TestTierMistakeIsLoggedOnce(t *testing.T) {
	w := newWorld(t)
	w.configMap(maas.TiersConfigMap, "tiers", "- name: [")
	w.server.Load(&w.snap)
	if n := strings.Count(w.log.String(), `"level":"ERROR"`); n != 1 {
		t.Errorf("%d errors in the log:\n%s", n, w.log)
	}
}
