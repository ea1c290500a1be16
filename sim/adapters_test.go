package sim

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestModels(t *testing.T) {
	t.Run("maas-122 health and readiness", func(t *testing.T) {
		for _, path := range []string{"/health", "/ready"} {
			w := do(start(t), "GET", path, "")
			if w.Code != 200 || w.Body.String() != "{}" || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("%s: %d %s %v", path, w.Code, w.Body, w.Header())
			}
		}
	})
	t.Run("maas-123 one model of vllm without a parent", func(t *testing.T) {
		shape := regexp.MustCompile(`^\{"object":"list","data":\[\{"id":"m","object":"model","created":\d+,"owned_by":"vllm","root":"m","parent":null\}\]\}$`)
		if w := do(start(t), "GET", "/v1/models", ""); !shape.MatchString(w.Body.String()) {
			t.Errorf("got %s", w.Body)
		}
	})
	t.Run("maas-135 a loaded adapter is a model, an unloaded one is not", func(t *testing.T) {
		h := start(t, "--served-model-name", "public", "alias", "--mode", "echo")
		body := `{"model":"tuned","messages":[{"role":"user","content":"Hello"}]}`
		ids := func() (all []string) {
			for _, c := range read[cards](t, do(h, "GET", "/v1/models", "").Body.String()).Data {
				parent := ""
				if c.Parent != nil {
					parent = "<" + *c.Parent
				}
				all = append(all, c.ID+parent)
			}
			return all
		}
		for range 2 { // loading again is fine
			if w := do(h, "POST", "/v1/load_lora_adapter", `{"lora_name":"tuned","lora_path":"/x"}`); w.Code != 200 || w.Body.Len() > 0 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
		if diff := cmp.Diff([]string{"public", "alias", "tuned<public"}, ids()); diff != "" {
			t.Error(diff)
		}
		if got := ask(t, h, chatPath, body); got.Model != "tuned" {
			t.Errorf("answered by %s", got.Model)
		}
		if got := ask(t, h, chatPath, `{"model":"alias","messages":[]}`); got.Model != "public" {
			t.Errorf("answered by %s", got.Model)
		}
		for range 2 { // so is unloading what is not there
			if w := do(h, "POST", "/v1/unload_lora_adapter", `{"lora_name":"tuned"}`); w.Code != 200 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
		if w := do(h, "POST", chatPath, body); w.Code != http.StatusNotFound {
			t.Errorf("unloaded: %d", w.Code)
		}
	})
	t.Run("pod headers", func(t *testing.T) {
		t.Setenv("POD_NAME", "pod-1")
		t.Setenv("POD_NAMESPACE", "ns-1")
		got := do(start(t), "POST", chatPath, hello).Header()
		if got.Get("x-inference-pod") != "pod-1" || got.Get("x-inference-port") != "8000" || got.Get("x-inference-namespace") != "ns-1" {
			t.Errorf("got %v", got)
		}
	})
}
