package process

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/lab/child"
	"github.com/egret-gateway/egret/lab/fake"
)

// outsideWorld are the vendors, trusted by processes that the test starts, and
// the flags that lead their names there.
func outsideWorld(t *testing.T) (w *fake.World, flags []string) {
	t.Helper()
	w = fake.New(t)
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, w.CA.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", ca)
	for _, v := range []*fake.Vendor{w.OpenAI, w.Anthropic, w.Azure, w.Gemini} {
		flags = append(flags, "--resolve", v.Hosts[0]+":443:"+w.Addr)
	}
	return w, flags
}

// asked is how many requests the vendors have seen.
func asked(w *fake.World) (n int) {
	for _, v := range w.Vendors() {
		n += len(v.Journal())
	}
	return n
}

// simulated are the models that the quickstart lists without any key.
var simulated = []string{"openai gpt-4-external", "anthropic claude-3-sonnet-external"}

func TestProviderKeys(t *testing.T) {
	w, flags := outsideWorld(t)
	for name, value := range map[string]string{
		"OPENAI_API_KEY": w.OpenAI.Key, "EGRET_OPENAI_MODELS": "gpt-4o-mini,gpt-4o",
		"ANTHROPIC_API_KEY":      w.Anthropic.Key + "\n", // as of a file
		"EGRET_ANTHROPIC_MODELS": "claude-haiku-4-5",
		"AZURE_OPENAI_API_KEY":   w.Azure.Key, "AZURE_OPENAI_ENDPOINT": w.Azure.URL() + "/", "EGRET_AZURE_OPENAI_MODELS": "gpt-4o",
		"MISTRAL_API_KEY": "mistral key with spaces",
	} {
		t.Setenv(name, value)
	}
	users, data := newPeople(t), filepath.Join(t.TempDir(), "data")
	pia, ann := users.add(t, "pia", "premium-group"), users.add(t, "ann")
	access := filepath.Join(t.TempDir(), "access.json")
	g := child.Quickstart(t, append(flags, "--users", string(users), "--data", data, "--access-log", access, "--verbose")...)
	token := g.Mint(t, pia)

	t.Run("the models are listed beside the others", func(t *testing.T) {
		want := append(slices.Clone(simulated), "openai gpt-4o-mini", "openai gpt-4o", "anthropic claude-haiku-4-5", "azure gpt-4o")
		if diff := cmp.Diff(want, listed(t, g, token)); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
	t.Run("it says what is offered, by which key, and what is not", func(t *testing.T) {
		for _, want := range []string{
			"OpenAI (OPENAI_API_KEY): gpt-4o-mini, gpt-4o\n", "OPENAI_BASE_URL=https://$HOST/openai/v1 ", "ANTHROPIC_BASE_URL=https://$HOST/anthropic ",
			"Nothing is sent to them until somebody calls", "MISTRAL_API_KEY is in the environment and not offered: ",
		} {
			if !strings.Contains(g.Stdout.String(), want) {
				t.Errorf("it does not say %q:\n%s", want, g.Stdout.String())
			}
		}
	})
	t.Run("nothing is sent before somebody calls", func(t *testing.T) {
		f := func(method, path, token, body string, want int) {
			t.Helper()
			if status, said := send(t, g, method, path, token, body); status != want {
				t.Errorf("%s %s: %d %s, want %d", method, path, status, said, want)
			}
		}
		f(http.MethodPost, "/openai/v1/chat/completions", "", to("gpt-4o-mini"), http.StatusUnauthorized)
		f(http.MethodPost, "/openai/v1/chat/completions", pia, to("gpt-4o-mini"), http.StatusUnauthorized)
		f(http.MethodPost, "/openai/v1/chat/completions", token, to("gpt-4.1"), http.StatusBadRequest) // not in the list
		f(http.MethodPost, "/v1/chat/completions", token, to("claude-haiku-4-5"), http.StatusBadRequest)
		for _, path := range []string{"/openai/v1/files", "/openai/v1/embeddings", "/openai/v1/chat/completions/", "/anthropic/v1/models"} {
			if status, said := send(t, g, http.MethodPost, path, token, to("gpt-4o-mini")); status < 400 {
				t.Errorf("%s: %d %s, want a refusal: what cannot be metered is not offered", path, status, said)
			}
		}
		if status, _ := send(t, g, http.MethodGet, "/openai/v1/chat/completions", token, ""); status < 400 {
			t.Errorf("GET of stored completions: %d", status)
		}
		if n := asked(w); n != 0 {
			t.Errorf("the vendors were asked %d times", n)
		}
	})
	message := func(model string) string {
		return `{"model":"` + model + `","max_tokens":20,"messages":[{"role":"user","content":"one two three"}]}`
	}
	f := func(v *fake.Vendor, path, via, body string) {
		t.Helper()
		t.Run(path+" is answered by "+v.Name+" for the platform's key", func(t *testing.T) {
			v.Forget()
			status, said := send(t, g, http.MethodPost, path, token, body, "X-Api-Key: a-client's")
			if status != http.StatusOK || !strings.Contains(said, "one two three") {
				t.Fatalf("%d %s", status, said)
			}
			seen := v.Journal()
			if len(seen) != 1 || seen[0].Credential != v.Key || seen[0].Via != via {
				t.Fatalf("%d requests, %s with %s's credential", len(seen), seen[0].Via, v.Name)
			}
			for name, values := range seen[0].Header {
				if s := strings.Join(values, " "); strings.Contains(s, token) || strings.Contains(s, "a-client's") {
					t.Errorf("%s of the client's went out in %s", s, name)
				}
			}
		})
	}
	f(w.OpenAI, "/openai/v1/chat/completions", "authorization", message("gpt-4o-mini"))
	f(w.OpenAI, "/openai/v1/responses", "authorization", `{"model":"gpt-4o","input":"one two three"}`)
	f(w.Anthropic, "/anthropic/v1/messages", "x-api-key", message("claude-haiku-4-5"))
	f(w.Azure, "/azure/v1/chat/completions", "api-key", message("gpt-4o"))
	f(w.OpenAI, "/v1/chat/completions", "authorization", message("gpt-4o"))
	f(w.OpenAI, "/v1/responses", "authorization", `{"model":"gpt-4o","input":"one two three"}`)
	f(w.Anthropic, "/v1/messages", "x-api-key", message("claude-haiku-4-5"))

	t.Run("the limits of a tier are one for all of them", func(t *testing.T) {
		free := g.Mint(t, ann)
		body := `{"model":"gpt-4o","max_tokens":80,"messages":[{"role":"user","content":"` + strings.Repeat("word ", 40) + `"}]}`
		codes := repeat(t, g, "/openai/v1/chat/completions", free, body, 4)
		if codes[0] != http.StatusOK || codes[3] != http.StatusTooManyRequests || !turns(codes) {
			t.Errorf("got %v, want 200s, then 429s", codes)
		}
		n := asked(w)
		for _, path := range []string{"/anthropic/v1/messages", "/v1/messages"} {
			if status, said := send(t, g, http.MethodPost, path, free, message("claude-haiku-4-5")); status != http.StatusTooManyRequests {
				t.Errorf("%s after the budget: %d %s", path, status, said)
			}
		}
		if asked(w) != n {
			t.Error("a refused call reached its provider")
		}
	})
	t.Run("the keys are nowhere to be read", func(t *testing.T) {
		texts := map[string]string{"standard output": g.Stdout.String(), "standard error": g.Stderr.String(), "access log": read(t, access)}
		for _, page := range []string{"/plan", "/status", "/status?format=table", "/metrics", "/usage"} {
			a := g.Page(t, page)
			if texts[page] = a.Body; a.Status != http.StatusOK {
				t.Errorf("%s: %d", page, a.Status)
			}
		}
		err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				texts[path] = read(t, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(texts["/plan"], "egret-providers/openai") {
			t.Error("the plan does not know the provider; this test looks at the wrong one")
		}
		for name, text := range texts {
			for _, v := range []*fake.Vendor{w.OpenAI, w.Anthropic, w.Azure} {
				if strings.Contains(text, v.Key) {
					t.Errorf("%s holds the key of %s", name, v.Name)
				}
			}
			if strings.Contains(text, "key with spaces") {
				t.Errorf("%s holds a key that is not used", name)
			}
		}
	})
}

func TestWithoutProviderKeys(t *testing.T) {
	w, flags := outsideWorld(t)
	f := func(name string, flags []string, key string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Setenv("OPENAI_API_KEY", key)
			g := child.Quickstart(t, flags...)
			token := g.Mint(t, g.UserToken)
			if diff := cmp.Diff(simulated, listed(t, g, token)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			for _, path := range []string{"/openai/v1/chat/completions", "/v1/chat/completions"} {
				if status, said := send(t, g, http.MethodPost, path, token, to("gpt-4o")); status < 400 {
					t.Errorf("%s: %d %s", path, status, said)
				}
			}
			if strings.Contains(g.Stdout.String(), "OPENAI_API_KEY") || asked(w) != 0 {
				t.Errorf("%d requests went out; it says\n%s", asked(w), g.Stdout.String())
			}
		})
	}
	f("no variable", flags, "")
	f("--no-providers", append(flags, "--no-providers"), w.OpenAI.Key)
}

// TestProviderKeysBesideManifests: what the manifests say themselves is not
// taken from them.
func TestProviderKeysBesideManifests(t *testing.T) {
	w, flags := outsideWorld(t)
	t.Setenv("OPENAI_API_KEY", w.OpenAI.Key)
	t.Setenv("EGRET_OPENAI_MODELS", "gpt-4o*")
	g := child.Quickstart(t, append(flags, "--manifests", with(t, "unified-path"))...)
	token := g.Mint(t, g.UserToken)
	f := func(path, model string, want int) {
		t.Helper()
		if status, said := send(t, g, http.MethodPost, path, token, to(model)); status != want {
			t.Errorf("%s with %s: %d %s, want %d", path, model, status, said, want)
		}
	}
	f("/v1/chat/completions", "gpt-4", http.StatusOK) // of the example's simulator
	f("/v1/chat/completions", "gpt-4o", http.StatusBadRequest)
	if n := asked(w); n != 0 {
		t.Errorf("OpenAI was asked %d times for what the manifests serve", n)
	}
	f("/openai/v1/chat/completions", "gpt-4o-mini", http.StatusOK) // by the pattern
	if n := asked(w); n != 1 || !strings.Contains(g.Stdout.String(), "Your manifests serve these paths themselves, and keep them: /v1/chat/completions\n") {
		t.Errorf("OpenAI was asked %d times; the quickstart says\n%s", n, g.Stdout.String())
	}
}
