package feed_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/plan"
)

// TestAccounts: accounts arrive as they were sent, with the Secrets that they
// name, and a plan that has some says that it takes format 3.
func TestAccounts(t *testing.T) {
	t.Run("gateway-108 keys travel as Secrets and in nothing else", func(t *testing.T) {
		p := &plan.Plan{
			Backends: []plan.Backend{{Name: "b", Protocol: plan.HTTP, Accounts: []plan.Account{
				{Name: "b/key", Namespace: "n", When: `auth.identity.tier == "<free>"`, Scheme: plan.SchemeHeader, Secret: "secret/n/s/opaque", Key: "key", Field: "Authorization", Prefix: "Bearer ", Headers: []plan.Header{{Name: "a", Value: "1"}}},
				{Name: "b/aws", Namespace: "n", Scheme: plan.SchemeAWS, AWS: &plan.AWS{Region: "us-east-1", Service: "bedrock", Pod: true}},
				{Name: "b/o", Namespace: "n", Scheme: plan.SchemeOAuth2, Token: &plan.Token{URL: "https://t.example/?a=1&b=2", Scopes: []string{"x"}}},
			}}},
			Secrets: []plan.Secret{{Name: "secret/n/s/opaque", Kind: plan.SecretOpaque, Digest: "d", Data: []plan.Item{{Key: "key", Value: []byte("sk-canary")}}}},
		}
		resources := (&feed.Feed{Gateway: gateway, Plan: p}).Resources()
		for _, r := range resources {
			if bytes.Contains(r.Value, []byte("canary")) || r.Type != feed.TypeSecret && bytes.Contains(r.Value, []byte("c2stY2FuYXJ5")) {
				t.Errorf("%s %s holds the key", r.Type, r.Name)
			}
			if r.Type == feed.TypeHead && !bytes.Contains(r.Value, []byte(`"format":3`)) {
				t.Errorf("head %s", r.Value)
			}
		}
		got, err := feed.Join(resources)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p.Backends, got.Plan.Backends); diff != "" {
			t.Error(diff)
		}
		if string(got.Plan.Secrets[0].Item("key")) != "sk-canary" {
			t.Error("the key did not arrive")
		}
	})
}
