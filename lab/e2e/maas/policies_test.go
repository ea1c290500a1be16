//go:build cluster

package maas

import (
	"strconv"
	"strings"
	"testing"

	"github.com/egret-gateway/egret/lab/cluster"
)

// open is the route that everybody with a MaaS token may use, and chat a path
// on it.
const (
	open = "/llm/open"
	chat = open + "/v1/chat/completions"
)

// question asks for so many words back and costs twice as much, or less when
// the answer is cut to most tokens.
func question(words, most int, more string) string {
	return `{"model":"granite","messages":[{"role":"user","content":"` + strings.TrimSpace(strings.Repeat("word ", words)) + `"}],"max_tokens":` + strconv.Itoa(most) + more + `}`
}

var (
	small = question(1, 1, "")   // costs 2
	most  = question(60, 39, "") // costs 99 of the free tier's 100
)

// policies is maas 39 and 84 to 96.
func (w *walk) policies(t *testing.T) {
	token, login := w.somebody(t, "free")
	_, account := claimsOf(t, token).account()
	refused := func(t *testing.T, a cluster.Answer, realm, reason string) {
		t.Helper()
		if answers(t, a, 401, `^$`); a.Header.Get("WWW-Authenticate") != `Bearer realm="`+realm+`"` || a.Header.Get("X-Ext-Auth-Reason") != reason {
			t.Errorf("header %v, want realm %s and reason %s", a.Header, realm, reason)
		}
	}
	t.Run("maas-84 no credential", func(t *testing.T) {
		for path, realm := range map[string]string{
			"/v1/models": "openshift-identities", "/maas-api/v1/tokens": "openshift-identities",
			"/external/v1/models": "service-accounts", open + "/v1/models": "service-accounts",
		} {
			refused(t, w.ask(t, "GET", path, "", ""), realm, "credential not found")
		}
	})
	t.Run("maas-85 garbage", func(t *testing.T) {
		refused(t, w.ask(t, "GET", open+"/v1/models", "gar.ba.ge", ""), "service-accounts", "not authenticated")
		refused(t, w.ask(t, "GET", "/v1/models", "garbage", ""), "openshift-identities", "not authenticated")
	})
	t.Run("maas-86 another scheme", func(t *testing.T) {
		refused(t, w.ask(t, "GET", open+"/v1/models", "", "", "Authorization: Basic eDp5"), "service-accounts", "credential not found")
	})
	t.Run("maas-87 a cluster token on the bridge", func(t *testing.T) {
		refused(t, w.ask(t, "GET", "/external/v1/models", login, ""), "service-accounts", "not authenticated")
	})
	t.Run("maas-88 a MaaS token at the API", func(t *testing.T) {
		answers(t, w.ask(t, "GET", "/maas-api/v1/models", token, ""), 200, `gpt-4-external`)
	})
	t.Run("maas-89 maas-90 rights decide, and new ones are seen", func(t *testing.T) { w.rights(t, token) })
	t.Run("maas-91 maas-93 other paths", func(t *testing.T) {
		for _, path := range []string{"/x", "/", "/llm/none/v1/models", "/v1/tokens", "//"} {
			if a := w.ask(t, "GET", path, token, ""); a.Status != 403 && a.Status != 404 {
				t.Errorf("%s: %d %s", path, a.Status, a.Body)
			}
		}
		answers(t, w.ask(t, "GET", "/v1/models", token, "", "Host: another.example"), 200, ``) // no listener names a host
	})
	seen := func(t *testing.T, path string) (path2 string, header map[string][]string) {
		t.Helper()
		var got struct {
			Path    string
			Headers map[string][]string
		}
		a := w.ask(t, "GET", path, token, "", "X-MaaS-Username: root", `X-MaaS-Group: ["admin-group"]`, "X-MaaS-Tier: enterprise", "X-MaaS-Proof: x")
		w.reads(t, a, 200, &got)
		return got.Path, got.Headers
	}
	t.Run("maas-39 maas-92 a model sees who the caller is, and nothing that they say of themselves", func(t *testing.T) {
		path, header := seen(t, "/llm/look/a/b?c=d")
		got := strings.Join(header["X-Maas-Username"], ",") + " " + strings.Join(header["X-Maas-Tier"], ",")
		if path != "/a/b?c=d" || got != account+" free" || header["X-Maas-Group"] != nil || header["X-Maas-Proof"] != nil {
			t.Errorf("%s %v", path, header)
		}
	})
	t.Run("maas-39 maas-92 a provider sees neither", func(t *testing.T) {
		path, header := seen(t, "/external/look/a?c=d")
		for name := range header {
			if strings.HasPrefix(name, "X-Maas-") || name == "Authorization" {
				t.Errorf("%s: %v", name, header[name])
			}
		}
		if path != "/look/a?c=d" {
			t.Error(path)
		}
	})
	t.Run("maas-39 nor does it make another token", func(t *testing.T) {
		var made struct{ Token string }
		w.reads(t, w.ask(t, "POST", "/maas-api/v1/tokens", login, "", "X-MaaS-Username: root", `X-MaaS-Group: ["admin-group"]`), 201, &made)
		if got := claimsOf(t, made.Token); got.Subject != claimsOf(t, token).Subject {
			t.Errorf("a token of %s", got.Subject)
		}
	})
	t.Run("maas-96 a tier is asked for once", func(t *testing.T) {
		lookups := func() int {
			return strings.Count(w.Kubectl(t, "logs", "-n", "opendatahub", "deployment/maas-api"), `"path":"/v1/tiers/lookup"`)
		}
		token, _ := w.somebody(t, "free")
		before := lookups()
		for range 5 {
			answers(t, w.ask(t, "GET", open+"/v1/models", token, ""), 200, `granite`)
		}
		if n := lookups() - before; n != 1 {
			t.Errorf("%d lookups", n)
		}
	})
}

// rights gives and takes the right to post to a model.
func (w *walk) rights(t *testing.T, token string) {
	const path = "/llm/shared/v1/models"
	a := w.ask(t, "GET", path, token, "")
	if answers(t, a, 403, `^$`); !strings.HasPrefix(a.Header.Get("X-Ext-Auth-Reason"), "not authorized: ") {
		t.Errorf("header %v", a.Header)
	}
	w.Put(t, "llm", `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: shared}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: shared}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:serviceaccounts:maas-default-gateway-tier-free"}]`)
	defer w.Delete(t, "rolebindings", "llm", "shared")
	w.Eventually(t, soon, "the right counts", func() error {
		a := w.ask(t, "GET", path, token, "")
		return a.Want(200, nil)
	})
}
