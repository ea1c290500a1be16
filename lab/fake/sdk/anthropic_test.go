package sdk

import (
	"errors"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"github.com/egret-gateway/egret/lab/fake"
)

func TestAnthropic(t *testing.T) {
	w := fake.New(t)
	client := func(key string) anthropic.Client {
		return anthropic.NewClient(option.WithAPIKey(key), option.WithHTTPClient(w.HTTP()), option.WithMaxRetries(0), option.WithBaseURL("https://api.anthropic.com"))
	}
	c := client(w.Anthropic.Key)
	plain := anthropic.MessageNewParams{
		Model: "claude-opus-4-5", MaxTokens: 100, System: []anthropic.TextBlockParam{{Text: system}},
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(prompt))},
	}
	tools := plain
	tools.Tools = []anthropic.ToolUnionParam{anthropic.ToolUnionParamOfTool(anthropic.ToolInputSchemaParam{Properties: weather["properties"], Required: weather["required"].([]string)}, "weather")}

	t.Run("message", func(t *testing.T) {
		m, err := c.Messages.New(t.Context(), plain)
		if err != nil {
			t.Fatal(err)
		}
		if m.Content[0].Text != prompt || m.Usage.InputTokens != in || m.Usage.OutputTokens != out || m.StopReason != "end_turn" {
			t.Errorf("%s", m.RawJSON())
		}
	})
	t.Run("stream", func(t *testing.T) {
		m, err := gather(t, c, plain)
		if err != nil || m.Content[0].Text != prompt || m.Usage.InputTokens != in || m.Usage.OutputTokens != out {
			t.Errorf("%v: %+v", err, m)
		}
	})
	t.Run("tool", func(t *testing.T) {
		m, err := c.Messages.New(t.Context(), tools)
		if err != nil {
			t.Fatal(err)
		}
		use := m.Content[0].AsToolUse()
		if use.Name != "weather" || string(use.Input) != called || m.StopReason != "tool_use" {
			t.Errorf("%s", m.RawJSON())
		}
		streamed, err := gather(t, c, tools)
		if err != nil || string(streamed.Content[0].AsToolUse().Input) != called {
			t.Errorf("%v: %+v", err, streamed)
		}
		after := tools
		after.Messages = append(after.Messages, m.ToParam(), anthropic.NewUserMessage(anthropic.NewToolResultBlock(use.ID, "It rains.", false)))
		if m, err := c.Messages.New(t.Context(), after); err != nil || m.Content[0].Text != "It rains." {
			t.Errorf("after the tool: %v, %v", m, err)
		}
	})
	t.Run("count", func(t *testing.T) {
		n, err := c.Messages.CountTokens(t.Context(), anthropic.MessageCountTokensParams{Model: plain.Model, Messages: plain.Messages})
		if err != nil || n.InputTokens != out {
			t.Errorf("%v, %v", n, err)
		}
	})
	t.Run("models", func(t *testing.T) {
		page, err := c.Models.List(t.Context(), anthropic.ModelListParams{})
		if err != nil || len(page.Data) != 4 {
			t.Errorf("%+v, %v", page, err)
		}
	})
	t.Run("refusals", func(t *testing.T) {
		for status, prepare := range map[int]func() anthropic.Client{
			401: func() anthropic.Client { return client("sk-wrong") },
			429: func() anthropic.Client { w.Anthropic.Next(fake.Fault{Status: 429}); return c },
			529: func() anthropic.Client { w.Anthropic.Next(fake.Fault{Status: 529}); return c },
		} {
			c := prepare()
			_, err := c.Messages.New(t.Context(), plain)
			var typed *anthropic.Error
			if !errors.As(err, &typed) || typed.StatusCode != status || typed.RequestID == "" {
				t.Errorf("%v, want a typed %d", err, status)
			}
		}
	})
	t.Run("broken streams", func(t *testing.T) {
		for _, then := range []fake.Break{fake.Cut, fake.Fail} {
			w.Anthropic.Next(fake.Fault{After: 2, Then: then})
			if _, err := gather(t, c, plain); err == nil {
				t.Errorf("%s: the client noticed nothing", then)
			}
		}
	})
}

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
