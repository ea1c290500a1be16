package dialect

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOfPath(t *testing.T) {
	f := func(path string, want Dialect) {
		t.Helper()
		if got := OfPath(path); got != want {
			t.Errorf("OfPath(%q) = %q, want %q", path, got, want)
		}
	}
	f("/v1/chat/completions", OpenAIChat)
	f("/external/openai/v1/chat/completions", OpenAIChat)
	f("/openai/deployments/gpt/chat/completions", OpenAIChat)
	f("/v1/Chat/Completions//", OpenAIChat)
	f("//v1///chat//completions", OpenAIChat)
	f("/v1/completions", OpenAICompletions)
	f("/llm/team/model/v1/completions", OpenAICompletions)
	f("/openai/responses", OpenAIResponses)
	f("/v1/responses/", OpenAIResponses)
	f("/anthropic/v1/messages", AnthropicMessages)
	f("/messages", AnthropicMessages)
	f("/v1/threads/thread_1/messages", None)
	f("/v1/messages/count_tokens", None)
	f("/v1/responses/resp_1", None)
	f("/external/v1/models", None)
	f("/v1/autocompletions", None)
	f("completions", None)
	f("", None)
}

func TestRead(t *testing.T) {
	f := func(d Dialect, body string, want Call) {
		t.Helper()
		got, err := Read(d, []byte(body))
		if err != nil {
			t.Errorf("Read(%s): %v", body, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Read(%s) (-want +got):\n%s", body, diff)
		}
	}
	f(OpenAIChat, `{"model":"m"}`, Call{Dialect: OpenAIChat, Model: "m"})
	f(OpenAIChat, ` { "mod\u0065l" : "m\u00e9\/\ud83d\ude00" } `, Call{Dialect: OpenAIChat, Model: "mé/😀"})
	f(OpenAIChat, `{"messages":[],"stream":true,"stream_options":{"x":[{}],"include_usage":true}}`,
		Call{Dialect: OpenAIChat, Stream: true, WantsUsage: true})
	f(OpenAIChat, `{"model":"m","stream":null,"stream_options":null,"max_tokens":null}`, Call{Dialect: OpenAIChat, Model: "m"})
	f(OpenAIChat, `{"model":"m","max_tokens":7,"max_completion_tokens":9}`, Call{Dialect: OpenAIChat, Model: "m", MaxTokens: 9})
	f(OpenAIResponses, `{"model":"m","max_output_tokens":5,"input":"four"}`,
		Call{Dialect: OpenAIResponses, Model: "m", MaxTokens: 5, InputBytes: 4})
	f(OpenAIChat, `{"model":"m","max_tokens":-1}`, Call{Dialect: OpenAIChat, Model: "m"})
	f(OpenAICompletions, `{"model":"m","prompt":["ab","cd"]}`, Call{Dialect: OpenAICompletions, Model: "m", InputBytes: 4})
	f(OpenAICompletions, `{"model":"m","prompt":[[1,2],[3]]}`, Call{Dialect: OpenAICompletions, Model: "m", InputBytes: 12})
	f(AnthropicMessages, `{"model":"m","system":"abc","messages":[{"role":"user","content":"d"},{"role":"user","content":[{"type":"text","text":"\u20ac"},{"type":"image","source":{"type":"base64","data":"AAAAAAAA"}}]}]}`,
		Call{Dialect: AnthropicMessages, Model: "m", InputBytes: 7})
	f(OpenAIChat, `{"model":"m","x":{"model":"n","stream":5},"y":[{"model":1}]}`, Call{Dialect: OpenAIChat, Model: "m"})
	f(AnthropicMessages, `{"to":"bob","body":"a chat program has messages too"}`, Call{})
	f(None, `not even JSON`, Call{})
	// A server that needs no model takes these for calls.
	f(OpenAIChat, `{"mess\u0061ges":[{"content":"12345"}]}`, Call{Dialect: OpenAIChat, InputBytes: 5})
	f(OpenAIChat, `{"Messages":[{"content":"12345"}]}`, Call{Dialect: OpenAIChat, InputBytes: 5})
	f(OpenAIResponses, `{"conversation":"c","stream":true}`, Call{Dialect: OpenAIResponses, Stream: true})
	f(OpenAIResponses, `{"conversation":"c","stream":false}`, Call{})
}

func TestReadRefuses(t *testing.T) {
	f := func(body, field, why string) {
		t.Helper()
		_, err := Read(OpenAIChat, []byte(body))
		var bad *BadBody
		if !errors.As(err, &bad) {
			t.Errorf("Read(%.60q): error %v, want a BadBody", body, err)
		} else if bad.Field != field || !strings.Contains(bad.Error(), why) {
			t.Errorf("Read(%.60q): field %q, %q; want field %q and %q", body, bad.Field, bad, field, why)
		}
	}
	f(``, "", "empty")
	f(`  `, "", "not valid JSON")
	f(`model=m`, "", "not valid JSON")
	f(`[]`, "", "must be a JSON object")
	f(`"m"`, "", "must be a JSON object")
	f(`{"model":"m"`, "", "not valid JSON")
	f(`{"model":"m"} {}`, "", "not valid JSON")
	f(`{"model":"m",}`, "", "not valid JSON")
	f(`{"model":"a`+"\n"+`b"}`, "", "not valid JSON")
	f(`{"n":01}`, "", "not valid JSON")
	f(`{"model":`, "", "not valid JSON")
	f(`{"stream_options":{"include_usage"`, "", "not valid JSON")
	f("\ufeff{}", "", "not valid JSON")
	f("{\"mo\xffdel\":\"m\"}", "", "UTF-8")
	f("\x1f\x8b\x08", "", "UTF-8")
	f(`{"x":`+strings.Repeat("[", maxDepth)+strings.Repeat("]", maxDepth)+`}`, "", "deeper than 1000")
	f(strings.Repeat("[", 10_000), "", "must be")
	f(`{"x":`+strings.Repeat(`{"x":`, 5_000_000), "", "deeper than 1000")

	f(`{"model":"a","model":"b"}`, "model", "more than once")
	f(`{"model":"a","mod\u0065l":"a"}`, "model", "more than once")
	f(`{"model":"a","Model":"b"}`, "model", `spelled "Model"`)
	f(`{"MODEL":"a"}`, "model", `spell it "model"`)
	f(`{"m\u004fdel":"a"}`, "model", `spelled "mOdel"`)
	f(`{"ſtream":true}`, "stream", "spelled") // long s folds to s in readers that match by Unicode
	f(`{"max_to\u212aens":1}`, "max_tokens", "spelled")
	f(`{"model\u0000":"a"}`, "", "control characters")
	f(`{"model\ud800":"a"}`, "", "broken escapes")
	f(`{"stream":true,"stream":false}`, "stream", "more than once")
	f(`{"max_tokens":1,"max_tokens":9}`, "max_tokens", "more than once")
	f(`{"max_completion_tokens":1,"max_completion_tokens":9}`, "max_completion_tokens", "more than once")
	f(`{"max_output_tokens":1,"max_output_tokens":9}`, "max_output_tokens", "more than once")
	f(`{"stream_options":null,"stream_options":{}}`, "stream_options", "more than once")
	f(`{"stream_options":{"include_usage":true,"include_us\u0061ge":false}}`, "stream_options.include_usage", "more than once")
	f(`{"stream_options":{"Include_Usage":true}}`, "include_usage", "spelled")

	f(`{"model":7}`, "model", "must be a string")
	f(`{"model":null}`, "model", "must be a string")
	f(`{"model":["m"]}`, "model", "must be a string")
	f(`{"model":"a\r\nX-Evil: 1"}`, "model", "control characters")
	f(`{"model":"\udc00"}`, "model", "broken escapes")
	f(`{"model":"`+strings.Repeat("m", maxModel+1)+`"}`, "model", "longer than 1024")
	f(`{"stream":"true"}`, "stream", "true or false")
	f(`{"stream":1}`, "stream", "true or false")
	f(`{"stream_options":[]}`, "stream_options", "an object")
	f(`{"stream_options":{"include_usage":1}}`, "stream_options.include_usage", "true or false")
	f(`{"max_tokens":"9"}`, "max_tokens", "whole number")
	f(`{"max_tokens":1.5}`, "max_tokens", "whole number")
	f(`{"max_tokens":1e3}`, "max_tokens", "whole number")
	f(`{"max_tokens":9223372036854775808}`, "max_tokens", "whole number")
}

// TestScanner compares the scanner with encoding/json.
func TestScanner(t *testing.T) {
	f := func(text string) {
		t.Helper()
		if got, want := scansAll([]byte(text)), json.Valid([]byte(text)); got != want {
			t.Errorf("%.80q: scanner says %v, encoding/json %v", text, got, want)
		}
	}
	for _, text := range scanSeeds {
		f(text)
		for i := range len(text) {
			f(text[:i])
			f(text[:i] + "," + text[i:])
		}
	}
	for c := range 256 {
		f("\"12345678" + string([]byte{byte(c)}) + "12345678\"")
	}
}

var scanSeeds = []string{
	`{}`, `[]`, `{"a":[1,{"b":null}],"c":{}}`, `[[],[[]],{}]`, `[1,-0,0.5,1e9,-1.25E-3,10]`, `[01]`, `[1.]`, `[-]`, `[1e]`, `[.5]`, `[+1]`,
	`"\u00e9\n\"\\\/\b"`, `"\x"`, `"\u12g4"`, `true`, `false`, `null`, `nul`, ` { "a" : 1 } `, `{"a" 1}`, `{1:2}`, `[1 2]`, `{"a":1]`, `[1}`,
}

// scansAll reports whether the scanner accepts a text, stepping over every token.
func scansAll(text []byte) bool {
	s := scanner{b: text}
	for {
		switch s.next() {
		case end:
			return true
		case bad:
			return false
		}
	}
}

func TestPatch(t *testing.T) {
	ask := func(d Dialect, body, want string) {
		t.Helper()
		got, err := AskUsage(d, []byte(body))
		if err != nil || string(got) != want {
			t.Errorf("AskUsage(%s) = %s, %v; want %s", body, got, err, want)
		}
	}
	ask(OpenAIChat, `{"stream":true}`, `{"stream":true,"stream_options":{"include_usage":true}}`)
	ask(OpenAICompletions, "{\"stream\":true \n}\n", "{\"stream\":true \n,\"stream_options\":{\"include_usage\":true}}\n")
	ask(OpenAIChat, `{"stream_options":{},"stream":true}`, `{"stream_options":{"include_usage":true},"stream":true}`)
	ask(OpenAIChat, `{"stream_options":{"a":1},"stream":true}`, `{"stream_options":{"a":1,"include_usage":true},"stream":true}`)
	ask(OpenAIChat, `{"stream_options": null,"stream":true}`, `{"stream_options": {"include_usage":true},"stream":true}`)
	ask(OpenAIChat, `{"stream_options":{"include_usage":false,"a":1},"stream":true}`, `{"stream_options":{"include_usage":true,"a":1},"stream":true}`)
	ask(OpenAIChat, `{"stream_options":{"include_usage":true},"stream":true}`, `{"stream_options":{"include_usage":true},"stream":true}`)
	ask(OpenAIChat, `{"stream":false}`, `{"stream":false}`)
	ask(OpenAIChat, `{}`, `{}`)
	ask(OpenAIResponses, `{"stream":true}`, `{"stream":true}`)
	ask(AnthropicMessages, `{"stream":true}`, `{"stream":true}`)
	if _, err := AskUsage(OpenAIChat, []byte(`{"stream":true,"stream_options":7}`)); err == nil {
		t.Error("AskUsage patched a body that cannot be served")
	}

	set := func(body, model, want string) {
		t.Helper()
		got, err := SetModel([]byte(body), model)
		if err != nil || string(got) != want {
			t.Errorf("SetModel(%s, %q) = %s, %v; want %s", body, model, got, err, want)
		}
	}
	set(`{ "a":{"model":"x"}, "model" : "m" , "b":1.0}`, "n", `{ "a":{"model":"x"}, "model" : "n" , "b":1.0}`)
	set(`{"mod\u0065l":"m"}`, "n", `{"mod\u0065l":"n"}`)
	set(`{"model":"m"}`, "a\"\\\n\xff", `{"model":"a\"\\\u000a`+"\ufffd"+`"}`)
	set(`{"model":"\u006d"}`, "m", `{"model":"\u006d"}`)
	set(`{}`, "n", `{"model":"n"}`)
	set(`{"a":1}`, "n", `{"a":1,"model":"n"}`)
	if _, err := SetModel([]byte(`{"model":"a","model":"b"}`), "n"); err == nil {
		t.Error("SetModel patched an ambiguous body")
	}
}

func TestPatchCopies(t *testing.T) {
	body := []byte(`{"model":"m","stream":true}`)
	before := string(body)
	room := append(make([]byte, 0, 200), body...)
	if _, err := AskUsage(OpenAIChat, room); err != nil || string(room) != before {
		t.Errorf("AskUsage changed its argument to %s (%v)", room, err)
	}
	if _, err := SetModel(room, "n"); err != nil || string(room) != before {
		t.Errorf("SetModel changed its argument to %s (%v)", room, err)
	}
}

func TestRefusesUsage(t *testing.T) {
	f := func(body string, want bool) {
		t.Helper()
		if got := RefusesUsage([]byte(body)); got != want {
			t.Errorf("RefusesUsage(%.80s) = %v", body, got)
		}
	}
	t.Run("maas-109 a 400 that names the field is recognised", func(t *testing.T) {
		f(`{"error":{"message":"Unknown field: stream_options","code":400}}`, true)
		f(`{"detail":[{"loc":["body","stream_options","include_usage"],"msg":"extra fields not permitted"}]}`, true)
		f(`{"error":{"message":"max_tokens is too large"}}`, false)
		f(fmt.Sprintf("%70000s", "stream_options"), false)
		f(``, false)
	})
}
