package provider

import (
	"errors"
	"net/http/httptest"
	"testing"

	anthropicsdk "github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	openaioption "github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
)

// The official clients must find the shapes they know.

func TestOpenAIClient(t *testing.T) {
	site := httptest.NewServer(start(t))
	defer site.Close()
	client := openai.NewClient(openaioption.WithBaseURL(site.URL+"/openai/v1"), openaioption.WithAPIKey(key), openaioption.WithMaxRetries(0))
	chat := openai.ChatCompletionNewParams{Model: "gpt-4", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hello")}}

	t.Run("chat", func(t *testing.T) {
		got, err := client.Chat.Completions.New(t.Context(), chat)
		if err != nil {
			t.Fatal(err)
		}
		if got.Choices[0].Message.Content == "" || got.Usage.TotalTokens < 6 || got.Model != "gpt-4" {
			t.Errorf("got %s", got.RawJSON())
		}
	})
	stream := func(includeUsage bool) openai.ChatCompletionAccumulator {
		params := chat
		if includeUsage {
			params.StreamOptions.IncludeUsage = openai.Bool(true)
		}
		var all openai.ChatCompletionAccumulator
		events := client.Chat.Completions.NewStreaming(t.Context(), params)
		defer events.Close()
		for events.Next() {
			all.AddChunk(events.Current())
		}
		if err := events.Err(); err != nil {
			t.Fatal(err)
		}
		if all.Choices[0].Message.Content == "" || all.Choices[0].FinishReason != "stop" {
			t.Errorf("got %+v", all.Choices)
		}
		return all
	}
	t.Run("a streamed chat has usage where it is asked for", func(t *testing.T) {
		if got := stream(true).Usage.TotalTokens; got < 6 {
			t.Errorf("usage %d", got)
		}
		if got := stream(false).Usage.TotalTokens; got != 0 {
			t.Errorf("usage %d although nobody asked", got)
		}
	})
	ask := responses.ResponseNewParams{Model: "gpt-4", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("Hello")}}
	t.Run("responses", func(t *testing.T) {
		got, err := client.Responses.New(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		if got.OutputText() == "" || got.Status != "completed" || got.Usage.TotalTokens < 6 {
			t.Errorf("got %s", got.RawJSON())
		}
	})
	t.Run("a streamed response", func(t *testing.T) {
		events := client.Responses.NewStreaming(t.Context(), ask)
		defer events.Close()
		text, completed := "", false
		for n := int64(0); events.Next(); n++ {
			e := events.Current()
			if e.SequenceNumber != n {
				t.Errorf("event %d has number %d", n, e.SequenceNumber)
			}
			switch e.Type {
			case "response.output_text.delta":
				text += e.Delta
			case "response.completed":
				completed = true
				if e.Response.OutputText() != text || e.Response.Usage.TotalTokens < 6 {
					t.Errorf("%q streamed, completed as %s", text, e.Response.RawJSON())
				}
			}
		}
		if err := events.Err(); err != nil || !completed || text == "" {
			t.Errorf("%v, completed %v, text %q", err, completed, text)
		}
	})
	t.Run("models", func(t *testing.T) {
		page, err := client.Models.List(t.Context())
		if err != nil || len(page.Data) != 1 || page.Data[0].ID != "gpt-4-external" {
			t.Errorf("%v, %+v", err, page)
		}
	})
	t.Run("errors", func(t *testing.T) {
		_, err := client.Chat.Completions.New(t.Context(), chat, openaioption.WithHeader("X-Sim-Status", "429"))
		if e := (*openai.Error)(nil); !errors.As(err, &e) || e.StatusCode != 429 || e.Type != "rate_limit_error" {
			t.Errorf("got %v", err)
		}
	})
}

func TestAnthropicClient(t *testing.T) {
	site := httptest.NewServer(start(t))
	defer site.Close()
	client := anthropicsdk.NewClient(anthropicoption.WithBaseURL(site.URL), anthropicoption.WithAPIKey(key), anthropicoption.WithMaxRetries(0))
	params := anthropicsdk.MessageNewParams{Model: "claude-3-sonnet", MaxTokens: 50, Messages: []anthropicsdk.MessageParam{anthropicsdk.NewUserMessage(anthropicsdk.NewTextBlock("Hello"))}}

	check := func(t *testing.T, got anthropicsdk.Message) {
		t.Helper()
		if len(got.Content) != 1 || got.Content[0].Text == "" || got.StopReason != "end_turn" || got.Model != "claude-3-sonnet" ||
			got.Usage.InputTokens < 1 || got.Usage.OutputTokens < 5 {
			t.Errorf("got %+v", got)
		}
	}
	t.Run("messages", func(t *testing.T) {
		got, err := client.Messages.New(t.Context(), params)
		if err != nil {
			t.Fatal(err)
		}
		check(t, *got)
	})
	t.Run("a streamed message", func(t *testing.T) {
		events := client.Messages.NewStreaming(t.Context(), params)
		defer events.Close()
		var all anthropicsdk.Message
		last := ""
		for events.Next() {
			e := events.Current()
			last = e.Type
			if err := all.Accumulate(e); err != nil {
				t.Fatal(err)
			}
		}
		if err := events.Err(); err != nil || last != "message_stop" {
			t.Errorf("%v, last event %s", err, last)
		}
		check(t, all)
	})
	t.Run("errors", func(t *testing.T) {
		_, err := client.Messages.New(t.Context(), params, anthropicoption.WithHeader("X-Sim-Status", "529"))
		if e := (*anthropicsdk.Error)(nil); !errors.As(err, &e) || e.StatusCode != 529 {
			t.Errorf("got %v", err)
		}
	})
}
