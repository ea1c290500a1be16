package process

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/lab/child"
)

// with makes manifests to be served: those of the MaaS gateway and the egress
// gateway, and an example's.
func with(t *testing.T, example string) string {
	t.Helper()
	dir := child.Manifests(t)
	if err := os.RemoveAll(filepath.Join(dir, "openshift")); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../examples/" + example + "/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("example %s: %d files, %v", example, len(files), err)
	}
	for _, file := range files {
		child.Write(t, filepath.Join(dir, filepath.Base(file)), read(t, file))
	}
	return dir
}

// send asks a gateway with further fields, "Name: value".
func send(t *testing.T, g *child.Gateway, method, url, token, body string, fields ...string) (int, string) {
	t.Helper()
	if strings.HasPrefix(url, "/") {
		url = g.URL + url
	}
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		fields = append(fields, "Authorization: Bearer "+token)
	}
	if body != "" {
		fields = append(fields, "Content-Type: application/json")
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if req.Header.Set(name, value); name == "Host" {
			req.Host = value
		}
	}
	res, err := g.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	said, err := readAll(res)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, said
}

// to is a chat with a model.
func to(model string) string {
	return `{"messages":[{"role":"user","content":"\"model\": \"no\""}],"model":"` + model + `"}`
}

// offers are the models of the providers in the examples.
var offers = []struct{ provider, model, header, key string }{
	{"openai", "gpt-4", "X-Provider-Api-Key", "sk-openai-key-for-demo"},
	{"anthropic", "claude-3-sonnet", "X-Provider-Api-Key", "sk-ant-claude-key-for-demo"},
	{"vllm", "Qwen/Qwen3-0.6B", "Authorization", "Bearer change-me-super-secret"},
}

// listed asks for the models and tells whose they are.
func listed(t *testing.T, g *child.Gateway, token string) (out []string) {
	t.Helper()
	var list struct {
		Data []struct {
			ID, Object string
			Owner      string `json:"owned_by"`
			Ready      bool
		}
	}
	g.Call(t, http.MethodGet, "/v1/models", token, "").JSON(t, &list)
	for _, m := range list.Data {
		if m.Ready {
			out = append(out, m.Owner+" "+m.ID)
		}
	}
	return out
}

var owned = []string{"openai gpt-4", "anthropic claude-3-sonnet", "vllm Qwen/Qwen3-0.6B"}

func TestMixedProviders(t *testing.T) {
	users := newPeople(t)
	pia, ann := users.add(t, "pia", "premium-group"), users.add(t, "ann")
	g := child.Quickstart(t, "--manifests", with(t, "mixed-providers"), "--users", string(users))
	token := g.Mint(t, pia)
	t.Run("gateway-142 gateway-143 the models of all providers are listed", func(t *testing.T) {
		if diff := cmp.Diff(owned, listed(t, g, token)); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
	for _, o := range offers {
		path := "/external/" + o.provider + "/v1/chat/completions"
		t.Run("gateway-143 a chat with "+o.provider, func(t *testing.T) {
			if status, said := send(t, g, http.MethodPost, path, token, to(o.model)); status != http.StatusOK || !strings.Contains(said, `"model":"`+o.model+`"`) {
				t.Errorf("%d %s", status, said)
			}
			if status, _ := send(t, g, http.MethodGet, "/external/"+o.provider+"/v1/models", "", ""); status != http.StatusUnauthorized {
				t.Errorf("without a token: %d, want 401", status)
			}
		})
		t.Run("gateway-144 the key of "+o.provider+" goes there, and no token", func(t *testing.T) {
			status, seen := send(t, g, http.MethodPost, path, token, to(o.model), "X-Sim-Echo: headers", o.header+": mine")
			if status != http.StatusOK || !strings.Contains(seen, `"`+o.header+`":["`+o.key+`"]`) || strings.Contains(seen, token) {
				t.Errorf("%d %s, want the key %s and not the caller's token", status, seen, o.key)
			}
			if !strings.Contains(seen, `"path":"/v1/chat/completions"`) {
				t.Errorf("the provider sees %s, want /v1/chat/completions", seen)
			}
			for _, other := range offers {
				if other.key != o.key && strings.Contains(seen, other.key) {
					t.Errorf("the key of %s went to %s", other.provider, o.provider)
				}
			}
		})
	}
	t.Run("gateway-143 a hundred tokens a minute are 200s, then 429s", func(t *testing.T) {
		codes := loop(t, g, "/external/openai/v1/chat/completions", g.Mint(t, ann), "gpt-4", 40)
		if codes[0] != http.StatusOK || codes[len(codes)-1] != http.StatusTooManyRequests || !turns(codes) {
			t.Errorf("got %v", codes)
		}
	})
}

// loop asks a model n times and returns the statuses.
func loop(t *testing.T, g *child.Gateway, path, token, model string, n int) []int {
	t.Helper()
	return repeat(t, g, path, token, to(model), n)
}

// repeat posts one body n times and returns the statuses.
func repeat(t *testing.T, g *child.Gateway, path, token, body string, n int) (codes []int) {
	t.Helper()
	for range n {
		status, _ := send(t, g, http.MethodPost, path, token, body)
		codes = append(codes, status)
	}
	return codes
}

// turns reports whether statuses are 200 and then 429.
func turns(codes []int) bool {
	for i := 1; i < len(codes); i++ {
		if codes[i] < codes[i-1] || codes[i] != http.StatusOK && codes[i] != http.StatusTooManyRequests {
			return false
		}
	}
	return true
}

func TestUnifiedPath(t *testing.T) {
	const path = "/v1/chat/completions"
	users := newPeople(t)
	pia := users.add(t, "pia", "premium-group")
	pat := users.add(t, "pat", "premium-group")
	g := child.Quickstart(t, "--manifests", with(t, "unified-path"), "--users", string(users))
	token := g.Mint(t, pia)
	t.Run("gateway-145 the models are listed", func(t *testing.T) {
		if diff := cmp.Diff(owned, listed(t, g, token)); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
	t.Run("gateway-128 gateway-145 what names no model is refused, word for word", func(t *testing.T) {
		f := func(method, body, want string) {
			t.Helper()
			if status, said := send(t, g, method, path, token, body, "X-Target-Provider: openai"); status != http.StatusBadRequest || said != want {
				t.Errorf("%s %s: %d %s, want 400 %s", method, body, status, said, want)
			}
		}
		f(http.MethodPost, "", `{"error":"missing request body"}`)
		f(http.MethodGet, "", `{"error":"missing request body"}`)
		f(http.MethodPost, `{"messages":[{"model":"gpt-4"}]}`, `{"error":"missing model in request body"}`)
		f(http.MethodPost, to("gpt-5"), `{"error":"unsupported model: gpt-5"}`)
	})
	for _, o := range offers {
		t.Run("gateway-125 gateway-145 one URL leads to "+o.provider+", with its key and not the caller's", func(t *testing.T) {
			status, seen := send(t, g, http.MethodPost, path, g.Mint(t, pat), to(o.model), "X-Sim-Echo: headers", "X-Target-Provider: openai", "X-Provider-Api-Key: mine")
			for _, want := range []string{`"X-Target-Provider":["` + o.provider + `"]`, `"X-Provider-Api-Key":["` + strings.TrimPrefix(o.key, "Bearer ") + `"]`} {
				if status != http.StatusOK || !strings.Contains(seen, want) || strings.Contains(seen, `"Authorization"`) {
					t.Errorf("%d %s, want %s", status, seen, want)
				}
			}
		})
		t.Run("gateway-146 sixteen calls with "+o.model+" are five, then 429s", func(t *testing.T) {
			codes := loop(t, g, path, token, o.model, 16)
			if !turns(codes) || codes[4] != http.StatusOK || codes[5] != http.StatusTooManyRequests {
				t.Errorf("got %v", codes)
			}
		})
	}
}

// TestRegistry: what the list of models promises is kept once there is
// somebody to keep it.
func TestRegistry(t *testing.T) {
	dir := child.Fixed(t)
	g := child.Quickstart(t, "--manifests", dir)
	token := g.Mint(t, g.UserToken)
	const model, body = "claude-3-sonnet-external", `{"model":"claude-3-sonnet-external","messages":[{"role":"user","content":"Hello"}]}`
	t.Run("maas-138 a model of the registry without a backend gets the simulator's 404", func(t *testing.T) {
		if status, said := send(t, g, http.MethodPost, chat, token, body); status != http.StatusNotFound {
			t.Errorf("%d %s, want 404", status, said)
		}
	})
	t.Run("maas-138 once its backend exists, it answers", func(t *testing.T) {
		sims := strings.NewReplacer("name: anthropic-simulator", "name: claude", "app: anthropic-simulator", "app: claude", "claude-3-sonnet", model).
			Replace(read(t, "../../examples/mixed-providers/simulators.yaml"))
		_, sims, _ = strings.Cut(sims, "---\n") // the namespace is there
		child.Write(t, filepath.Join(dir, "providers.yaml"), sims+`---
apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0
kind: XBackendDestination
metadata: {name: anthropic-backend, namespace: default}
spec:
  destination: {type: Fqdn, fqdn: {hostname: claude.external-models.svc.cluster.local}, ports: [{number: 8000, protocol: HTTP}]}
`)
		child.Until(t, "the provider is asked, with no key of anybody", func() bool {
			status, said := send(t, g, http.MethodPost, chat, token, body, "X-Sim-Echo: headers", "X-Provider-Api-Key: sk-openai")
			return status == http.StatusOK && strings.Contains(said, `"path":"/v1/chat/completions"`) && !strings.Contains(said, "sk-openai") && !strings.Contains(said, token)
		})
		if status, said := send(t, g, http.MethodPost, chat, token, body); status != http.StatusUnauthorized || !strings.Contains(said, "missing_api_key") {
			t.Errorf("%d %s, want the provider's own 401: its key is for its backend to bring", status, said)
		}
		if status, said := send(t, g, http.MethodPost, chat, token, ask("Hello")); status != http.StatusOK && status != http.StatusTooManyRequests {
			t.Errorf("the model beside it: %d %s", status, said)
		}
	})
}
