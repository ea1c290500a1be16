package sdk

import (
	"errors"
	"net/http"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/azure"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"

	"github.com/egret-gateway/egret/lab/fake"
)

const (
	prompt = "What is the weather in Paris?"
	system = "Be brief."
)

// costs of an answer that repeats the prompt
var in, out = int64(fake.Tokens(prompt) + fake.Tokens(system)), int64(fake.Tokens(prompt))

var weather = map[string]any{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}, "days": map[string]any{"type": "integer"}}, "required": []string{"city", "days"}}

// called is the arguments that the fakes make of weather.
const called = `{"city":"` + prompt + `","days":1}`

func question() openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{Model: "gpt-4o", Messages: []openai.ChatCompletionMessageParamUnion{openai.SystemMessage(system), openai.UserMessage(prompt)}}
}

func TestOpenAI(t *testing.T) {
	w := fake.New(t)
	client := func(key string) openai.Client {
		return openai.NewClient(option.WithAPIKey(key), option.WithHTTPClient(w.HTTP()), option.WithMaxRetries(0), option.WithBaseURL("https://api.openai.com/v1"))
	}
	c := client(w.OpenAI.Key)
	t.Run("chat", func(t *testing.T) { chat(t, c) })
	t.Run("refusals", func(t *testing.T) {
		for status, call := range map[int]func() error{
			401: func() error {
				c := client("sk-wrong")
				_, err := c.Chat.Completions.New(t.Context(), question())
				return err
			},
			404: func() error {
				q := question()
				q.Model = "gpt-9"
				_, err := c.Chat.Completions.New(t.Context(), q)
				return err
			},
			429: func() error {
				w.OpenAI.Next(fake.Fault{Status: 429, RetryAfter: "7"})
				_, err := c.Chat.Completions.New(t.Context(), question())
				return err
			},
			500: func() error {
				w.OpenAI.Next(fake.Fault{Status: 500})
				_, err := c.Chat.Completions.New(t.Context(), question())
				return err
			},
		} {
			var typed *openai.Error
			if err := call(); !errors.As(err, &typed) || typed.StatusCode != status || typed.Message == "" || typed.Type == "" {
				t.Errorf("%v, want a typed %d", err, status)
			}
			if status == 429 && typed.Response.Header.Get("Retry-After") != "7" {
				t.Error("no Retry-After")
			}
		}
	})
	t.Run("broken streams", func(t *testing.T) {
		for _, then := range []fake.Break{fake.Cut, fake.Fail, fake.Garble} {
			w.OpenAI.Next(fake.Fault{After: 2, Then: then})
			s := c.Chat.Completions.NewStreaming(t.Context(), question())
			for s.Next() {
			}
			if s.Err() == nil {
				t.Errorf("%s: the client noticed nothing", then)
			}
		}
	})
	t.Run("models", func(t *testing.T) {
		page, err := c.Models.List(t.Context())
		if err != nil || len(page.Data) != 3 || page.Data[0].ID != "gpt-4o" {
			t.Errorf("%+v, %v", page, err)
		}
	})
	t.Run("responses", func(t *testing.T) { respond(t, c) })
}

// chat is what OpenAI and Azure have in common.
func chat(t *testing.T, c openai.Client) {
	answer, err := c.Chat.Completions.New(t.Context(), question())
	if err != nil {
		t.Fatal(err)
	}
	if answer.Choices[0].Message.Content != prompt || answer.Usage.PromptTokens != in || answer.Usage.CompletionTokens != out {
		t.Errorf("%s", answer.RawJSON())
	}
	q := question()
	q.StreamOptions.IncludeUsage = openai.Bool(true)
	var all openai.ChatCompletionAccumulator
	s := c.Chat.Completions.NewStreaming(t.Context(), q)
	for s.Next() {
		if !all.AddChunk(s.Current()) {
			t.Errorf("a chunk that does not fit: %s", s.Current().RawJSON())
		}
	}
	if s.Err() != nil || all.Choices[0].Message.Content != prompt || all.Usage.TotalTokens != in+out {
		t.Errorf("%v: %+v", s.Err(), all.ChatCompletion)
	}
	q = question()
	q.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{Name: "weather", Parameters: weather})}
	answer, err = c.Chat.Completions.New(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if call := answer.Choices[0].Message.ToolCalls[0]; call.Function.Name != "weather" || call.Function.Arguments != called || answer.Choices[0].FinishReason != "tool_calls" {
		t.Errorf("%s", answer.RawJSON())
	}
	streamed := openai.ChatCompletionAccumulator{}
	s = c.Chat.Completions.NewStreaming(t.Context(), q)
	for s.Next() {
		streamed.AddChunk(s.Current())
	}
	if s.Err() != nil || streamed.Choices[0].Message.ToolCalls[0].Function.Arguments != called {
		t.Errorf("%v: %+v", s.Err(), streamed.ChatCompletion)
	}
	q.Messages = append(q.Messages, answer.Choices[0].Message.ToParam(), openai.ToolMessage("It rains.", answer.Choices[0].Message.ToolCalls[0].ID))
	if answer, err = c.Chat.Completions.New(t.Context(), q); err != nil || answer.Choices[0].Message.Content != "It rains." {
		t.Errorf("after the tool: %v, %v", answer, err)
	}
}

func respond(t *testing.T, c openai.Client) {
	q := responses.ResponseNewParams{Model: "gpt-4o", Instructions: openai.String(system), Input: responses.ResponseNewParamsInputUnion{OfString: openai.String(prompt)}}
	answer, err := c.Responses.New(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if answer.OutputText() != prompt || answer.Usage.InputTokens != in || answer.Usage.OutputTokens != out {
		t.Errorf("%s", answer.RawJSON())
	}
	q.Tools = []responses.ToolUnionParam{responses.ToolParamOfFunction("weather", weather, false)}
	for _, tools := range []bool{false, true} {
		if !tools {
			q.Tools = nil
		} else {
			q.Tools = []responses.ToolUnionParam{responses.ToolParamOfFunction("weather", weather, false)}
		}
		s := c.Responses.NewStreaming(t.Context(), q)
		var text string
		var final responses.Response
		for s.Next() {
			switch e := s.Current().AsAny().(type) {
			case responses.ResponseTextDeltaEvent:
				text += e.Delta
			case responses.ResponseFunctionCallArgumentsDeltaEvent:
				text += e.Delta
			case responses.ResponseCompletedEvent:
				final = e.Response
			}
		}
		want := prompt
		if tools {
			want = called
		}
		if s.Err() != nil || text != want || final.Usage.InputTokens != in {
			t.Errorf("tools %v: %v: %q, %s", tools, s.Err(), text, final.RawJSON())
		}
	}
}

func TestAzureOpenAI(t *testing.T) {
	w := fake.New(t)
	const version = "2024-10-21"
	with := func(auth option.RequestOption) openai.Client {
		return openai.NewClient(azure.WithEndpoint(w.Azure.URL(), version), auth, option.WithHTTPClient(w.HTTP()), option.WithMaxRetries(0))
	}
	t.Run("key", func(t *testing.T) { chat(t, with(azure.WithAPIKey(w.Azure.Key))) })
	t.Run("wrong key", func(t *testing.T) {
		c := with(azure.WithAPIKey("wrong"))
		_, err := c.Chat.Completions.New(t.Context(), question())
		var typed *openai.Error
		if !errors.As(err, &typed) || typed.StatusCode != http.StatusUnauthorized {
			t.Errorf("%v", err)
		}
	})
	for name, credential := range identities(t, w) {
		t.Run(name, func(t *testing.T) {
			w.Azure.Forget()
			chat(t, with(azure.WithTokenCredential(credential)))
			if seen := w.Azure.Journal()[0]; seen.Subject != "app "+w.App.ID {
				t.Errorf("called as %q", seen.Subject)
			}
		})
	}
}
