package maas

import (
	"strings"
	"testing"
)

func TestAccountName(t *testing.T) {
	f := func(name, username, want string) {
		t.Run(name, func(t *testing.T) {
			if got, err := AccountName(username); got != want || err != nil {
				t.Errorf("AccountName(%q) = %q, %v, want %q", username, got, err, want)
			}
		})
	}
	f("maas-7 the quickstart's admin", "kube:admin", "kube-admin-81378af5")
	f("maas-33 an address", "alice@example.com", "alice-example-com-fc2398a7")
	f("the same base, another hash", "kube-admin", "kube-admin-e369e3f2")
	f("a ServiceAccount", "system:serviceaccount:maas-default-gateway-tier-free:kube-admin-81378af5",
		"system-serviceaccount-maas-default-gateway-tier-free-k-5533c29d")

	t.Run("maas-34 a long username", func(t *testing.T) {
		for _, u := range []string{strings.Repeat("x", 100), strings.Repeat("x", 53) + "-" + strings.Repeat("y", 46)} {
			got, err := AccountName(u)
			base := got[:len(got)-9]
			if err != nil || len(got) > 63 || strings.HasSuffix(base, "-") {
				t.Errorf("AccountName(%q) = %q, %v", u, got, err)
			}
		}
	})
	t.Run("maas-35 nothing to make a name of", func(t *testing.T) {
		for _, u := range []string{"", "***", "---", "::", "äöü"} {
			if got, err := AccountName(u); err == nil {
				t.Errorf("AccountName(%q) = %q, want an error", u, got)
			}
		}
	})
}

func TestTierAccount(t *testing.T) {
	f := func(username, namespace, name, tier string, ok bool) {
		t.Helper()
		gotNS, gotName, gotTier, gotOK := tierAccount("gw", username)
		if gotOK != ok || ok && (gotNS != namespace || gotName != name || gotTier != tier) {
			t.Errorf("tierAccount(%q) = %q, %q, %q, %v", username, gotNS, gotName, gotTier, gotOK)
		}
	}
	f("system:serviceaccount:gw-tier-free:a", "gw-tier-free", "a", "free", true)
	f("system:serviceaccount:gw-tier-a-tier-b:a", "gw-tier-a-tier-b", "a", "a-tier-b", true)
	f("system:serviceaccount:gw-tier-:a", "", "", "", false)
	f("system:serviceaccount:other-tier-free:a", "", "", "", false)
	f("system:serviceaccount:gw-tier-free:", "", "", "", false)
	f("system:serviceaccount:gw-tier-free:a:b", "", "", "", false)
	f("gw-tier-free:a", "", "", "", false)
	f("kube:admin", "", "", "", false)
}
