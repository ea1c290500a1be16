//go:build cluster

package kube

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/egret-gateway/egret/maas"
	"github.com/egret-gateway/egret/source"
)

type claims struct {
	Audience []string `json:"aud"`
	Subject  string   `json:"sub"`
	ID       string   `json:"jti"`
	Issued   int64    `json:"iat"`
	Expires  int64    `json:"exp"`
}

func read(t *testing.T, token string) (c claims) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", token)
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(body, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMint(t *testing.T) {
	w := start(t, "mint")
	t.Run("maas-6 maas-7 maas-31 the first mint makes namespace, ServiceAccount and a token", func(t *testing.T) {
		got := read(t, w.mint("kube:admin"))
		if got.Expires-got.Issued != 600 || got.Subject != "system:serviceaccount:mint-tier-free:kube-admin-81378af5" ||
			!cmp.Equal(got.Audience, []string{"mint-sa"}) {
			t.Errorf("claims %+v", got)
		}
		labels := map[string]string{
			"app.kubernetes.io/component": "token-issuer", "app.kubernetes.io/part-of": "maas-api",
			"maas.opendatahub.io/instance": "mint", "maas.opendatahub.io/tier": "free",
		}
		if diff := cmp.Diff(labels, w.account("free", "kube-admin-81378af5").Labels); diff != "" {
			t.Errorf("labels of the ServiceAccount (-want +got):\n%s", diff)
		}
		var ns corev1.Namespace
		w.must(admin.Get(t.Context(), client.ObjectKey{Name: "mint-tier-free"}, &ns))
		labels["maas.opendatahub.io/tier-namespace"], labels["kubernetes.io/metadata.name"] = "true", "mint-tier-free"
		if diff := cmp.Diff(labels, ns.Labels); diff != "" {
			t.Errorf("labels of the namespace (-want +got):\n%s", diff)
		}
	})
	t.Run("maas-32 a second mint reuses them", func(t *testing.T) {
		before := w.account("free", "kube-admin-81378af5").UID
		w.mint("kube:admin")
		if after := w.account("free", "kube-admin-81378af5").UID; after != before {
			t.Errorf("UID %s, was %s", after, before)
		}
	})
	t.Run("maas-33 maas-34 the API server admits every name", func(t *testing.T) {
		w.mint("alice@example.com")
		w.account("free", "alice-example-com-fc2398a7")
		long := read(t, w.mint(strings.Repeat("a.", 50))).Subject
		if name := long[strings.LastIndexByte(long, ':')+1:]; len(name) > 63 || strings.Contains(name, "--") {
			t.Errorf("name %q", name)
		}
	})
	t.Run("maas-35 a name without a letter or digit", func(t *testing.T) {
		if a := w.as("***", []string{"system:authenticated"}, "POST", "/v1/tokens", ""); a.Status != 500 || a.field("error") != "Failed to generate token" {
			t.Errorf("%+v", a)
		}
	})
	t.Run("maas-36 maas-37 the highest tier's namespace", func(t *testing.T) {
		for tier, groups := range map[string][]string{"premium": {"tier-premium-users"}, "enterprise": {"premium-group", "enterprise-group"}} {
			if got := read(t, w.mint("bob", groups...)).Subject; !strings.HasPrefix(got, "system:serviceaccount:mint-tier-"+tier+":bob-") {
				t.Errorf("%s: subject %s", tier, got)
			}
		}
	})
	t.Run("maas-38 a MaaS token is exchanged for one of the same ServiceAccount", func(t *testing.T) {
		first := w.mint("carol", "tier-premium-users")
		a := w.call(first, "POST", "/v1/tokens", `{"expiration":"10m"}`)
		second, _ := a.field("token").(string)
		if a.Status != http.StatusCreated || read(t, second).Subject != read(t, first).Subject || read(t, second).ID == read(t, first).ID {
			t.Errorf("%+v", a)
		}
	})
	t.Run("maas-40 a token of another audience is nobody", func(t *testing.T) {
		name := w.account("free", "kube-admin-81378af5").Name
		if a := w.call(w.token("mint-tier-free", name, "elsewhere"), "GET", "/v1/models", ""); a.Status != 401 {
			t.Errorf("%+v", a)
		}
	})
}

func TestRevoke(t *testing.T) {
	w := start(t, "revoke")
	w.controller("example.com/planes")
	t.Run("maas-43 nobody's tokens are revoked", func(t *testing.T) {
		if a := w.as("dora", []string{"system:authenticated"}, "DELETE", "/v1/tokens", ""); a.Status != http.StatusNoContent {
			t.Errorf("%+v", a)
		}
	})
	t.Run("maas-41 maas-42 maas-55 all tokens end at once, the keys stay listed as expired", func(t *testing.T) {
		token := w.mint("erin")
		if a := w.as("erin", []string{"system:authenticated"}, "POST", "/v1/api-keys", `{"name":"ci"}`); a.Status != http.StatusCreated {
			t.Fatalf("%+v", a)
		}
		name, err := maas.AccountName("erin")
		w.must(err)
		before := w.account("free", name).UID
		if a := w.call(token, "GET", "/v1/models", ""); a.Status != 200 {
			t.Fatalf("before: %+v", a)
		}
		if a := w.as("erin", []string{"system:authenticated"}, "DELETE", "/v1/tokens", ""); a != (answer{Status: http.StatusNoContent}) {
			t.Errorf("%+v", a)
		}
		if a := w.call(token, "GET", "/v1/models", ""); a.Status != 401 {
			t.Errorf("after: %+v", a)
		}
		if after := w.account("free", name).UID; after == before {
			t.Error("the UID is the old one")
		}
		if a := w.as("erin", []string{"system:authenticated"}, "GET", "/v1/api-keys", ""); !strings.Contains(a.Body, `"status":"expired"`) || strings.Contains(a.Body, "active") {
			t.Errorf("keys: %+v", a)
		}
		if a := w.call(w.mint("erin"), "GET", "/v1/models", ""); a.Status != 200 {
			t.Errorf("a token minted afterwards: %+v", a)
		}
	})
}

func TestKeys(t *testing.T) {
	w := start(t, "keys")
	w.controller("example.com/planes")
	create := func(body string) (token, id string) {
		a := w.as("frank", []string{"system:authenticated"}, "POST", "/v1/api-keys", body)
		token, _ = a.field("token").(string)
		id, _ = a.field("jti").(string)
		if a.Status != http.StatusCreated || token == "" || id != read(t, token).ID {
			t.Fatalf("%+v", a)
		}
		return token, id
	}
	one, id := create(`{"name":"one","expiration":"24h"}`)
	two, _ := create(`{"name":"two"}`)
	t.Run("maas-53 a key is a token", func(t *testing.T) {
		if a := w.call(one, "GET", "/v1/models", ""); a.Status != 200 {
			t.Errorf("%+v", a)
		}
	})
	t.Run("maas-54 a token that is no key is not listed", func(t *testing.T) {
		jti := read(t, w.mint("frank")).ID
		if a := w.as("frank", []string{"x"}, "GET", "/v1/api-keys", ""); !strings.Contains(a.Body, id) || strings.Contains(a.Body, jti) {
			t.Errorf("%+v", a)
		}
	})
	t.Run("maas-56 one key is revoked, by its jti, at once", func(t *testing.T) {
		if a := w.as("mallory", []string{"x"}, "DELETE", "/v1/api-keys/"+id, ""); a.Status != 404 {
			t.Errorf("somebody else: %+v", a)
		}
		if a := w.as("frank", []string{"x"}, "DELETE", "/v1/api-keys/"+id, ""); a.Status != http.StatusNoContent {
			t.Errorf("%+v", a)
		}
		list, _ := source.Denials(w.denyList())
		found := false
		for _, d := range list {
			found = found || d.Subject == "jti:"+id
		}
		if !found {
			t.Errorf("the deny-list is %v", list)
		}
		if a := w.call(one, "GET", "/v1/models", ""); a.Status != 401 {
			t.Errorf("the revoked key: %+v", a)
		}
		if a := w.call(two, "GET", "/v1/models", ""); a.Status != 200 {
			t.Errorf("the other key: %+v", a)
		}
	})
}

func TestRestart(t *testing.T) {
	f := func(name string, survives bool, change func(*maas.Config)) {
		t.Run(name, func(t *testing.T) {
			w := start(t, "restart", change)
			if a := w.as("grace", []string{"system:authenticated"}, "POST", "/v1/api-keys", `{"name":"kept"}`); a.Status != http.StatusCreated {
				t.Fatalf("%+v", a)
			}
			w.stop()
			w.serve()
			a := w.as("grace", []string{"x"}, "GET", "/v1/api-keys", "")
			if got := strings.Contains(a.Body, "kept"); got != survives || a.Status != 200 {
				t.Errorf("%+v", a)
			}
		})
	}
	file := filepath.Join(t.TempDir(), "keys.db")
	f("maas-57 keys on disk survive a restart", true, func(c *maas.Config) { c.Storage, c.DataPath = maas.StorageDisk, file })
	f("maas-57 keys in memory do not", false, func(c *maas.Config) {})
}
