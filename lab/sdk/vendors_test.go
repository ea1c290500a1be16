package sdk

import (
	"errors"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	claude "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"

	"github.com/egret-gateway/egret/lab/fake"
)

// TestBroken: a stream that does not end well is an error for the client.
func TestBroken(t *testing.T) {
	p := newPlatform(t)
	c, question := p.gpt(p.token), chatQuestion()
	for _, then := range []fake.Break{fake.Cut, fake.Fail, fake.Garble} {
		p.world.OpenAI.Next(fake.Fault{After: 2, Then: then})
		s := c.Chat.Completions.NewStreaming(t.Context(), question)
		for s.Next() {
		}
		if s.Err() == nil {
			t.Errorf("openai, %s: the client noticed nothing", then)
		}
	}
	m := p.claude(claude.WithAPIKey(p.token))
	for _, then := range []fake.Break{fake.Cut, fake.Fail} {
		p.world.Anthropic.Next(fake.Fault{After: 2, Then: then})
		if _, err := gather(t, m, message()); err == nil {
			t.Errorf("anthropic, %s: the client noticed nothing", then)
		}
	}
}

// TestVendors: each vendor's own client through the gateway, which shows the
// vendor the platform's key and charges the user for the answer.
func TestVendors(t *testing.T) {
	p := newPlatform(t)
	t.Run("openai", func(t *testing.T) {
		c := p.gpt(p.token)
		chats(t, p, c)
		responds(t, p, c)
		t.Run("refusals cost nothing", func(t *testing.T) {
			p.charges(t, func() int64 {
				refuses(t, p)
				if _, err := c.Chat.Completions.New(t.Context(), chatQuestion()); err != nil {
					t.Error(err)
				}
				return in + out
			})
		})
		t.Run("models", func(t *testing.T) {
			page, err := c.Models.List(t.Context())
			if err != nil || len(page.Data) != 3 || page.Data[0].ID != "gpt-4o" {
				t.Errorf("%+v, %v", page, err)
			}
		})
		p.vouch(t, p.world.OpenAI, "authorization")
	})
	t.Run("anthropic", func(t *testing.T) {
		for name, auth := range map[string]func(string) claude.RequestOption{"x-api-key": claude.WithAPIKey, "bearer": claude.WithAuthToken} {
			t.Run("the token as "+name, func(t *testing.T) {
				client := func(token string) anthropic.Client { return p.claude(auth(token)) }
				messages(t, p, client(p.token))
				t.Run("refusals cost nothing", func(t *testing.T) {
					p.charges(t, func() int64 {
						denies(t, p, client)
						c := client(p.token)
						if _, err := c.Messages.New(t.Context(), message()); err != nil {
							t.Error(err)
						}
						return in + out
					})
				})
			})
		}
		p.vouch(t, p.world.Anthropic, "x-api-key")
	})
}

// gpt is OpenAI's client, which knows the gateway's address and a token of it.
func (p *platform) gpt(token string) openai.Client {
	return openai.NewClient(option.WithBaseURL(p.URL+"/openai/v1"), option.WithAPIKey(token), option.WithHTTPClient(p.Client), option.WithMaxRetries(0))
}

// claude is Anthropic's.
func (p *platform) claude(auth claude.RequestOption) anthropic.Client {
	return anthropic.NewClient(claude.WithoutEnvironmentDefaults(), claude.WithBaseURL(p.URL+"/anthropic"), claude.WithHTTPClient(p.Client), claude.WithMaxRetries(0), auth)
}

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

func message() anthropic.MessageNewParams {
	return anthropic.MessageNewParams{
		Model: "claude-opus-4-5", MaxTokens: 100, System: []anthropic.TextBlockParam{{Text: system}},
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(prompt))},
	}
}

func messages(t *testing.T, p *platform, c anthropic.Client) {
	tools := message()
	tools.Tools = []anthropic.ToolUnionParam{anthropic.ToolUnionParamOfTool(anthropic.ToolInputSchemaParam{Properties: weather["properties"], Required: weather["required"].([]string)}, "weather")}
	t.Run("message", func(t *testing.T) {
		p.charges(t, func() int64 {
			m, err := c.Messages.New(t.Context(), message())
			if err != nil {
				t.Fatal(err)
			}
			if m.Content[0].Text != prompt || m.Usage.InputTokens != in || m.Usage.OutputTokens != out || m.StopReason != "end_turn" {
				t.Errorf("%s", m.RawJSON())
			}
			return in + out
		})
	})
	t.Run("stream", func(t *testing.T) {
		p.charges(t, func() int64 {
			m, err := gather(t, c, message())
			if err != nil || len(m.Content) != 1 || m.Content[0].Text != prompt || m.Usage.InputTokens != in || m.Usage.OutputTokens != out {
				t.Errorf("%v: %+v", err, m)
			}
			return in + out
		})
	})
	t.Run("tools", func(t *testing.T) {
		p.charges(t, func() int64 {
			m, err := c.Messages.New(t.Context(), tools)
			if err != nil {
				t.Fatal(err)
			}
			use := m.Content[0].AsToolUse()
			if use.Name != "weather" || string(use.Input) != called || m.StopReason != "tool_use" {
				t.Errorf("%s", m.RawJSON())
			}
			streamed, err := gather(t, c, tools)
			if err != nil || len(streamed.Content) != 1 || string(streamed.Content[0].AsToolUse().Input) != called {
				t.Errorf("streamed: %v: %+v", err, streamed)
			}
			q := tools
			q.Messages = append(q.Messages, m.ToParam(), anthropic.NewUserMessage(anthropic.NewToolResultBlock(use.ID, "It rains.", false)))
			after, err := c.Messages.New(t.Context(), q)
			if err != nil || after.Content[0].Text != "It rains." {
				t.Fatalf("after the tool: %v, %v", after, err)
			}
			return total(m.Usage) + total(streamed.Usage) + total(after.Usage)
		})
	})
	t.Run("counted tokens cost nothing", func(t *testing.T) {
		p.charges(t, func() int64 {
			n, err := c.Messages.CountTokens(t.Context(), anthropic.MessageCountTokensParams{Model: message().Model, Messages: message().Messages})
			if err != nil || n.InputTokens != out {
				t.Errorf("%v, %v", n, err)
			}
			if _, err := c.Messages.New(t.Context(), message()); err != nil {
				t.Error(err)
			}
			return in + out
		})
	})
	t.Run("models", func(t *testing.T) {
		page, err := c.Models.List(t.Context(), anthropic.ModelListParams{})
		if err != nil || len(page.Data) != 4 {
			t.Errorf("%+v, %v", page, err)
		}
	})
}

func total(u anthropic.Usage) int64 { return u.InputTokens + u.OutputTokens }

// gather reads a stream of messages to its end.
func gather(t *testing.T, c anthropic.Client, q anthropic.MessageNewParams) (anthropic.Message, error) {
	t.Helper()
	var m anthropic.Message
	s := c.Messages.NewStreaming(t.Context(), q)
	for s.Next() {
		if err := m.Accumulate(s.Current()); err != nil {
			return m, err
		}
	}
	return m, s.Err()
}

// denies is refuses for messages.
func denies(t *testing.T, p *platform, client func(token string) anthropic.Client) {
	unknown, unfit := message(), message()
	unknown.Model = "gpt-4o"
	unfit.SetExtraFields(map[string]any{"n": 1})
	for _, c := range []struct {
		name, token string
		fault       *fake.Fault
		q           anthropic.MessageNewParams
		status      int
		kind        anthropic.ErrorType
		calls       int
	}{
		{"a rate limit", p.token, &fake.Fault{Status: 429, RetryAfter: "7"}, message(), 429, anthropic.ErrorTypeRateLimitError, 1},
		{"a failure", p.token, &fake.Fault{Status: 500}, message(), 500, anthropic.ErrorTypeAPIError, 1},
		{"an overload", p.token, &fake.Fault{Status: 529}, message(), 529, anthropic.ErrorTypeOverloadedError, 1},
		{"a model that is not there", p.token, nil, unknown, 404, anthropic.ErrorTypeNotFoundError, 1},
		{"a bad request", p.token, nil, unfit, 400, anthropic.ErrorTypeInvalidRequestError, 1},
		{"a token that is wrong", "wrong", nil, message(), 401, "", 0},
		{"the vendor's own key in a user's hands", p.world.Anthropic.Key, nil, message(), 401, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.fault != nil {
				p.world.Anthropic.Next(*c.fault)
			}
			seen := len(p.world.Anthropic.Journal())
			ask := client(c.token)
			_, err := ask.Messages.New(t.Context(), c.q)
			var typed *anthropic.Error
			if !errors.As(err, &typed) || typed.StatusCode != c.status || typed.Type() != c.kind {
				t.Fatalf("%v, want a typed %d, %s", err, c.status, c.kind)
			}
			if c.fault != nil && typed.Response.Header.Get("Retry-After") != c.fault.RetryAfter {
				t.Errorf("Retry-After %q, want %q", typed.Response.Header.Get("Retry-After"), c.fault.RetryAfter)
			}
			if calls := len(p.world.Anthropic.Journal()) - seen; calls != c.calls {
				t.Errorf("the vendor was called %d times, want %d", calls, c.calls)
			}
		})
	}
}
