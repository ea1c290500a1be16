//go:build cluster

package maas

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/egret-gateway/egret/lab/cluster"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// model is an entry of the list.
type model struct {
	ID      string
	URL     string
	OwnedBy string `json:"owned_by"`
	Created int64
	Ready   bool
	Aliases []string
	Details map[string]string `json:"modelDetails"`
}

const gateway = `{gateway: {refs: [{name: maas-default-gateway, namespace: openshift-ingress}]}}`

// service makes an LLMInferenceService; its metadata may have more, its status
// is KServe's part.
func (w *walk) service(t *testing.T, name, more, router, status string) {
	t.Helper()
	w.Put(t, "llm", `
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceService
metadata: {name: `+name+`, namespace: llm, `+more+`}
spec:
  model: {uri: "hf://ibm/granite", name: spec-name}
  router: `+router)
	w.status(t, name, status)
}

func (w *walk) status(t *testing.T, name, status string) {
	t.Helper()
	patch := client.RawPatch(types.MergePatchType, []byte(`{"status":`+status+`}`))
	if err := w.Client().Status().Patch(t.Context(), w.Object(t, "llminferenceservices", "llm", name), patch); err != nil {
		t.Fatal(err)
	}
}

// at is a status with one address.
func at(url string) string { return ready(`{"name":"gateway-external","url":"` + url + `"}`) }

// ready is a status in which all is well.
func ready(addresses ...string) string {
	return `{"observedGeneration":1,"conditions":[{"type":"Ready","status":"True","reason":"Ready","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}],` +
		`"addresses":[` + strings.Join(addresses, ",") + `]}`
}

func (w *walk) list(t *testing.T, token string) (local, external []model) {
	t.Helper()
	var all struct{ Data []model }
	w.reads(t, w.ask(t, "GET", "/v1/models", token, ""), 200, &all)
	for i, m := range all.Data {
		if m.URL == "" {
			return all.Data[:i], all.Data[i:]
		}
	}
	return all.Data, nil
}

// lists waits until the URLs of the local models are these, below the gateway's
// own where they begin with "/".
func (w *walk) lists(t *testing.T, token string, want ...string) {
	t.Helper()
	for i := range want {
		if strings.HasPrefix(want[i], "/") {
			want[i] = w.URL(want[i])
		}
	}
	w.Eventually(t, 2*quick, "the next list knows", func() error {
		local, _ := w.list(t, token)
		got := make([]string, len(local))
		for i, m := range local {
			got[i] = m.URL
		}
		return is(fmt.Sprint(got), fmt.Sprint(want))
	})
}

func (w *walk) drop(t *testing.T, names ...string) {
	t.Helper()
	for _, n := range names {
		w.Delete(t, "llminferenceservices", "llm", n)
	}
}

// models is maas 69 to 83.
func (w *walk) models(t *testing.T) {
	free, login := w.somebody(t, "free")
	premium, _ := w.somebody(t, "premium")
	t.Run("maas-69 no credential at the API", func(t *testing.T) {
		answers(t, w.direct(t, "GET", "/v1/models", "", as("a", "b")...), 401,
			`^\{"error":\{"message":"Authorization token required","type":"authentication_error"\}\}$`)
	})
	t.Run("maas-70 nor at the gateway", func(t *testing.T) { answers(t, w.ask(t, "GET", "/v1/models", "", ""), 401, `^$`) })
	t.Run("registry", func(t *testing.T) { w.registry(t, login, free) })

	w.service(t, "granite", `annotations: {openshift.io/display-name: Granite, opendatahub.io/genai-use-case: chat, openshift.io/description: "3 B"}`,
		gateway, at(w.URL("/llm/granite")))
	w.service(t, "open", ``, gateway, at(w.URL("/llm/open")))
	t.Run("maas-77 maas-78 maas-80 maas-81 each tier has what its tokens may post to", func(t *testing.T) {
		w.lists(t, premium, "/llm/granite", "/llm/open")
		w.lists(t, free, "/llm/open")
		local, external := w.list(t, premium)
		m := local[0]
		if m.ID != "granite" || m.OwnedBy != "vllm" || !m.Ready || fmt.Sprint(m.Aliases) != "[granite-3]" || m.Created == 0 ||
			m.Details["displayName"] != "Granite" || m.Details["genaiUseCase"] != "chat" || m.Details["description"] != "3 B" || local[1].Details != nil {
			t.Errorf("%+v", local)
		}
		t.Run("maas-83 external ones last", func(t *testing.T) {
			if len(external) != 2 || external[0].ID != "gpt-4-external" || external[1].ID != "claude-3-sonnet-external" {
				t.Errorf("%+v", external)
			}
		})
	})
	t.Run("maas-71 a cluster token gets the same list", func(t *testing.T) {
		w.lists(t, w.login(t, "premium"), "/llm/granite", "/llm/open")
	})
	t.Run("maas-79 conditions and generation", func(t *testing.T) {
		is := func(want bool) {
			t.Helper()
			w.Eventually(t, quick, fmt.Sprint("ready: ", want), func() error {
				if local, _ := w.list(t, free); len(local) != 1 || local[0].Ready != want {
					return fmt.Errorf("%+v", local)
				}
				return nil
			})
		}
		w.status(t, "open", strings.Replace(at(w.URL("/llm/open")), `"True"`, `"False"`, 1))
		is(false)
		w.status(t, "open", at(w.URL("/llm/open")))
		is(true)
		o := w.Object(t, "llminferenceservices", "llm", "open")
		if err := w.Client().Patch(t.Context(), o, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":2}}`))); err != nil {
			t.Fatal(err)
		}
		is(false)
		w.status(t, "open", `{"observedGeneration":2}`)
		is(true)
	})
	t.Run("maas-78 what a probe meets", func(t *testing.T) {
		w.service(t, "odd-405", ``, gateway, at(w.URL("/llm/odd/405")))
		w.service(t, "odd-404", ``, gateway, at(w.URL("/llm/odd/404")))
		w.service(t, "odd-500", ``, gateway, at(w.URL("/llm/odd/500")))
		w.lists(t, free, "/llm/odd/405", "/llm/open")
		if local, _ := w.list(t, free); local[0].ID != "spec-name" {
			t.Errorf("%+v", local)
		}
		w.drop(t, "odd-405", "odd-404", "odd-500")
	})
	t.Run("maas-82 addresses in their order, and the next on failure", func(t *testing.T) {
		inside := "http://granite.llm.svc.cluster.local:8000"
		w.status(t, "open", ready(`{"name":"internal","url":"`+inside+`"}`, `{"name":"gateway-external","url":"`+w.URL("/llm/open")+`"}`))
		w.lists(t, free, "/llm/open")
		w.status(t, "open", ready(`{"name":"internal","url":"`+inside+`"}`, `{"name":"gateway-external","url":"`+w.URL("/llm/granite")+`"}`))
		w.lists(t, free, inside)
		w.status(t, "open", `{"addresses":null,"url":"`+inside+`/"}`)
		w.lists(t, free, inside+"/")
		w.drop(t, "open")
	})
	t.Run("maas-77 ways to be attached", w.attached)
	t.Run("maas-77 gone from the cluster, gone from the list", func(t *testing.T) {
		w.drop(t, "granite")
		w.lists(t, premium)
	})
}

// attached is each way for a model to hang on the gateway, and one that does not.
func (w *walk) attached(t *testing.T) {
	free, _ := w.somebody(t, "free")
	route := func(name, labels string) string {
		return `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: ` + name + `, namespace: llm, labels: {` + labels + `}}
spec:
  parentRefs: [{name: maas-default-gateway, namespace: openshift-ingress}]
  rules: [{matches: [{path: {value: /llm/` + name + `}}]}]`
	}
	managed := `app.kubernetes.io/component: llminferenceservice-router, app.kubernetes.io/name: d-managed, app.kubernetes.io/part-of: llminferenceservice`
	w.Put(t, "llm", route("referred", "")+"\n---"+route("managed", managed))
	defer w.Delete(t, "httproutes", "llm", "referred")
	defer w.Delete(t, "httproutes", "llm", "managed")
	names := []string{"a-direct", "b-inline", "c-referred", "d-managed", "e-elsewhere", "f-none"}
	for i, router := range []string{
		gateway,
		`{route: {http: {spec: {parentRefs: [{name: maas-default-gateway, namespace: openshift-ingress}]}}}}`,
		`{route: {http: {refs: [{name: referred}]}}}`,
		`{route: {http: {}}}`,
		`{gateway: {refs: [{name: maas-default-gateway}]}, route: {http: {refs: [{name: missing}]}}}`,
		`null`,
	} {
		w.service(t, names[i], fmt.Sprintf(`annotations: {openshift.io/display-name: "%d"}`, i), router, at("http://granite.llm.svc.cluster.local:8000"))
	}
	defer w.drop(t, names...)
	w.Eventually(t, 2*quick, "four are listed", func() error {
		local, _ := w.list(t, free)
		got := ""
		for _, m := range local {
			got += m.Details["displayName"]
		}
		return is(got, "0123")
	})
}

// registry is maas 72 to 76: edits of the ConfigMap, and the next answers.
func (w *walk) registry(t *testing.T, login, token string) {
	original := w.Kubectl(t, "get", "configmap", "external-model-registry", "-n", "opendatahub", "-o", `jsonpath={.data.models}`)
	list := func(path, token string) cluster.Answer { return w.ask(t, "GET", path, token, "") }
	becomes := func(t *testing.T, want string) {
		t.Helper()
		w.Eventually(t, quick, "the next list knows", func() error {
			if a := list("/v1/models", token); a.Status != 200 || !matches(want, a.Body) {
				return fmt.Errorf("%d %s, want %s", a.Status, a.Body, want)
			}
			return nil
		})
	}
	t.Run("maas-71 maas-72 either token, either path", func(t *testing.T) {
		var first []byte
		for _, a := range []cluster.Answer{
			list("/v1/models", token), list("/v1/models", login), list("/maas-api/v1/models", token), list("/maas-api/v1/models", login),
		} {
			var got struct{ Data []model }
			w.reads(t, a, 200, &got)
			for i := range got.Data {
				if d := time.Since(time.Unix(got.Data[i].Created, 0)); d.Abs() > 10*time.Second {
					t.Errorf("created %s ago", d)
				}
				got.Data[i].Created = 0
			}
			text, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = text
			}
			if string(text) != string(first) {
				t.Errorf("%s\nis not\n%s", text, first)
			}
		}
	})
	t.Run("maas-75 maas-76 an edit, with keys that mean nothing", func(t *testing.T) {
		w.config(t, "external-model-registry", "models", "- {id: another, provider: p, backend: b, price: 3}\n- {id: second, provider: q}")
		becomes(t, `^\{"data":\[\{"id":"another","created":\d+,"object":"model","owned_by":"p","ready":true\},\{"id":"second",.*\],"object":"list"\}$`)
	})
	t.Run("maas-74 broken YAML", func(t *testing.T) {
		w.config(t, "external-model-registry", "models", "- {id: [")
		becomes(t, `^\{"data":null,"object":"list"\}$`)
		log := w.Kubectl(t, "logs", "-n", "opendatahub", "deployment/maas-api")
		if n := len(regexp.MustCompile(`(?m)^\{.*"level":"error".*external models are left out.*$`).FindAllString(log, -1)); n != 1 {
			t.Errorf("%d errors in the log, want one", n)
		}
	})
	t.Run("maas-73 no registry", func(t *testing.T) {
		w.Delete(t, "configmaps", "opendatahub", "external-model-registry")
		becomes(t, `^\{"data":null,"object":"list"\}$`)
	})
	w.config(t, "external-model-registry", "models", original)
	becomes(t, `^\{"data":\[\{"id":"gpt-4-external"`)
}
