package sim

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// Whatever a client sends, the simulator answers with a status it knows, and usage that adds up.
func FuzzChat(f *testing.F) {
	f.Add(hello)
	f.Add(`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"}]}],"stream":true,"logprobs":true,"top_logprobs":-1}`)
	f.Add(toolBody(`,"tool_choice":"required"`))
	f.Add(`{"model":"m","max_tokens":-1,"tool_choice":null,"tools":[{}]}`)
	f.Add(`{"model":"m","tools":[{"function":{"name":"f","description":"","parameters":{"type":"object","required":["p"],"properties":{"p":{"type":"array","items":{"type":"array","items":{"type":"string"},"minItems":4096},"minItems":4096}}}}}],"tool_choice":"required","stream":true}`)
	f.Add(`[`)
	h := start(f)
	f.Fuzz(func(t *testing.T, body string) {
		w := do(h, "POST", chatPath, body)
		switch w.Code {
		case http.StatusOK:
			if w.Header().Get("Content-Type") == "application/json" {
				if u := read[result](t, w.Body.String()).Usage; u.TotalTokens != u.PromptTokens+u.CompletionTokens {
					t.Errorf("usage %+v", *u)
				}
			} else if !strings.HasSuffix(w.Body.String(), "data: [DONE]\n\n") {
				t.Errorf("the stream ends with %q", w.Body)
			}
		case http.StatusBadRequest, http.StatusNotFound:
		default:
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
		if !json.Valid([]byte(body)) && w.Code != http.StatusBadRequest {
			t.Errorf("what is not JSON got %d", w.Code)
		}
	})
}

// Joined tokens are the text without what is not counted, and are cut the same way again.
func FuzzTokens(f *testing.F) {
	f.Add("Hello, world!")
	f.Add("don't — naïve\u2003x\n\n_a")
	f.Fuzz(func(t *testing.T, text string) {
		tokens := Tokens(text)
		for _, token := range tokens {
			if again := Tokens(token); len(again) != 1 || again[0] != token {
				t.Errorf("%q is cut again, into %q", token, again)
			}
		}
	})
}
