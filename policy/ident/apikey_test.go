package ident_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/ident"
)

func TestAPIKeys(t *testing.T) {
	secrets := map[string]*plan.Secret{}
	put := func(name, key string) {
		secrets[name] = &plan.Secret{Name: name, Kind: plan.SecretAPIKey, Data: []plan.Item{{Key: "api_key", Value: plan.Bytes(key)}}}
	}
	put("secret/ns/alice", "k1")
	put("secret/ns/bob", "k2")
	put("secret/ns/bobs-twin", "k2")
	put("secret/ns/empty", "")
	ref := func(name string) plan.APIKeyRef {
		return plan.APIKeyRef{Secret: "secret/ns/" + name, Identity: json.RawMessage(`{"metadata":{"name":"` + name + `"}}`)}
	}
	keys := ident.NewAPIKeys([]plan.APIKeyRef{ref("alice"), ref("bob"), ref("bobs-twin"), ref("empty"), ref("missing")},
		func(name string) *plan.Secret { return secrets[name] })

	f := func(name, key, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			id, err := keys.Identify(key)
			if want == "" {
				if err == nil {
					t.Errorf("%q stands for %q", key, id.Subject)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&ident.Identity{Subject: want, Object: map[string]any{"metadata": map[string]any{"name": want}}}, id); diff != "" {
				t.Error(diff)
			}
		})
	}
	f("a key", "k1", "alice")
	f("two Secrets hold it: the first by name", "k2", "bob")
	f("nobody's", "k3", "")
	f("case counts", "K1", "")
	f("an empty key is nobody's", "", "")
	put("secret/ns/missing", "k4")
	f("a Secret that came later", "k4", "missing")
	put("secret/ns/alice", "k5")
	f("a replaced key", "k1", "")
	f("its replacement", "k5", "alice")
	delete(secrets, "secret/ns/bob")
	f("a Secret that went", "k2", "bobs-twin")
}
