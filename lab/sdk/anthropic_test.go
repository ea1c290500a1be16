package sdk

import (
	"errors"
	"net/http"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"github.com/egret-gateway/egret/lab/child"
)

func TestAnthropic(t *testing.T) {
	const gateway = "default/anthropic"
	g := child.Run(t, "-f", "../testdata/anthropic.yaml", "--simulate", "--listen", gateway+"/http=127.0.0.1:0")
	client := func(key string) anthropic.Client {
		return anthropic.NewClient(option.WithoutEnvironmentDefaults(), option.WithBaseURL(g.Address(t, gateway, 8080)), option.WithAPIKey(key), option.WithHTTPClient(g.Client), option.WithMaxRetries(0))
	}
	c := client("key-of-ann")
	question := anthropic.MessageNewParams{Model: "claude-3-sonnet", MaxTokens: 50, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Hello"))}}

	t.Run("list", func(t *testing.T) {
		page, err := c.Models.List(t.Context(), anthropic.ModelListParams{})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Data) != 1 || page.Data[0].ID != "claude-3-sonnet" {
			t.Errorf("%+v", page.Data)
		}
	})
	t.Run("message", func(t *testing.T) {
		answer, err := c.Messages.New(t.Context(), question)
		if err != nil {
			t.Fatal(err)
		}
		if len(answer.Content) != 1 || answer.Content[0].Text == "" || answer.Usage.OutputTokens == 0 {
			t.Errorf("%+v", answer)
		}
		child.Until(t, "it is in the ledger", func() bool {
			_, tokens := g.Usage(t, "ann")
			return tokens == answer.Usage.InputTokens+answer.Usage.OutputTokens
		})
	})
	t.Run("stream", func(t *testing.T) {
		stream := c.Messages.NewStreaming(t.Context(), question)
		var answer anthropic.Message
		for stream.Next() {
			if err := answer.Accumulate(stream.Current()); err != nil {
				t.Fatal(err)
			}
		}
		if err := stream.Err(); err != nil {
			t.Fatal(err)
		}
		if len(answer.Content) != 1 || answer.Content[0].Text == "" || answer.StopReason == "" || answer.Usage.OutputTokens == 0 {
			t.Errorf("%+v", answer)
		}
	})
	t.Run("a wrong key is a typed 401", func(t *testing.T) {
		wrong := client("wrong")
		_, err := wrong.Messages.New(t.Context(), question)
		var typed *anthropic.Error
		if !errors.As(err, &typed) || typed.StatusCode != http.StatusUnauthorized {
			t.Errorf("%v, want a typed error with status 401", err)
		}
	})
	t.Run("maas-98 a spent budget is a typed 429 in Anthropic's shape", func(t *testing.T) {
		poor := client("key-of-bob")
		var err error
		for err == nil {
			_, err = poor.Messages.New(t.Context(), question)
		}
		var typed *anthropic.Error
		if !errors.As(err, &typed) || typed.StatusCode != http.StatusTooManyRequests || typed.Type() != anthropic.ErrorTypeRateLimitError {
			t.Errorf("%v, want a typed error with status 429 and type rate_limit_error", err)
		}
	})
}
