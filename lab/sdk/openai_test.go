package sdk

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/egret-gateway/egret/lab/child"
)

func TestMain(m *testing.M) { child.Main(m) }

func TestOpenAI(t *testing.T) {
	g := child.Quickstart(t, "--manifests", child.Fixed(t))
	client := func(token, path string) openai.Client {
		return openai.NewClient(option.WithBaseURL(g.URL+path), option.WithAPIKey(token), option.WithHTTPClient(g.Client), option.WithMaxRetries(0))
	}
	token := g.Mint(t, g.UserToken)
	c := client(token, "/external/v1")
	question := openai.ChatCompletionNewParams{Model: "gpt-4-external", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hello, is anybody there?")}}

	t.Run("list", func(t *testing.T) {
		list := client(token, "/v1")
		page, err := list.Models.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Data) != 2 || page.Data[0].ID != "gpt-4-external" || page.Data[1].OwnedBy != "anthropic" {
			t.Errorf("%+v", page.Data)
		}
	})
	t.Run("chat", func(t *testing.T) {
		answer, err := c.Chat.Completions.New(t.Context(), question)
		if err != nil {
			t.Fatal(err)
		}
		if len(answer.Choices) != 1 || answer.Choices[0].Message.Content != "Hello, is anybody there?" || answer.Usage.TotalTokens == 0 {
			t.Errorf("%+v", answer)
		}
	})
	t.Run("maas-108 stream", func(t *testing.T) {
		streamed := question
		streamed.StreamOptions.IncludeUsage = openai.Bool(true)
		stream := c.Chat.Completions.NewStreaming(t.Context(), streamed)
		var text strings.Builder
		var total int64
		for stream.Next() {
			chunk := stream.Current()
			if len(chunk.Choices) > 0 {
				text.WriteString(chunk.Choices[0].Delta.Content)
			}
			total += chunk.Usage.TotalTokens
		}
		if err := stream.Err(); err != nil {
			t.Fatal(err)
		}
		if text.String() != "Hello, is anybody there?" || total == 0 {
			t.Errorf("%q for %d tokens", text.String(), total)
		}
	})
	t.Run("a wrong token is a typed 401", func(t *testing.T) {
		wrong := client("wrong", "/external/v1")
		_, err := wrong.Chat.Completions.New(t.Context(), question)
		var typed *openai.Error
		if !errors.As(err, &typed) || typed.StatusCode != http.StatusUnauthorized {
			t.Errorf("%v, want a typed error with status 401", err)
		}
	})
	t.Run("a spent budget is a typed 429", func(t *testing.T) {
		long := question
		long.Messages = []openai.ChatCompletionMessageParamUnion{openai.UserMessage(strings.Repeat("word ", 100))}
		var err error
		for err == nil {
			_, err = c.Chat.Completions.New(t.Context(), long)
		}
		var typed *openai.Error
		if !errors.As(err, &typed) || typed.StatusCode != http.StatusTooManyRequests || typed.Code != "rate_limit_exceeded" || !strings.Contains(typed.Message, "free-user-tokens") {
			t.Errorf("%v, want a typed error with status 429 and code rate_limit_exceeded that names the limit", err)
		}
		if stream := c.Chat.Completions.NewStreaming(t.Context(), long); stream.Next() || !errors.As(stream.Err(), &typed) || typed.StatusCode != http.StatusTooManyRequests {
			t.Errorf("a stream: %v, want the same", stream.Err())
		}
	})
}
