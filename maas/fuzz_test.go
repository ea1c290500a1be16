package maas

import (
	"encoding/json"
	"testing"
)

// FuzzExpiration checks that a lifetime is read or refused, and that one that
// is accepted can be had.
func FuzzExpiration(f *testing.F) {
	for _, seed := range []string{
		`"10m"`, `"1h30m45s"`, `"1.5h"`, `601`, `600.5`, `null`, `""`, `"0"`, `0`, `-1`, `"-30h"`, `60`, `"30"`, `"4hours"`,
		`"1 h"`, `"abc"`, `true`, `{}`, `[1]`, `1e300`, `-1e300`, `9223372036.854775807`, `"2562047h47m16.854775807s"`, `"9999999h"`, `{`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var e Expiration
		if json.Unmarshal(text, &e) != nil {
			return
		}
		if !e.Set && e.Duration != 0 {
			t.Fatalf("%q: no lifetime, and yet %v", text, e.Duration)
		}
		life := e.Or(DefaultLifetime)
		if checkLifetime(life) == nil && life < MinLifetime {
			t.Fatalf("%q: %v is accepted", text, life)
		}
	})
}

// FuzzTiers checks that a mapping that is accepted is one: named, sorted, and
// with an answer for each tier's own ServiceAccounts.
func FuzzTiers(f *testing.F) {
	for _, seed := range []string{
		"- {name: free, displayName: Free, level: 0, groups: [a]}\n- {name: premium, level: 1, groups: [b, a]}",
		"[]", "", "null", "name: a", "- name: [", "- {name: a}\n- {name: a}", "- {name: a, displayName: ' '}",
		"- {level: 9223372036854775807, name: a}\n- {level: -9223372036854775808, name: b}", "- 1", "- &a {name: a}\n- *a", "{}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tiers, err := ParseTiers(text)
		if err != nil {
			return
		}
		for i, tier := range tiers {
			if tier.Name == "" || tier.DisplayName == "" {
				t.Fatalf("tier %d of %q has no name to show", i, text)
			}
			if i > 0 && tiers[i-1].Level < tier.Level {
				t.Fatalf("%q: level %d before %d", text, tiers[i-1].Level, tier.Level)
			}
			got, err := tiers.Of("gw", []string{"system:serviceaccounts:" + tierNamespace("gw", tier.Name)})
			if err != nil || got.Level < tier.Level {
				t.Fatalf("%q: ServiceAccounts of tier %q are in %q, %v", text, tier.Name, got.Name, err)
			}
		}
	})
}

// FuzzClaims checks that reading claims of any text ends without a panic.
func FuzzClaims(f *testing.F) {
	f.Add("a.eyJhdWQiOlsieCJdLCJpYXQiOjEsImp0aSI6ImoifQ.c")
	f.Add("a.eyJhdWQiOiJ4In0.c")
	f.Add("sha256~x")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		if c, err := readClaims(token); err != nil && (c.ID != "" || c.IssuedAt != 0 || len(c.Audience) > 0) {
			t.Fatalf("%q: an error and yet claims %+v", token, c)
		}
	})
}
