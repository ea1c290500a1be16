package sdk

import (
	"errors"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"

	"github.com/egret-gateway/egret/lab/fake"
)

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
