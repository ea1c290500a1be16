package dialect_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	openaioption "github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"github.com/egret-gateway/egret/dialect"
)

// refusing answers every call with an Error of the dialect of its path.
func refusing(t *testing.T, status int, code, message string) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind, body := dialect.Error(dialect.OfPath(r.URL.Path), status, code, message)
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}))
	t.Cleanup(s.Close)
	return s
}

// breaking answers every call with a stream that has one event and then an ErrorEvent.
func breaking(t *testing.T, event, message string) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte(event + "\n\n"))
		_, _ = w.Write(dialect.ErrorEvent(dialect.OfPath(r.URL.Path), "upstream_broken", message))
	}))
	t.Cleanup(s.Close)
	return s
}

func openAI(s *httptest.Server) openai.Client {
	return openai.NewClient(openaioption.WithBaseURL(s.URL+"/external/v1/"), openaioption.WithAPIKey("k"), openaioption.WithMaxRetries(0))
}

func anthropicClient(s *httptest.Server) anthropic.Client {
	return anthropic.NewClient(anthropicoption.WithBaseURL(s.URL+"/claude/"), anthropicoption.WithAPIKey("k"), anthropicoption.WithMaxRetries(0))
}

var (
	chat = openai.ChatCompletionNewParams{Model: "m", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("hi")}}

	response = responses.ResponseNewParams{Model: "m", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("hi")}}

	message = anthropic.MessageNewParams{Model: "m", MaxTokens: 9,
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("hi"))}}
)

func TestOpenAIClientErrors(t *testing.T) {
	f := func(status int, code, wantType string) {
		t.Helper()
		const say = "limit \"free\" is used up\n— wait"
		client := openAI(refusing(t, status, code, say))
		_, chatErr := client.Chat.Completions.New(t.Context(), chat)
		_, responseErr := client.Responses.New(t.Context(), response)
		_, completionErr := client.Completions.New(t.Context(), openai.CompletionNewParams{Model: "m"})
		for _, err := range []error{chatErr, responseErr, completionErr} {
			var e *openai.Error
			if !errors.As(err, &e) {
				t.Errorf("%d: %v is no openai.Error", status, err)
			} else if e.StatusCode != status || e.Type != wantType || e.Code != code || e.Message != say {
				t.Errorf("%d: status %d type %q code %q message %q", status, e.StatusCode, e.Type, e.Code, e.Message)
			}
		}
	}
	f(401, "invalid_api_key", "authentication_error")
	f(403, "", "permission_error")
	f(404, "model_not_found", "not_found_error")
	f(400, "invalid_body", "invalid_request_error")
	f(413, "", "invalid_request_error")
	f(500, "", "server_error")
	f(503, "", "server_error")
	t.Run("maas-98 a spent budget is a rate limit error", func(t *testing.T) { f(429, "token_limit_exceeded", "rate_limit_error") })
}

func TestAnthropicClientErrors(t *testing.T) {
	f := func(status int, want anthropic.ErrorType) {
		t.Helper()
		client := anthropicClient(refusing(t, status, "code", "no \\ \x01 way"))
		_, err := client.Messages.New(t.Context(), message)
		var e *anthropic.Error
		if !errors.As(err, &e) {
			t.Errorf("%d: %v is no anthropic.Error", status, err)
		} else if e.StatusCode != status || e.Type() != want || !strings.Contains(e.RawJSON(), `"type":"error"`) {
			t.Errorf("%d: status %d type %q: %s", status, e.StatusCode, e.Type(), e.RawJSON())
		}
	}
	f(400, anthropic.ErrorTypeInvalidRequestError)
	f(401, anthropic.ErrorTypeAuthenticationError)
	f(402, anthropic.ErrorTypeBillingError)
	f(403, anthropic.ErrorTypePermissionError)
	f(404, anthropic.ErrorTypeNotFoundError)
	f(413, "request_too_large")
	f(500, anthropic.ErrorTypeAPIError)
	f(503, anthropic.ErrorTypeOverloadedError)
	f(504, anthropic.ErrorTypeTimeoutError)
	t.Run("maas-98 a spent budget is a rate limit error", func(t *testing.T) { f(429, anthropic.ErrorTypeRateLimitError) })
}

func TestClientsSeeBrokenStreams(t *testing.T) {
	const say = "the provider closed the stream"
	check := func(events int, err error) {
		t.Helper()
		if events != 1 || err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%d events, error %v", events, err)
		}
	}
	t.Run("chat", func(t *testing.T) {
		client := openAI(breaking(t, `data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}`, say))
		stream, n := client.Chat.Completions.NewStreaming(t.Context(), chat), 0
		for stream.Next() {
			n++
		}
		check(n, stream.Err())
	})
	t.Run("responses", func(t *testing.T) {
		client := openAI(breaking(t, "event: response.output_text.delta\ndata: "+`{"type":"response.output_text.delta","delta":"a"}`, say))
		stream, n := client.Responses.NewStreaming(t.Context(), response), 0
		for stream.Next() {
			n++
		}
		check(n, stream.Err())
	})
	t.Run("messages", func(t *testing.T) {
		client := anthropicClient(breaking(t, "event: ping\ndata: "+`{"type":"ping"}`, say))
		stream, n := client.Messages.NewStreaming(t.Context(), message), 0
		for stream.Next() {
			n++
		}
		var e *anthropic.Error
		if err := stream.Err(); !errors.As(err, &e) || !strings.Contains(e.RawJSON(), say) {
			t.Errorf("%d events, error %v", n, err)
		}
	})
}
