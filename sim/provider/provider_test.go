package provider

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const key = "sk-provider-key"

func start(t testing.TB) *Server {
	t.Helper()
	s, err := New(Config{APIKey: key, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// do sends a request with headers given as "Name: value".
func do(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const (
	chatPath = "/v1/chat/completions"
	withKey  = "X-Provider-Api-Key: " + key
)

func TestKey(t *testing.T) {
	s := start(t)
	refused := func(name, code, message string, headers ...string) {
		t.Run(name, func(t *testing.T) {
			want := fmt.Sprintf(`{"error":{"message":%q,"type":"authentication_error","code":%q}}`, message, code)
			for _, path := range []string{chatPath, "/v1/completions", "/v1/models", "/v1/responses"} {
				if w := do(s, "POST", path, "{}", headers...); w.Code != 401 || w.Body.String() != want {
					t.Errorf("%s: %d %s", path, w.Code, w.Body)
				}
			}
		})
	}
	refused("gateway-140 no key gets 401 missing_api_key", "missing_api_key", "Missing API key. Set X-Provider-Api-Key header.")
	refused("gateway-140 a wrong key gets 401 invalid_api_key", "invalid_api_key", "Invalid API key provided: sk-w...-key", "X-Provider-Api-Key: sk-wrong-key")
	for _, short := range []string{"x", "xy", "xyz"} {
		refused("gateway-141 a wrong key of "+short, "invalid_api_key", "Invalid API key provided: ...", "X-Provider-Api-Key: "+short)
	}
	t.Run("gateway-140 the right key gets 200, by any of three headers", func(t *testing.T) {
		for _, header := range []string{withKey, "x-api-key: " + key, "Authorization: Bearer " + key, "authorization: bearer " + key} {
			for _, path := range []string{chatPath, "/v1/completions", "/v1/models", "/openai/v1/chat/completions"} {
				if w := do(s, "POST", path, `{"model":"gpt-4"}`, header); w.Code != 200 {
					t.Errorf("%s with %s: %d %s", path, header, w.Code, w.Body)
				}
			}
		}
	})
	t.Run("gateway-140 health needs no key, other paths are 404", func(t *testing.T) {
		for path, want := range map[string]string{"/health": `200 {"status":"healthy"}`, "/ready": `200 {"status":"healthy"}`, "/": "404 404 page not found\n", "/v1/models/x": "404 404 page not found\n"} {
			w := do(s, "GET", path, "")
			if got := fmt.Sprintf("%d %s", w.Code, w.Body); got != want {
				t.Errorf("%s: %q", path, got)
			}
		}
	})
	t.Run("an Anthropic caller is refused in its own shape", func(t *testing.T) {
		w := do(s, "POST", "/v1/messages", "{}")
		want := `{"type":"error","error":{"type":"authentication_error","message":"Missing API key. Set X-Provider-Api-Key header."}}`
		if w.Code != 401 || w.Body.String() != want {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
	t.Run("the key does not show", func(t *testing.T) {
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("config", "key", s.cfg.APIKey)
		asJSON, err := json.Marshal(s.cfg.APIKey)
		if all := log.String() + string(asJSON) + fmt.Sprintf("%v %+v %#v", s.cfg.APIKey, s.cfg.APIKey, s.cfg.APIKey); err != nil || strings.Contains(all, key) {
			t.Errorf("%v, %s", err, all)
		}
	})
}

func TestChat(t *testing.T) {
	s := start(t)
	type answer struct {
		ID, Model, Object string
		Created           int64
		Usage             chatUsage
		Choices           []chatChoice
	}
	f := func(path, body, model string) {
		t.Helper()
		w := do(s, "POST", path, body, withKey)
		var got answer
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if got.Model != model || got.Object != "chat.completion" || !strings.HasPrefix(got.ID, "chatcmpl-") || *got.Choices[0].FinishReason != "stop" || got.Choices[0].Message.Content == "" {
			t.Errorf("got %s", w.Body)
		}
		if u := got.Usage; u.PromptTokens < 1 || u.PromptTokens > 5 || u.CompletionTokens < 5 || u.CompletionTokens > 24 || u.TotalTokens != u.PromptTokens+u.CompletionTokens {
			t.Errorf("usage %+v", u)
		}
	}
	for range 50 {
		f(chatPath, `{"model":"gpt-4"}`, "gpt-4")
	}
	f("/v1/completions", `{"model":"gpt-4"}`, "gpt-4")
	f(chatPath, `{`, "gpt-4-external")
	f(chatPath, ``, "gpt-4-external")
}

func TestModels(t *testing.T) {
	w := do(start(t), "GET", "/external/v1/models", "", withKey)
	var got struct {
		Object string
		Data   []struct {
			ID      string
			OwnedBy string `json:"owned_by"`
			Ready   bool
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Data) != 1 || got.Object != "list" || got.Data[0].ID != "gpt-4-external" || got.Data[0].OwnedBy != "provider-sim" || !got.Data[0].Ready {
		t.Errorf("got %s", w.Body)
	}
}

func TestMessagesInsist(t *testing.T) {
	s := start(t)
	f := func(body, message string, headers ...string) {
		t.Helper()
		w := do(s, "POST", "/v1/messages", body, append(headers, withKey)...)
		if w.Code != 400 || !strings.Contains(w.Body.String(), message) {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	const version = "anthropic-version: 2023-06-01"
	f(`{"max_tokens":1,"messages":[{}]}`, "anthropic-version")
	f(`{"messages":[{}]}`, "max_tokens", version)
	f(`{"max_tokens":0,"messages":[{}]}`, "max_tokens", version)
	f(`{"max_tokens":1}`, "messages", version)
}

func TestInjection(t *testing.T) {
	f := func(name string, c Config, path, body, want string, took time.Duration, headers ...string) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.APIKey = key
				s, err := New(c)
				if err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				w := do(s, "POST", path, body, append(headers, withKey)...)
				if got := fmt.Sprintf("%d %s", w.Code, w.Body); !strings.HasPrefix(got, want) {
					t.Errorf("got %s", got)
				}
				if got := time.Since(begin); got != took {
					t.Errorf("took %v, want %v", got, took)
				}
			})
		})
	}
	f("by flag", Config{Status: 503, Latency: time.Second}, chatPath, "{}", `503 {"error":{"message":"The simulator was asked to answer 503.","type":"api_error","code":"injected"}}`, time.Second)
	f("by header", Config{Latency: time.Hour / 10}, chatPath, "{}", `429 {"error":{"message":"The simulator was asked to answer 429.","type":"rate_limit_error"`, 200*time.Millisecond, "X-Sim-Status: 429", "X-Sim-Latency: 200ms")
	f("as Anthropic has it", Config{}, "/v1/messages", "{}", `529 {"type":"error","error":{"type":"overloaded_error"`, 0, "X-Sim-Status: 529")
	f("only errors", Config{}, chatPath, "{}", `400 `, 0, "X-Sim-Status: 200")
	f("only bounded waits", Config{}, chatPath, "{}", `400 `, 0, "X-Sim-Latency: 11m")
	const pauses = 6 // the text that seed 3 draws has seven words
	f("between the pieces of a stream", Config{ChunkLatency: time.Second, Seed: 3}, chatPath, `{"stream":true}`, `200 data: `, pauses*time.Second)
}

func TestEcho(t *testing.T) {
	s := start(t)
	const common = `{"method":"POST","host":"example.com","path":"/any/path","query":"q=1","tls":false,"headers":`
	f := func(what, want string) {
		t.Helper()
		w := do(s, "POST", "/any/path?q=1", "the body", "X-Sim-Echo: "+what, "Authorization: Bearer x")
		if diff := cmp.Diff(common+want, w.Body.String()); diff != "" {
			t.Error(diff)
		}
	}
	f("headers", `{"Authorization":["Bearer x"],"X-Sim-Echo":["headers"]}}`)
	f("body", `{"Authorization":["Bearer x"],"X-Sim-Echo":["body"]},"body":"the body"}`)
}

func TestParse(t *testing.T) {
	c, err := Parse([]string{"--port", "9000", "--api-key", "k", "--model", "gpt-4"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Config{Port: 9000, APIKey: "k", Model: "gpt-4"}, c); diff != "" {
		t.Error(diff)
	}
	f := func(args, want string) {
		t.Helper()
		if _, err := Parse(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
	f("", "--api-key KEY")
	f("--api-key k --fail-status 200", "--fail-status 200")
	f("--api-key k extra", "extra")
	f("--api-key k --ssl-keyfile x", "go together")
	if !strings.Contains(Help(), "-api-key key") {
		t.Errorf("help: %s", Help())
	}
}
