//go:build cluster

package maas

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	authnv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/egret-gateway/egret/lab/cluster"
	"github.com/egret-gateway/egret/lab/stage"
)

// Limits of waits: for what is promised at once but has to be seen by a watch,
// and for what has to be started.
const (
	quick = 5 * time.Second
	soon  = time.Minute
)

// walk is the quickstart with local models, and people of every tier.
type walk struct {
	*stage.Stage
	// home has a namespace of people's ServiceAccounts for each tier.
	home  map[string]string
	proof string // of the gateway, towards the API
	api   string // URL of the API's own Service
}

// TestMaaS is the walk.
func TestMaaS(t *testing.T) {
	c := cluster.Open(t)
	w := &walk{Stage: stage.Quickstart(t, c), home: map[string]string{}}
	t.Cleanup(func() { w.Finally(t, "delete", "-f", "testdata/llm.yaml", "--ignore-not-found", "--timeout=60s") })
	c.Logs(t, "llm")
	w.Kubectl(t, "apply", "--server-side", "-f", "testdata/llm.yaml")
	for _, tier := range []string{"free", "premium", "enterprise", "gold"} {
		w.home[tier] = w.Namespace(t)
	}
	w.tiers(t, w.mapping())
	w.proof = w.Token(t, "openshift-ingress", "egret-openshift-ingress-maas-default-gateway", "maas-api")
	w.api = w.Reach(t, "opendatahub", "maas-api", 8080)
	w.Rolled(t, "llm", "granite")
	w.Rolled(t, "llm", "look")

	t.Run("tokens", w.tokens)
	t.Run("bounds", w.bounds)
	t.Run("keys", w.keys)
	t.Run("lookup", w.lookup)
	t.Run("models", w.models)
	t.Run("native", w.plane)
	w.swap(t, "envoy", "envoy extproc")
	t.Run("envoy", w.plane)
	t.Run("policies", w.conditions)
	t.Run("scripts", w.scripts)
}

// plane is what the plane of the MaaS gateway decides.
func (w *walk) plane(t *testing.T) {
	t.Run("policies", w.policies)
	t.Run("limits", w.limits)
	t.Run("revocation", w.revocation)
}

// swap has the MaaS gateway run on another plane, whose pods have these
// containers.
func (w *walk) swap(t *testing.T, plane, containers string) {
	t.Helper()
	w.Put(t, "", `
apiVersion: v1
kind: ConfigMap
metadata: {name: plane, namespace: openshift-ingress}
data: {fleet.yaml: "plane: `+plane+`"}`)
	w.Kubectl(t, "patch", "gateway", "maas-default-gateway", "-n", "openshift-ingress", "--type=merge", "-p",
		`{"spec":{"infrastructure":{"parametersRef":{"group":"","kind":"ConfigMap","name":"plane"}}}}`)
	const name = "egret-openshift-ingress-maas-default-gateway"
	w.Eventually(t, soon, "the gateway's plane is "+plane, func() error {
		return is(w.Kubectl(t, "get", "deployment", name, "-n", "openshift-ingress", "-o", "jsonpath={.spec.template.spec.containers[*].name}"), containers)
	})
	w.Rolled(t, "openshift-ingress", name)
	w.Eventually(t, soon, "the pods of before are gone", func() error { return is(fmt.Sprint(len(w.pods(t))), "1") })
}

// mapping is the manifests' tiers with the people of the walk, and a tier that
// nothing limits.
func (w *walk) mapping() string {
	return fmt.Sprintf(`
- {name: free, displayName: Free Tier, level: 0, groups: [tier-free-users, "system:authenticated"]}
- {name: premium, displayName: Premium Tier, level: 1, groups: [tier-premium-users, premium-group, %q, %q]}
- {name: enterprise, displayName: Enterprise Tier, level: 2, groups: [tier-enterprise-users, enterprise-group, admin-group, %q]}
- {name: gold, level: 3, groups: [%q]}
`, group(w.home["premium"]), group(w.home["enterprise"]), group(w.home["enterprise"]), group(w.home["gold"]))
}

func group(namespace string) string { return "system:serviceaccounts:" + namespace }

// tiers writes the ConfigMap of tiers.
func (w *walk) tiers(t *testing.T, text string) {
	t.Helper()
	w.config(t, "tier-to-group-mapping", "tiers", text)
}

func (w *walk) config(t *testing.T, name, key, text string) {
	t.Helper()
	object, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]string{"name": name, "namespace": "opendatahub"},
		"data": map[string]string{key: text},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Put(t, "", string(object))
}

// login makes somebody of a tier and returns their token for the cluster.
func (w *walk) login(t *testing.T, tier string) string {
	t.Helper()
	person := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{GenerateName: "person-", Namespace: w.home[tier]}}
	if err := w.Client().Create(t.Context(), person); err != nil {
		t.Fatal(err)
	}
	return w.token(t, person, "https://kubernetes.default.svc")
}

// token is a ServiceAccount's token, valid for an hour.
func (w *walk) token(t *testing.T, account *corev1.ServiceAccount, audience string) string {
	t.Helper()
	hour := int64(3600)
	request := &authnv1.TokenRequest{Spec: authnv1.TokenRequestSpec{Audiences: []string{audience}, ExpirationSeconds: &hour}}
	if err := w.Client().SubResource("token").Create(t.Context(), account, request); err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// somebody mints a MaaS token for somebody new.
func (w *walk) somebody(t *testing.T, tier string) (token, login string) {
	t.Helper()
	login = w.login(t, tier)
	return w.mint(t, login), login
}

func (w *walk) mint(t *testing.T, login string) string {
	t.Helper()
	var made struct{ Token string }
	w.reads(t, w.ask(t, "POST", "/maas-api/v1/tokens", login, `{"expiration": "1h"}`), 201, &made)
	return made.Token
}

// ask asks the gateway as the holder of a token; "" is nobody.
func (w *walk) ask(t *testing.T, method, path, token, body string, headers ...string) cluster.Answer {
	t.Helper()
	if token != "" {
		headers = append(headers, "Authorization: Bearer "+token)
	}
	a, err := w.Do(method, w.URL(path), body, headers...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// direct asks the API itself, as the gateway would.
func (w *walk) direct(t *testing.T, method, path, body string, headers ...string) cluster.Answer {
	t.Helper()
	a, err := w.Do(method, w.api+path, body, append(headers, "X-MaaS-Proof: "+w.proof)...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// as are the headers by which the gateway says who calls.
func as(username string, groups ...string) []string {
	list, err := json.Marshal(groups)
	if err != nil {
		panic("BUG: groups are no JSON: " + err.Error())
	}
	return []string{"X-MaaS-Username: " + username, "X-MaaS-Group: " + string(list)}
}

// answers holds an answer to a status and a pattern of its body.
func answers(t *testing.T, a cluster.Answer, status int, body string) {
	t.Helper()
	if a.Status != status || !regexp.MustCompile(body).MatchString(a.Body) {
		t.Errorf("%d %s, want %d %s", a.Status, a.Body, status, body)
	}
}

// reads holds an answer to a status and reads its body.
func (w *walk) reads(t *testing.T, a cluster.Answer, status int, into any) {
	t.Helper()
	if err := a.Want(status, nil); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(a.Body), into); err != nil {
		t.Fatalf("%s: %v", a.Body, err)
	}
}

// claims are those of a token that the walk looks at.
type claims struct {
	Audience []string `json:"aud"`
	Expires  int64    `json:"exp"`
	Issued   int64    `json:"iat"`
	ID       string   `json:"jti"`
	Subject  string   `json:"sub"`
}

// account is the ServiceAccount that a token is for.
func (c claims) account() (namespace, name string) {
	parts := strings.Split(c.Subject, ":")
	return parts[2], parts[3]
}

func claimsOf(t *testing.T, token string) (c claims) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no token", token)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// account is the ServiceAccount that a token is for.
func (w *walk) account(t *testing.T, c claims) *corev1.ServiceAccount {
	t.Helper()
	var out corev1.ServiceAccount
	namespace, name := c.account()
	if err := w.Client().Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, &out); err != nil {
		t.Fatal(err)
	}
	return &out
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// is says what is there in the place of what should be.
func is(got, want string) error {
	if got != want {
		return fmt.Errorf("%q, want %q", got, want)
	}
	return nil
}
