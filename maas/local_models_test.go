package maas_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	kserve "github.com/egret-gateway/egret/api/kserve/v1alpha1"
	api "github.com/egret-gateway/egret/api/maas"
	"github.com/egret-gateway/egret/maas"
	"github.com/egret-gateway/egret/source"
)

// probed is a MaaS token as far as the model list looks.
var probed = "h." + base64.RawURLEncoding.EncodeToString([]byte(`{"aud":["maas-default-gateway-sa"]}`)) + ".s"

// cluster plays the models: it answers "METHOD URL" and counts.
type cluster struct {
	mu      sync.Mutex
	answers map[string]func() (code int, body string)
	asked   map[string]int
	now     int // probes under way
	most    int
	hold    time.Duration
}

func (c *cluster) RoundTrip(r *http.Request) (*http.Response, error) {
	url := r.URL.String()
	if r.Method != http.MethodGet || r.Header.Get("Authorization") != "Bearer "+probed {
		return nil, fmt.Errorf("unexpected probe %s %s", r.Method, url)
	}
	c.mu.Lock()
	c.asked[url]++
	c.now++
	c.most = max(c.most, c.now)
	answer := c.answers[url]
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.now--
		c.mu.Unlock()
	}()
	if c.hold > 0 {
		select {
		case <-time.After(c.hold):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	if answer == nil {
		return nil, fmt.Errorf("no route to %s", url)
	}
	code, body := answer()
	return &http.Response{
		StatusCode: code, Header: http.Header{"Location": {"http://elsewhere.example/"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}

func says(code int, body string) func() (int, string) {
	return func() (int, string) { return code, body }
}

func serves(id string) func() (int, string) { return says(200, `{"data":[{"id":"`+id+`"}]}`) }

// listLocal lists what the models in the YAML documents come to.
func listLocal(t *testing.T, c *cluster, services []string, routes ...string) []api.Model {
	t.Helper()
	c.asked = map[string]int{}
	var snap source.Snapshot
	for _, text := range services {
		svc := new(kserve.LLMInferenceService)
		if err := yaml.UnmarshalStrict([]byte(text), svc); err != nil {
			t.Fatal(err)
		}
		snap.LLMInferenceServices = append(snap.LLMInferenceServices, svc)
	}
	for _, text := range routes {
		route := new(gwv1.HTTPRoute)
		if err := yaml.UnmarshalStrict([]byte(text), route); err != nil {
			t.Fatal(err)
		}
		snap.HTTPRoutes = append(snap.HTTPRoutes, route)
	}
	s := &maas.Server{
		Config: maas.DefaultConfig(), Prober: maas.Prober{Transport: c},
		Log: slog.New(slog.DiscardHandler), Audit: slog.New(slog.DiscardHandler),
	}
	s.Load(&snap)
	req := httptest.NewRequestWithContext(t.Context(), "GET", "/v1/models", nil)
	req.Header = http.Header{
		"X-Maas-Username": {"a"}, "X-Maas-Group": {`["g"]`}, "Authorization": {"Bearer " + probed},
	}
	rec := httptest.NewRecorder()
	s.Handler().ServeHTTP(rec, req)
	var list api.Models
	answer{code: rec.Code, body: rec.Body.String()}.into(t, &list)
	if rec.Code != http.StatusOK {
		t.Fatalf("models: %d %s", rec.Code, rec.Body)
	}
	return list.Data
}

// service is a model on our Gateway; more is added to it, and meta to its metadata.
func service(name, more string, meta ...string) string {
	return `
metadata: {namespace: llm, name: ` + name + `, creationTimestamp: "2026-01-01T00:00:00Z"` + strings.Join(meta, "") + `}
spec: {model: {name: spec-name}, router: {gateway: {refs: [{name: maas-default-gateway, namespace: openshift-ingress}]}}}
` + more
}

const readyStatus = `{url: "http://m", conditions: [{type: Ready, status: "True"}]}`

func TestAttachment(t *testing.T) {
	c := &cluster{answers: map[string]func() (int, string){"http://m/v1/models": serves("m")}}
	f := func(name string, want bool, router string, routes ...string) {
		t.Run(name, func(t *testing.T) {
			svc := "metadata: {namespace: llm, name: svc}\nspec: {router: " + router + "}\nstatus: " + readyStatus
			if got := listLocal(t, c, []string{svc}, routes...); (len(got) == 1) != want {
				t.Errorf("listed %v, want %v", got, want)
			}
		})
	}
	const (
		parent = "parentRefs: [{name: maas-default-gateway, namespace: openshift-ingress}]"
		route  = "metadata: {namespace: llm, name: r}\nspec: {" + parent + "}"
		labels = "app.kubernetes.io/component: llminferenceservice-router, app.kubernetes.io/name: svc, app.kubernetes.io/part-of: llminferenceservice"
	)
	made := "metadata: {namespace: llm, name: svc-route, labels: {" + labels + "}}\nspec: {" + parent + "}"
	f("maas-77 no router", false, "null")
	f("maas-77 an empty router", false, "{}")
	f("maas-77 another Gateway", false, "{gateway: {refs: [{name: other, namespace: openshift-ingress}]}}")
	f("maas-77 the Gateway of that name in its own namespace", false, "{gateway: {refs: [{name: maas-default-gateway}]}}")
	f("maas-77 names the Gateway", true, "{gateway: {refs: [{name: other}, {name: maas-default-gateway, namespace: openshift-ingress}]}}")
	f("maas-77 an inline route", true, "{route: {http: {spec: {"+parent+"}}}}")
	f("maas-77 an inline route elsewhere", false, "{route: {http: {spec: {parentRefs: [{name: other}]}}}}", made)
	f("maas-77 refers to a route", true, "{route: {http: {refs: [{name: r}]}}}", route)
	f("maas-77 refers to a route that is not there", false, "{route: {http: {refs: [{name: x}]}}}", route, made)
	f("maas-77 refers to a route of another namespace", false, "{route: {http: {refs: [{name: r}]}}}", strings.Replace(route, "llm", "other", 1))
	f("maas-77 KServe's own route", true, "{route: {http: {}}}", made)
	f("maas-77 KServe's route of another model", false, "{route: {http: {}}}", strings.Replace(made, "name: svc,", "name: other,", 1))
	f("maas-77 no HTTP part and so no route of KServe", false, "{route: {}}", made)
}

func TestProbe(t *testing.T) {
	f := func(name string, answer func() (int, string), tries int, want ...string) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &cluster{answers: map[string]func() (int, string){"http://m/v1/models": answer}}
				var got []string
				for _, m := range listLocal(t, c, []string{service("svc", "status: "+readyStatus)}) {
					got = append(got, m.ID)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("listed (-want +got):\n%s", diff)
				}
				if n := c.asked["http://m/v1/models"]; n != tries {
					t.Errorf("asked %d times, want %d", n, tries)
				}
			})
		})
	}
	f("a model that says yes", serves("m"), 1, "m")
	f("maas-78 403 is not listed", says(403, ""), 1)
	f("maas-78 401 is not listed", says(401, ""), 1)
	f("maas-78 404 is not listed", says(404, ""), 1)
	f("maas-78 405 is listed by its spec", says(405, ""), 1, "spec-name")
	f("maas-78 500 four times is not listed", says(500, ""), 4)
	f("a redirect is not followed", says(302, ""), 4)
	f("an answer that is no list", says(200, "<html>"), 4)
	f("no answer", nil, 4)
	f("an empty list", says(200, `{"data":[]}`), 1)
	f("no list", says(200, `{}`), 1)
	f("a list that is too large", says(200, strings.Repeat(" ", 4<<20)+`{"data":[{"id":"m"}]}`), 4)
	calls := 0
	f("maas-78 the fourth try counts", func() (int, string) {
		if calls++; calls < 4 {
			return 503, ""
		}
		return 200, `{"data":[{"id":"m"}]}`
	}, 4, "m")
}

func TestProbeWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{answers: map[string]func() (int, string){"http://m/v1/models": says(500, "")}}
		began := time.Now()
		listLocal(t, c, []string{service("svc", "status: "+readyStatus)})
		if d := time.Since(began); d < 700*time.Millisecond || d > 770*time.Millisecond {
			t.Errorf("four tries took %v, want 100, 200 and 400 ms between them and a tenth more at most", d)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{hold: time.Hour}
		began := time.Now()
		var svc []string
		for i := range 12 {
			svc = append(svc, service(fmt.Sprint("svc", i), `status: {url: "http://m`+fmt.Sprint(i)+`"}`))
		}
		if got := listLocal(t, c, svc); len(got) > 0 {
			t.Errorf("listed %v", got)
		}
		if d := time.Since(began); d > 25*time.Second {
			t.Errorf("models that never answer held the list up for %v, want 25 s at most", d)
		}
		if c.most != 10 {
			t.Errorf("%d probes at once, want 10", c.most)
		}
	})
}

func TestModelEntry(t *testing.T) {
	f := func(name, more, answer string, want api.Model, meta ...string) {
		t.Run(name, func(t *testing.T) {
			c := &cluster{answers: map[string]func() (int, string){"http://m/v1/models": says(200, answer)}}
			got := listLocal(t, c, []string{service("svc", more, meta...)})
			if diff := cmp.Diff([]api.Model{want}, got); diff != "" {
				t.Errorf("models (-want +got):\n%s", diff)
			}
		})
	}
	const made = 1767225600 // 2026-01-01
	plain := api.Model{ID: "m", Created: made, Object: "model", OwnedBy: "llm", URL: "http://m"}
	one := `{"data":[{"id":"m"}]}`
	with := func(change func(*api.Model)) api.Model { m := plain; change(&m); return m }
	isReady := with(func(m *api.Model) { m.Ready = true })

	f("owner and time of the model itself", `status: {url: "http://m"}`, `{"data":[{"id":"m","created":7,"owned_by":"vllm"}]}`,
		with(func(m *api.Model) { m.Created, m.OwnedBy = 7, "vllm" }))
	f("all conditions are good", "status: "+readyStatus, one, isReady)
	f("maas-79 no condition", `status: {url: "http://m"}`, one, plain)
	f("maas-79 a condition is False", `status: {url: "http://m", conditions: [{type: A, status: "True"}, {type: B, status: "False"}]}`, one, plain)
	f("maas-79 a stale generation", `status: {url: "http://m", observedGeneration: 1, conditions: [{type: A, status: "True"}]}`,
		one, plain, ", generation: 2")
	f("maas-79 it is being deleted", "status: "+readyStatus, one, plain, `, deletionTimestamp: "2026-02-01T00:00:00Z"`)
	f("maas-80 further names are aliases", "status: "+readyStatus, `{"data":[{"id":"m"},{"id":"b"},{"id":"c"}]}`,
		with(func(m *api.Model) { m.Ready, m.Aliases = true, []string{"b", "c"} }))
	f("maas-81 annotations", `status: {url: "http://m"}`, one,
		with(func(m *api.Model) {
			m.Details = &api.ModelDetails{GenAIUseCase: "chat", Description: "d", DisplayName: "nice"}
		}),
		`, annotations: {opendatahub.io/genai-use-case: chat, openshift.io/description: d, openshift.io/display-name: nice}`)
}

func TestAddresses(t *testing.T) {
	const status = `
status:
  url: http://url
  addresses:
  - {name: other, url: http://other}
  - {name: gateway-INTERNAL, url: http://internal}
  - {url: http://nameless}
  - {name: gateway-External, url: http://external/llm/svc/}`
	f := func(name, more, want string, down ...string) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &cluster{answers: map[string]func() (int, string){}}
				for _, a := range []string{"external/llm/svc", "internal", "other", "nameless", "url", "address"} {
					c.answers["http://"+a+"/v1/models"] = serves("m")
				}
				for _, a := range down {
					c.answers["http://"+a+"/v1/models"] = says(403, "")
				}
				got := listLocal(t, c, []string{service("svc", more)})
				if want == "" && len(got) == 0 {
					return
				}
				if len(got) != 1 || got[0].URL != want {
					t.Errorf("models %+v, want one at %s", got, want)
				}
			})
		})
	}
	f("maas-82 an external address first", status, "http://external/llm/svc/")
	f("maas-82 then an internal one", status, "http://internal", "external/llm/svc")
	f("maas-82 then others in their order", status, "http://other", "external/llm/svc", "internal")
	f("maas-82 last the URL", status, "http://url", "external/llm/svc", "internal", "other", "nameless")
	f("maas-82 none", status, "", "external/llm/svc", "internal", "other", "nameless", "url")
	f("the one address", `status: {address: {url: "http://address"}, url: "http://url"}`, "http://address")
	f("no status", "", "")
	f("neither http nor https", `status: {url: "file:///etc"}`, "")
}

func TestLocalModelsComeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{hold: time.Millisecond, answers: map[string]func() (int, string){
			"http://a/v1/models": func() (int, string) { <-time.After(time.Second); return 200, `{"data":[{"id":"a"}]}` },
			"http://b/v1/models": serves("b"),
		}}
		got := listLocal(t, c, []string{
			service("one", `status: {url: "http://a"}`), service("two", `status: {url: "http://b"}`),
		})
		if len(got) != 2 || got[0].ID != "a" || got[1].ID != "b" {
			t.Errorf("models %+v, want a and b in the order of their resources", got)
		}
	})
	t.Run("maas-83 local models precede external ones", func(t *testing.T) {
		w := newWorld(t)
		w.server.Prober.Transport = alwaysOne{}
		svc := new(kserve.LLMInferenceService)
		w.must(yaml.UnmarshalStrict([]byte(service("svc", "status: "+readyStatus)), svc))
		w.snap.LLMInferenceServices = []*kserve.LLMInferenceService{svc}
		w.server.Load(&w.snap)
		var ids []string
		for _, m := range w.list(w.mint(alice).Token).Data {
			ids = append(ids, m.ID)
		}
		if diff := cmp.Diff([]string{"local", "gpt-4-external", "claude-3-sonnet-external"}, ids); diff != "" {
			t.Errorf("models (-want +got):\n%s", diff)
		}
	})
}

// alwaysOne is a model that lets every token in except the cluster's own credential.
type alwaysOne struct{}

func (alwaysOne) RoundTrip(r *http.Request) (*http.Response, error) {
	code := http.StatusOK
	if strings.Contains(r.Header.Get("Authorization"), "sha256~") {
		code = http.StatusTeapot
	}
	return &http.Response{StatusCode: code, Body: io.NopCloser(strings.NewReader(`{"data":[{"id":"local"}]}`))}, nil
}
