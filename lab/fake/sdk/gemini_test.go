package sdk

import (
	"encoding/json"
	"errors"
	"testing"

	"google.golang.org/genai"

	"github.com/egret-gateway/egret/lab/fake"
)

func TestGemini(t *testing.T) {
	w := fake.New(t)
	client := func(key string) *genai.Client {
		c, err := genai.NewClient(t.Context(), &genai.ClientConfig{APIKey: key, Backend: genai.BackendGeminiAPI, HTTPClient: w.HTTP()})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := client(w.Gemini.Key)
	t.Run("generate", func(t *testing.T) { generate(t, c) })
	t.Run("count", func(t *testing.T) {
		n, err := c.Models.CountTokens(t.Context(), "gemini-2.0-flash", genai.Text(prompt), nil)
		if err != nil || int64(n.TotalTokens) != out {
			t.Errorf("%v, %v", n, err)
		}
	})
	t.Run("refusals", func(t *testing.T) {
		for status, prepare := range map[int]func() *genai.Client{
			400: func() *genai.Client { return client("wrong") },
			429: func() *genai.Client { w.Gemini.Next(fake.Fault{Status: 429}); return c },
			503: func() *genai.Client { w.Gemini.Next(fake.Fault{Status: 503}); return c },
		} {
			_, err := prepare().Models.GenerateContent(t.Context(), "gemini-2.0-flash", genai.Text(prompt), nil)
			var typed genai.APIError
			if !errors.As(err, &typed) || typed.Code != status || typed.Status == "" {
				t.Errorf("%v, want a typed %d", err, status)
			}
		}
	})
}

func generate(t *testing.T, c *genai.Client) {
	config := &genai.GenerateContentConfig{SystemInstruction: genai.NewContentFromText(system, genai.RoleUser)}
	answer, err := c.Models.GenerateContent(t.Context(), "gemini-2.0-flash", genai.Text(prompt), config)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Text() != prompt || int64(answer.UsageMetadata.PromptTokenCount) != in || int64(answer.UsageMetadata.CandidatesTokenCount) != out {
		t.Errorf("%+v", answer)
	}
	var text string
	var used *genai.GenerateContentResponseUsageMetadata
	for chunk, err := range c.Models.GenerateContentStream(t.Context(), "gemini-2.0-flash", genai.Text(prompt), config) {
		if err != nil {
			t.Fatal(err)
		}
		text, used = text+chunk.Text(), chunk.UsageMetadata
	}
	if text != prompt || int64(used.TotalTokenCount) != in+out {
		t.Errorf("%q for %+v", text, used)
	}
	config.Tools = []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{{Name: "weather", Parameters: &genai.Schema{
		Type: genai.TypeObject, Properties: map[string]*genai.Schema{"city": {Type: genai.TypeString}, "days": {Type: genai.TypeInteger}}, Required: []string{"city", "days"},
	}}}}}
	answer, err = c.Models.GenerateContent(t.Context(), "gemini-2.0-flash", genai.Text(prompt), config)
	if err != nil {
		t.Fatal(err)
	}
	calls := answer.FunctionCalls()
	if args, _ := json.Marshal(calls[0].Args); calls[0].Name != "weather" || string(args) != called {
		t.Errorf("%+v", calls[0])
	}
}
