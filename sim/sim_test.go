package sim

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// start makes a simulator of model m from flags.
func start(t testing.TB, args ...string) http.Handler {
	t.Helper()
	c, err := Parse(append([]string{"--model", "m", "--seed", "7"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s.Handler()
}

func do(h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w
}

// result is an answer or chunk as a client reads it.
type result struct {
	ID      string
	Created int64
	Model   string
	Usage   *usage
	Object  string
	Choices []struct {
		FinishReason *string `json:"finish_reason"`
		Text         string
		Message      struct {
			Role      string
			Content   *string
			ToolCalls []call `json:"tool_calls"`
		}
		Delta struct {
			Role      string
			Content   *string
			ToolCalls []call `json:"tool_calls"`
		}
		Logprobs json.RawMessage
	}
}

func (r result) finish() string {
	if r.Choices[0].FinishReason == nil {
		return "null"
	}
	return *r.Choices[0].FinishReason
}

func read[T any](t testing.TB, data string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(data), &v); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return v
}

// ask posts a body that must be answered with 200.
func ask(t testing.TB, h http.Handler, path, body string) result {
	t.Helper()
	w := do(h, "POST", path, body)
	if w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", body, w.Code, w.Body)
	}
	return read[result](t, w.Body.String())
}

// askStream posts a body and reads the events of its answer, which must end with [DONE].
func askStream(t testing.TB, h http.Handler, path, body string) []result {
	t.Helper()
	w := do(h, "POST", path, body)
	if got := w.Header().Get("Content-Type"); w.Code != http.StatusOK || got != "text/event-stream" {
		t.Fatalf("%s: %d %s %s", body, w.Code, got, w.Body)
	}
	var chunks []result
	done := false
	lines := bufio.NewScanner(w.Body)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		switch {
		case lines.Text() == "":
		case !ok || done:
			t.Fatalf("unexpected line %q", lines.Text())
		case data == "[DONE]":
			done = true
		default:
			chunks = append(chunks, read[result](t, data))
		}
	}
	if !done {
		t.Fatal("the stream does not end with [DONE]")
	}
	return chunks
}

const (
	chatPath = "/v1/chat/completions"
	textPath = "/v1/completions"
	hello    = `{"model":"m","messages":[{"role":"user","content":"Hello"}],"max_tokens":50}`
)
