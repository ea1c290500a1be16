package sim

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const twoTools = `"tools":[
	{"type":"function","function":{"name":"weather","description":"the weather","parameters":{"type":"object","required":["city","days","unit"],
		"properties":{"city":{"type":"string","description":"where"},"days":{"type":"integer"},"unit":{"type":"string","enum":["C","F"]},"windy":{"type":"boolean"}}}}},
	{"type":"function","function":{"name":"sum","description":"","parameters":{"type":"object","required":["numbers"],"additionalProperties":false,
		"properties":{"numbers":{"type":"array","items":{"type":"number"},"minItems":2,"maxItems":3},
			"deep":{"type":"object","properties":{"nothing":{"type":"null"}}}}}}}]`

func toolBody(choice string) string {
	return `{"model":"m","messages":[{"role":"user","content":"Hello"}],` + twoTools + choice + `}`
}

func TestTools(t *testing.T) {
	h := start(t)
	t.Run("maas-131 tool_choice required gives calls, each as its schema wants it", func(t *testing.T) {
		for range 100 {
			got := ask(t, h, chatPath, toolBody(`,"tool_choice":"required"`))
			calls := got.Choices[0].Message.ToolCalls
			if len(calls) < 1 || len(calls) > 2 || got.finish() != toolCalls || *got.Choices[0].Message.Content != "" {
				t.Fatalf("%d calls, %s", len(calls), got.finish())
			}
			tokens := 0
			for i, c := range calls {
				checkCall(t, c, i)
				tokens += 3 + len(Tokens(c.Function.Arguments))
			}
			if got.Usage.CompletionTokens != tokens {
				t.Errorf("%d tokens, want %d", got.Usage.CompletionTokens, tokens)
			}
		}
	})
	t.Run("the wire shape of a call", func(t *testing.T) {
		shape := regexp.MustCompile(`"message":\{"role":"assistant","content":"","tool_calls":\[\{"function":\{"name":"weather","arguments":"\{.*\}","TokenizedArguments":\["\{","\\"".*\]\},"id":"chatcmpl-tool-\d{10}","type":"function","index":0\}\]`)
		if w := do(h, "POST", chatPath, toolBody(`,"tool_choice":{"type":"function","function":{"name":"weather"}}`)); !shape.MatchString(w.Body.String()) {
			t.Errorf("got %s", w.Body)
		}
	})
	t.Run("auto gives none, one or two calls; none gives a text", func(t *testing.T) {
		seen := map[int]bool{}
		for range 60 {
			seen[len(ask(t, h, chatPath, toolBody("")).Choices[0].Message.ToolCalls)] = true
		}
		if diff := cmp.Diff(map[int]bool{0: true, 1: true, 2: true}, seen); diff != "" {
			t.Error(diff)
		}
		if got := ask(t, h, chatPath, toolBody(`,"tool_choice":"none"`)); got.Choices[0].Message.ToolCalls != nil {
			t.Error("calls although tool_choice is none")
		}
	})
	t.Run("a stream has one chunk per argument token", func(t *testing.T) {
		chunks := askStream(t, h, chatPath, toolBody(`,"tool_choice":"required","stream":true,"stream_options":{"include_usage":true}`))
		if c := chunks[0].Choices[0]; c.Delta.Role != "assistant" {
			t.Error("the stream does not open with the role")
		}
		arguments := map[int]string{}
		tokens := 0
		for _, c := range chunks[1 : len(chunks)-1] {
			piece := c.Choices[0].Delta.ToolCalls[0]
			if first := arguments[piece.Index] == ""; first != (piece.Function.Name != nil) || piece.Function.TokenizedArguments != nil {
				t.Errorf("chunk %+v", piece)
			} else if first {
				tokens += 3
			}
			arguments[piece.Index] += piece.Function.Arguments
			tokens++
			if done := json.Valid([]byte(arguments[piece.Index])); done != (c.finish() == toolCalls) {
				t.Errorf("finish %s after %s", c.finish(), arguments[piece.Index])
			}
		}
		if got := chunks[len(chunks)-1].Usage.CompletionTokens; got != tokens {
			t.Errorf("usage %d, want %d", got, tokens)
		}
	})
	t.Run("schemas have bounds", func(t *testing.T) {
		deep := strings.Repeat(`{"type":"array","items":`, 20) + `{"type":"string"}` + strings.Repeat("}", 20)
		for _, parameter := range []string{deep, `{"type":"array","items":{"type":"string"},"minItems":100000}`, `{"type":"array"}`, `null`, `{"type":"date"}`} {
			body := fmt.Sprintf(`{"model":"m","messages":[],"tools":[{"type":"function","function":{"name":"f","description":"","parameters":{"type":"object","properties":{"p":%s}}}}]}`, parameter)
			if w := do(h, "POST", chatPath, body); w.Code != 400 {
				t.Errorf("%.40s: %d", parameter, w.Code)
			}
		}
	})
}

func checkCall(t *testing.T, c call, index int) {
	t.Helper()
	if c.Index != index || c.Type != "function" || strings.Join(c.Function.TokenizedArguments, "") != c.Function.Arguments {
		t.Errorf("call %+v", c)
	}
	var arguments struct {
		City    string
		Days    *int
		Unit    string
		Numbers []float64
	}
	if err := json.Unmarshal([]byte(c.Function.Arguments), &arguments); err != nil {
		t.Fatal(err)
	}
	switch *c.Function.Name {
	case "weather":
		if arguments.City == "" || arguments.Days == nil || *arguments.Days < 0 || *arguments.Days > 100 || !slices.Contains([]string{"C", "F"}, arguments.Unit) {
			t.Errorf("arguments %s", c.Function.Arguments)
		}
	case "sum":
		if n := len(arguments.Numbers); n < 2 || n > 3 {
			t.Errorf("arguments %s", c.Function.Arguments)
		}
	}
}
