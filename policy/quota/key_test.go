package quota

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

func TestKeyIsUnambiguous(t *testing.T) {
	long := strings.Repeat("x", 300)
	sum := sha256.Sum256([]byte(long))
	hash := hex.EncodeToString(sum[:])
	seen := make(map[string][]string)
	for _, parts := range [][]string{
		{}, {""}, {"", ""}, {"a"}, {"a", ""}, {"", "a"}, {"a", "b"}, {"a|b"}, {"a|", "b"}, {"a", "|b"},
		{`a\`, "b"}, {`a\|b`}, {`a\\`, "b"}, {`a\\|b`}, {`\`}, {`\`, ""}, {`|`}, {`||`}, {"", "", ""},
		{long}, {`\h` + hash}, {`h` + hash}, {hash}, {long, ""}, {long + "y"}, {"a\x00b"}, {"a", "\x00b"},
	} {
		key := Key(parts...)
		if other, ok := seen[key]; ok {
			t.Errorf("%q and %q share the key %q", parts, other, key)
		}
		seen[key] = parts
	}
}

func FuzzKey(f *testing.F) {
	f.Add("a|", "b", "a", "|b")
	f.Add(`a\`, "b", `a\|b`, "")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		same := slices.Equal([]string{a, b}, []string{c, d})
		if (Key(a, b) == Key(c, d)) != same {
			t.Fatalf("Key(%q, %q) and Key(%q, %q)", a, b, c, d)
		}
		if Key(a, b) == Key(a+b) || Key(a, b) == Key(a, b, c) {
			t.Fatalf("Key(%q, %q) has the key of other parts", a, b)
		}
	})
}

func TestLimitID(t *testing.T) {
	f := func(prefix, namespace, policy, name, clean string) {
		t.Helper()
		sum := sha256.Sum256([]byte(namespace + "/" + policy + "/" + name))
		want := prefix + "." + clean + "__" + hex.EncodeToString(sum[:4])
		if got := LimitID(prefix, namespace, policy, name); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	f("tokenlimit", "openshift-ingress", "gateway-token-rate-limits", "free-user-tokens", "free_user_tokens")
	f("limit", "a", "b", "per_user 5/10s", "per_user_5_10s")
	if LimitID("limit", "a", "b", "x-y") == LimitID("limit", "a", "b", "x_y") {
		t.Error("two names that look alike share an ID")
	}
}
