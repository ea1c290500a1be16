package sim

import (
	"strings"
	"testing"
)

func TestRefusals(t *testing.T) {
	h := start(t, "--mode", "echo")
	f := func(name, path, body string, status int, want ...string) {
		t.Run(name, func(t *testing.T) {
			w := do(h, "POST", path, body)
			if w.Code != status {
				t.Errorf("status %d, want %d", w.Code, status)
			}
			for _, part := range want {
				if !strings.Contains(w.Body.String(), part) {
					t.Errorf("%q is not in %s", part, w.Body)
				}
			}
		})
	}
	chat := func(rest string) string {
		return `{"model":"m","messages":[{"role":"user","content":"Hello"}]` + rest + `}`
	}
	f("maas-124 a wrong model gets 404", chatPath, `{"model":"x","messages":[]}`, 404,
		`{"error":{"message":"The model `+"`x`"+` does not exist.","type":"NotFoundError","param":null,"code":404}}`)
	f("maas-138 a model of the registry that is not here gets 404", chatPath, `{"model":"claude-3-sonnet-external","messages":[{"role":"user","content":"Hello"}]}`, 404, `NotFoundError`)
	f("maas-125 max_tokens 0 gets 400", chatPath, chat(`,"max_tokens":0`), 400, `Max completion tokens and max tokens should be positive`, `BadRequestError`)
	f("maas-126 2000 tokens get 400 and the context's length", chatPath, chat(`,"max_tokens":2000`), 400, `1024`, `2001`, `(1 in the messages, 2000 in the completion)`, `BadRequestError`)
	f("the largest max_tokens does not overflow", chatPath, chat(`,"max_tokens":9223372036854775807`), 400, `9223372036854775808`)
	f("a prefill cannot stream", chatPath, chat(`,"do_remote_decode":true,"stream":true`), 400, `Prefill does not support streaming`)
	f("ignore_eos wants a limit", chatPath, chat(`,"ignore_eos":true`), 400, `max_completion_tokens is not set`)
	f("bad JSON", chatPath, `{`, 400, "Failed to read and parse request body, ")
	f("a prompt that is no string", textPath, `{"model":"m","prompt":["a"]}`, 400, "Failed to read and parse request body, ")
	f("a tool without a description", chatPath, chat(`,"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]`), 400,
		"Failed to read and parse request body, ", "description")
	f("a schema keyword that is not known", chatPath, chat(`,"tools":[{"type":"function","function":{"name":"f","description":"","parameters":{"type":"object","oneOf":[]}}}]`), 400, "oneOf")
	f("an unknown function", chatPath, chat(`,"tools":[{"type":"function","function":{"name":"f","description":"","parameters":{"type":"object"}}}],"tool_choice":{"type":"function","function":{"name":"g"}}`), 400, `"g"`)
	f("tokenize with both inputs", "/tokenize", `{"prompt":"a","messages":[]}`, 400, `BadRequestError`)
	f("tokenize without a tokenizer", "/tokenize", `{"prompt":"a"}`, 500, `no tokenizer`)
	f("no such path", "/v1/messages", `{}`, 404)
	f("no such method", "/v1/models", `{}`, 405)
}

func TestFailures(t *testing.T) {
	f := func(name, kind string, status int, want string) {
		t.Run(name, func(t *testing.T) {
			h := start(t, "--failure-injection-rate", "100", "--failure-types", kind)
			for range 5 {
				w := do(h, "POST", chatPath, `not even JSON`)
				if w.Code != status || !strings.Contains(w.Body.String(), want) {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			}
		})
	}
	f("maas-132 rate_limit at 100 % is always 429", "rate_limit", 429, `"type":"RateLimitError","param":null,"code":429`)
	f("invalid_api_key", "invalid_api_key", 401, `"type":"AuthenticationError","param":null,"code":401`)
	f("context_length", "context_length", 400, `"type":"BadRequestError","param":"messages","code":400`)
	f("server_error", "server_error", 503, `"type":"InternalServerError","param":null,"code":503`)
	f("invalid_request", "invalid_request", 400, `"type":"BadRequestError","param":"model","code":400`)
	f("model_not_found", "model_not_found", 404, "`m-nonexistent`")
	t.Run("half of the requests, of all kinds", func(t *testing.T) {
		h := start(t, "--failure-injection-rate", "50")
		seen := map[int]int{}
		for range 400 {
			seen[do(h, "POST", chatPath, hello).Code]++
		}
		if seen[200] < 150 || seen[200] > 250 || len(seen) != 6 {
			t.Errorf("got %v", seen)
		}
	})
}
