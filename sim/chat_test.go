package sim

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChat(t *testing.T) {
	t.Run("maas-10 the keys of an answer have the reference's order", func(t *testing.T) {
		h := start(t)
		shape := regexp.MustCompile(`^\{"id":"chatcmpl-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}","created":\d+,"model":"m",` +
			`"usage":\{"prompt_tokens":1,"completion_tokens":\d+,"total_tokens":\d+\},"object":"chat.completion",` +
			`"do_remote_decode":false,"do_remote_prefill":false,"remote_block_ids":null,"remote_engine_id":"","remote_host":"","remote_port":0,` +
			`"choices":\[\{"index":0,"finish_reason":"(stop|length)","message":\{"role":"assistant","content":".*"\}\}\]\}$`)
		for range 50 {
			w := do(h, "POST", chatPath, hello)
			if !shape.MatchString(w.Body.String()) {
				t.Fatalf("got %s", w.Body)
			}
			got := read[result](t, w.Body.String())
			if u := got.Usage; u.TotalTokens != u.PromptTokens+u.CompletionTokens || (u.CompletionTokens == 50) != (got.finish() == length) {
				t.Errorf("usage %+v with %s", *u, got.finish())
			}
			if n := len(Tokens(*got.Choices[0].Message.Content)); n != got.Usage.CompletionTokens {
				t.Errorf("%d tokens are counted as %d", n, got.Usage.CompletionTokens)
			}
		}
	})
	t.Run("maas-13 in echo mode every call costs the same", func(t *testing.T) {
		h := start(t, "--mode", "echo")
		for range 20 {
			if diff := cmp.Diff(&usage{1, 1, 2}, ask(t, h, chatPath, hello).Usage); diff != "" {
				t.Fatal(diff)
			}
		}
	})
	echo := func(body, content, finish string) func(*testing.T) {
		return func(t *testing.T) {
			got := ask(t, start(t, "--mode", "echo"), chatPath, body)
			if *got.Choices[0].Message.Content != content || got.finish() != finish {
				t.Errorf("got %q, %s", *got.Choices[0].Message.Content, got.finish())
			}
		}
	}
	t.Run("maas-127 echo answers Hello with Hello", echo(hello, "Hello", stop))
	t.Run("maas-128 echo of 3 tokens of 5 ends with length",
		echo(`{"model":"m","messages":[{"role":"user","content":"a b c d e"}],"max_tokens":3}`, "a b c ", length))
	t.Run("max_completion_tokens wins over max_tokens",
		echo(`{"model":"m","messages":[{"role":"user","content":"a b c"}],"max_tokens":1,"max_completion_tokens":2}`, "a b ", length))
	t.Run("echo answers the last user, whose content may be blocks", echo(`{"model":"m","messages":[{"role":"user","content":"first"},
		{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"x"}},{"type":"text","text":"b"}]},
		{"role":"assistant","content":null,"tool_calls":[{"id":"1"}]}]}`, "a b", stop))
	t.Run("maas-130 ignore_eos with max 10 gives exactly 10 tokens", func(t *testing.T) {
		h := start(t)
		for range 20 {
			got := ask(t, h, chatPath, `{"model":"m","messages":[{"role":"user","content":"Hello"}],"max_tokens":10,"ignore_eos":true}`)
			if got.Usage.CompletionTokens != 10 || got.finish() != length {
				t.Errorf("%d tokens, %s", got.Usage.CompletionTokens, got.finish())
			}
		}
	})
	t.Run("maas-134 the same seed and calls give the same texts", func(t *testing.T) {
		texts := func(seed string) (all []string) {
			h := start(t, "--seed", seed)
			for range 20 {
				got := ask(t, h, chatPath, hello)
				all = append(all, got.ID, *got.Choices[0].Message.Content)
			}
			return all
		}
		if diff := cmp.Diff(texts("5"), texts("5")); diff != "" {
			t.Error(diff)
		}
		if cmp.Equal(texts("5"), texts("6")) {
			t.Error("another seed gives the same texts")
		}
	})
	t.Run("a prefill hands over", func(t *testing.T) {
		w := do(start(t), "POST", chatPath, `{"model":"m","messages":[{"role":"user","content":"Hello"}],"max_tokens":1,"do_remote_decode":true}`)
		want := `"do_remote_decode":true,"do_remote_prefill":false,"remote_block_ids":["DUMMY_ID"],"remote_engine_id":"DUMMY_ID","remote_host":"DUMMY","remote_port":1234,"choices":[{"index":0,"finish_reason":"remote_decode"`
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("got %s", w.Body)
		}
	})
	t.Run("log probabilities", func(t *testing.T) {
		got := ask(t, start(t, "--mode", "echo"), chatPath, `{"model":"m","messages":[{"role":"user","content":"a b"}],"logprobs":true,"top_logprobs":2}`)
		want := `{"content":[{"token":"a ","logprob":-1,"bytes":[97,32],"top_logprobs":[{"token":"a ","logprob":-1,"bytes":[97,32]},{"token":"a _1","logprob":-1.5,"bytes":[97,32,95,49]}]},` +
			`{"token":"b","logprob":-1.1,"bytes":[98],"top_logprobs":[{"token":"b","logprob":-1.1,"bytes":[98]},{"token":"b_1","logprob":-1.6,"bytes":[98,95,49]}]}]}`
		if diff := cmp.Diff(want, string(got.Choices[0].Logprobs)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestText(t *testing.T) {
	h := start(t, "--mode", "echo")
	w := do(h, "POST", textPath, `{"model":"m","prompt":"a b, c","max_tokens":3,"logprobs":1}`)
	want := regexp.MustCompile(`^\{"id":"chatcmpl-.*","usage":\{"prompt_tokens":4,"completion_tokens":3,"total_tokens":7\},"object":"text_completion",.*` +
		`"choices":\[\{"index":0,"finish_reason":"length","text":"a b, ","logprobs":\{"tokens":\["a ","b",", "\],"token_logprobs":\[-1,-1.1,-1.2\],` +
		`"top_logprobs":\[\{"a ":-1\},\{"b":-1.1\},\{", ":-1.2\}\],"text_offset":\[0,2,3\]\}\}\]\}$`)
	if !want.MatchString(w.Body.String()) {
		t.Errorf("got %s", w.Body)
	}
	var texts, finishes []string
	for _, c := range askStream(t, h, textPath, `{"model":"m","prompt":"a b","stream":true}`) {
		texts, finishes = append(texts, c.Choices[0].Text), append(finishes, c.finish())
		if c.Object != "text_completion" {
			t.Errorf("object %q", c.Object)
		}
	}
	if diff := cmp.Diff([]string{"a ", "b", ""}, texts); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"null", "null", "stop"}, finishes); diff != "" {
		t.Error(diff)
	}
}

// outline writes a stream as one line per chunk.
func outline(chunks []result) (lines []string) {
	for _, c := range chunks {
		line := ""
		switch {
		case len(c.Choices) == 0:
			line = "no choices"
		case c.Choices[0].Delta.Role != "":
			line = fmt.Sprintf("%s %q %s", c.Choices[0].Delta.Role, *c.Choices[0].Delta.Content, c.finish())
		default:
			line = fmt.Sprintf("%q %s", *c.Choices[0].Delta.Content, c.finish())
		}
		if c.Usage != nil {
			line += fmt.Sprintf(" usage %d+%d=%d", c.Usage.PromptTokens, c.Usage.CompletionTokens, c.Usage.TotalTokens)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestStream(t *testing.T) {
	h := start(t, "--mode", "echo")
	f := func(rest string, want ...string) {
		t.Helper()
		chunks := askStream(t, h, chatPath, `{"model":"m","stream":true,"messages":[{"role":"user","content":"a b"}]`+rest+`}`)
		if diff := cmp.Diff(want, outline(chunks)); diff != "" {
			t.Errorf("%s: %s", rest, diff)
		}
		ids := map[string]bool{}
		for _, c := range chunks {
			ids[c.ID] = true
			if c.Created != chunks[0].Created || c.Object != "chat.completion.chunk" {
				t.Errorf("chunk of %d, %s in a stream of %d", c.Created, c.Object, chunks[0].Created)
			}
		}
		if len(ids) != len(chunks) {
			t.Errorf("%d ids for %d chunks", len(ids), len(chunks))
		}
	}
	t.Run("maas-129 role, tokens, stop, usage if asked, and an id per chunk", func(*testing.T) {
		f(`,"stream_options":{"include_usage":true}`,
			`assistant "" null`, `"a " null`, `"b" null`, `"" stop`, `no choices usage 2+2=4`)
		f(``, `assistant "" null`, `"a " null`, `"b" null`, `"" stop`)
		f(`,"max_tokens":1`, `assistant "" null`, `"a " length`)
	})
	t.Run("no tokens, no chunks", func(t *testing.T) {
		if chunks := askStream(t, h, chatPath, `{"model":"m","stream":true,"messages":[{"role":"user","content":"é"}]}`); len(chunks) != 0 {
			t.Errorf("got %v", outline(chunks))
		}
	})
	t.Run("chunks without usage say null", func(t *testing.T) {
		if w := do(h, "POST", chatPath, `{"model":"m","stream":true,"messages":[{"role":"user","content":"a"}]}`); strings.Count(w.Body.String(), `"usage":null`) != 3 {
			t.Errorf("got %s", w.Body)
		}
	})
}
