package sdk

import (
	"errors"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"

	"github.com/egret-gateway/egret/lab/fake"
)

func chatQuestion() openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{Model: "gpt-4o", Messages: []openai.ChatCompletionMessageParamUnion{openai.SystemMessage(system), openai.UserMessage(prompt)}}
}

func chats(t *testing.T, p *platform, c openai.Client) {
	tools := chatQuestion()
	tools.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{Name: "weather", Parameters: weather})}
	stream := func(t *testing.T, q openai.ChatCompletionNewParams) openai.ChatCompletion {
		t.Helper()
		var all openai.ChatCompletionAccumulator
		s := c.Chat.Completions.NewStreaming(t.Context(), q)
		for s.Next() {
			if !all.AddChunk(s.Current()) {
				t.Errorf("a chunk that does not fit: %s", s.Current().RawJSON())
			}
		}
		if s.Err() != nil || len(all.Choices) != 1 {
			t.Fatalf("%v: %+v", s.Err(), all.ChatCompletion)
		}
		return all.ChatCompletion
	}
	t.Run("chat", func(t *testing.T) {
		p.charges(t, func() int64 {
			answer, err := c.Chat.Completions.New(t.Context(), chatQuestion())
			if err != nil {
				t.Fatal(err)
			}
			if answer.Choices[0].Message.Content != prompt || answer.Usage.PromptTokens != in || answer.Usage.CompletionTokens != out {
				t.Errorf("%s", answer.RawJSON())
			}
			return in + out
		})
	})
	t.Run("stream", func(t *testing.T) {
		q := chatQuestion()
		q.StreamOptions.IncludeUsage = openai.Bool(true)
		p.charges(t, func() int64 {
			if answer := stream(t, q); answer.Choices[0].Message.Content != prompt || answer.Usage.TotalTokens != in+out {
				t.Errorf("%+v", answer)
			}
			return in + out
		})
	})
	t.Run("a stream whose usage nobody asked for", func(t *testing.T) {
		p.charges(t, func() int64 {
			if answer := stream(t, chatQuestion()); answer.Choices[0].Message.Content != prompt || answer.Usage.TotalTokens != 0 {
				t.Errorf("%+v", answer)
			}
			return in + out
		})
	})
	t.Run("tools", func(t *testing.T) {
		p.charges(t, func() int64 {
			answer, err := c.Chat.Completions.New(t.Context(), tools)
			if err != nil {
				t.Fatal(err)
			}
			call := answer.Choices[0].Message.ToolCalls[0]
			if call.Function.Name != "weather" || call.Function.Arguments != called || answer.Choices[0].FinishReason != "tool_calls" {
				t.Errorf("%s", answer.RawJSON())
			}
			q := tools
			q.StreamOptions.IncludeUsage = openai.Bool(true)
			streamed := stream(t, q)
			if streamed.Choices[0].Message.ToolCalls[0].Function.Arguments != called {
				t.Errorf("streamed: %+v", streamed)
			}
			q = tools
			q.Messages = append(q.Messages, answer.Choices[0].Message.ToParam(), openai.ToolMessage("It rains.", call.ID))
			after, err := c.Chat.Completions.New(t.Context(), q)
			if err != nil || after.Choices[0].Message.Content != "It rains." {
				t.Fatalf("after the tool: %v, %v", after, err)
			}
			return answer.Usage.TotalTokens + streamed.Usage.TotalTokens + after.Usage.TotalTokens
		})
	})
}

func responds(t *testing.T, p *platform, c openai.Client) {
	q := responses.ResponseNewParams{Model: "gpt-4o", Instructions: openai.String(system), Input: responses.ResponseNewParamsInputUnion{OfString: openai.String(prompt)}}
	t.Run("response", func(t *testing.T) {
		p.charges(t, func() int64 {
			answer, err := c.Responses.New(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if answer.OutputText() != prompt || answer.Usage.InputTokens != in || answer.Usage.OutputTokens != out {
				t.Errorf("%s", answer.RawJSON())
			}
			return in + out
		})
	})
	t.Run("a streamed response", func(t *testing.T) {
		p.charges(t, func() int64 {
			s := c.Responses.NewStreaming(t.Context(), q)
			var text string
			var final responses.Response
			for s.Next() {
				switch e := s.Current().AsAny().(type) {
				case responses.ResponseTextDeltaEvent:
					text += e.Delta
				case responses.ResponseCompletedEvent:
					final = e.Response
				}
			}
			if s.Err() != nil || text != prompt || final.Usage.TotalTokens != in+out {
				t.Errorf("%v: %q, %s", s.Err(), text, final.RawJSON())
			}
			return in + out
		})
	})
}

// refuses: the vendor's errors come as its client knows them, and what the
// gateway refuses as a 401 without a body.
func refuses(t *testing.T, p *platform) {
	ask := func(token string, q openai.ChatCompletionNewParams) error {
		c := p.gpt(token)
		_, err := c.Chat.Completions.New(t.Context(), q)
		return err
	}
	unknown, unfit := chatQuestion(), chatQuestion()
	unknown.Model = "gpt-9"
	unfit.SetExtraFields(map[string]any{"top_k": 1})
	for _, c := range []struct {
		name, token string
		fault       *fake.Fault
		q           openai.ChatCompletionNewParams
		status      int
		kind, code  string
		calls       int
	}{
		{"a rate limit", p.token, &fake.Fault{Status: 429, RetryAfter: "7"}, chatQuestion(), 429, "requests", "rate_limit_exceeded", 1},
		{"a failure", p.token, &fake.Fault{Status: 500}, chatQuestion(), 500, "server_error", "", 1},
		{"a model that is not there", p.token, nil, unknown, 404, "invalid_request_error", "model_not_found", 1},
		{"a bad request", p.token, nil, unfit, 400, "invalid_request_error", "unknown_parameter", 1},
		{"a token that is wrong", "wrong", nil, chatQuestion(), 401, "", "", 0},
		{"the vendor's own key in a user's hands", p.world.OpenAI.Key, nil, chatQuestion(), 401, "", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.fault != nil {
				p.world.OpenAI.Next(*c.fault)
			}
			seen := len(p.world.OpenAI.Journal())
			err := ask(c.token, c.q)
			var typed *openai.Error
			if !errors.As(err, &typed) || typed.StatusCode != c.status || typed.Type != c.kind || typed.Code != c.code {
				t.Fatalf("%#v, want a typed %d of type %q and code %q", err, c.status, c.kind, c.code)
			}
			if c.fault != nil && typed.Response.Header.Get("Retry-After") != c.fault.RetryAfter {
				t.Errorf("Retry-After %q, want %q", typed.Response.Header.Get("Retry-After"), c.fault.RetryAfter)
			}
			if calls := len(p.world.OpenAI.Journal()) - seen; calls != c.calls {
				t.Errorf("the vendor was called %d times, want %d", calls, c.calls)
			}
		})
	}
}
