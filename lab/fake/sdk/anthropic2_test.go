package sdk

import (
	"errors"
	"testing"

	"github.com/anthropics/anthropic-sdk-go/v2"
	"github.com/anthropics/anthropic-sdk-go/v2/option"

	"github.com/egret-gateway/egret/lab/fake"
)

// TestAnthropic2 is the client's second version, which speaks the API of
// 2026-10-21 and sends the key as a bearer token.
func TestAnthropic2(t *testing.T) {
	w := fake.New(t)
	client := func(key string) anthropic.Client {
		return anthropic.NewClient(option.WithAPIKey(key), option.WithHTTPClient(w.HTTP()), option.WithMaxRetries(0), option.WithBaseURL("https://api.anthropic.com"))
	}
	c := client(w.Anthropic.Key)
	question := anthropic.MessageNewParams{
		Model: "claude-opus-5-5", MaxTokens: 100, System: []anthropic.TextBlockParam{{Text: system}},
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(prompt))},
	}
	m, err := c.Messages.New(t.Context(), question)
	if err != nil {
		t.Fatal(err)
	}
	if m.Content[0].Text != prompt || m.Usage.InputTokens != in || m.Usage.OutputTokens != out {
		t.Errorf("%s", m.RawJSON())
	}
	if seen := w.Anthropic.Journal()[0]; seen.Via != "authorization" || seen.Header.Get("Anthropic-Version") != "2026-10-21" {
		t.Errorf("key in %s, version %s", seen.Via, seen.Header.Get("Anthropic-Version"))
	}
	question.Tools = []anthropic.ToolUnionParam{anthropic.ToolUnionParamOfTool(anthropic.ToolInputSchemaParam{Properties: weather["properties"], Required: weather["required"].([]string)}, "weather")}
	var streamed anthropic.Message
	s := c.Messages.NewStreaming(t.Context(), question)
	for s.Next() {
		if err := streamed.Accumulate(s.Current()); err != nil {
			t.Fatal(err)
		}
	}
	if s.Err() != nil || string(streamed.Content[0].AsToolUse().Input) != called {
		t.Errorf("%v: %+v", s.Err(), streamed)
	}
	wrong := client("sk-wrong")
	var typed *anthropic.Error
	if _, err := wrong.Messages.New(t.Context(), question); !errors.As(err, &typed) || typed.StatusCode != 401 {
		t.Errorf("%v, want a typed 401", err)
	}
}
