package dialect

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	sse      = "text/event-stream"
	jsonType = "application/json"
	delta    = `data: {"id":"c1","object":"chat.completion.chunk","created":1763870000,"model":"gpt-4-external","system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"content":" Yorick"},"logprobs":null,"finish_reason":null}],"usage":null}` + "\n\n"
	extra    = `data: {"id":"c1","model":"gpt-4-external","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}` + "\n\n"
	doneLine = "data: [DONE]\n\n"
)

func TestUsage(t *testing.T) {
	f := func(d Dialect, body string, want Usage, ok bool) {
		t.Helper()
		r := NewReply(d, jsonType, false)
		pass(r, []byte(body))
		got, gotOK := r.Usage()
		if diff := cmp.Diff(want, got); diff != "" || ok != gotOK {
			t.Errorf("%s %.100s: ok %v, usage (-want +got):\n%s", d, body, gotOK, diff)
		}
	}
	exact := func(in, out, total int64) Usage { return Usage{Input: in, Output: out, Total: total, Exact: true} }
	none := Usage{}

	f(OpenAIChat, `{"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}`, exact(3, 5, 8), true)
	f(OpenAIChat, `{"usage":{"prompt_tokens":3,"completion_tokens":5}}`, exact(3, 5, 8), true)
	f(OpenAIChat, `{"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":20}}`, exact(3, 5, 20), true)
	f(OpenAIChat, `{"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}`, exact(0, 0, 0), true)
	f(OpenAIChat, `{"usage":{"prompt_tokens":3,"completion_tokens":null,"total_tokens":3,"prompt_tokens_details":null}}`, exact(3, 0, 3), true)
	f(OpenAIChat, `{"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8,"prompt_tokens_details":{"cached_tokens":-1},"completion_tokens_details":{"reasoning_tokens":6}}}`, exact(3, 5, 8), true)
	f(OpenAIResponses, `{"usage":{"input_tokens":3,"output_tokens":5,"total_tokens":8,"output_tokens_details":{"reasoning_tokens":4}}}`,
		Usage{Input: 3, Output: 5, Total: 8, Reasoning: 4, Exact: true}, true)
	f(AnthropicMessages, `{"usage":{"input_tokens":3,"output_tokens":5,"cache_read_input_tokens":7,"cache_creation_input_tokens":null}}`,
		Usage{Input: 10, Output: 5, Total: 15, Cached: 7, Exact: true}, true)
	f(AnthropicMessages, `{"usage":{"input_tokens":3}}`, none, false)
	f(None, `{"usage":{"total_tokens":8}}`, exact(0, 0, 8), true)
	f(None, `{"usage":{"prompt_tokens":8}}`, none, false)
	f(None, `{"usage":{"total_tokens":"8"}}`, none, false)
	f(None, `{"x":{"usage":{"total_tokens":8}}}`, none, false)

	for _, number := range []string{`-1`, `1.5`, `8.0`, `1e3`, `"8"`, `true`, `[]`, `{}`, `1099511627777`, `99999999999999999999999`} {
		f(OpenAIChat, `{"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":`+number+`}}`, none, false)
		f(OpenAIChat, `{"usage":{"prompt_tokens":`+number+`,"total_tokens":8}}`, none, false)
		f(AnthropicMessages, `{"usage":{"input_tokens":3,"output_tokens":`+number+`}}`, none, false)
	}
	f(OpenAIChat, `{"usage":{"total_tokens":1099511627776}}`, exact(0, 0, 1<<40), true)
	for _, body := range []string{``, `null`, `[]`, `{"usage":null}`, `{"usage":{}}`, `{"usage":[8]}`, `{"choices":[{"usage":{"total_tokens":8}}]}`,
		`{"usage":{"total_tokens":8}`, `{"usage":{"total_tokens":8}} x`, `usage total_tokens 8`} {
		f(OpenAIChat, body, none, false)
	}
}

func TestEstimate(t *testing.T) {
	f := func(body string, c Call, in, out, total int64) {
		t.Helper()
		r := NewReply(OpenAIChat, jsonType, false)
		pass(r, []byte(body))
		if diff := cmp.Diff(Usage{Input: in, Output: out, Total: total}, r.Estimate(c)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
	t.Run("maas-100 an answer without usage is charged by estimate, one token at least", func(t *testing.T) {
		f(`{"choices":[{"message":{"content":"12345678"}}]}`, Call{InputBytes: 9}, 3, 2, 5)
		f(`{"choices":[{"message":{"content":"\u00e9\u00e9"}}]}`, Call{}, 0, 1, 1)
		f(`{"choices":[]}`, Call{}, 0, 0, 1)
		f(`{}`, Call{}, 0, 0, 1)
		f(``, Call{}, 0, 0, 1)
		f(`plain text, not JSON`, Call{}, 0, 5, 5)
	})
}

func TestStreamPasses(t *testing.T) {
	t.Run("maas-108 usage is known after [DONE]", func(t *testing.T) {
		r := NewReply(OpenAIChat, sse, false)
		r.Next([]byte(delta+extra+doneLine), false)
		u, ok := r.Usage()
		if diff := cmp.Diff(Usage{Input: 3, Output: 5, Total: 8, Exact: true}, u); !ok || diff != "" || !r.Done() {
			t.Errorf("ok %v done %v (-want +got):\n%s", ok, r.Done(), diff)
		}
	})
	t.Run("maas-110 bytes pass at once when the client asked for usage", func(t *testing.T) {
		r := NewReply(OpenAIChat, sse, false)
		for _, piece := range []string{"da", "ta: {\"cho", delta[8:], extra[:40]} {
			b := []byte(piece)
			if got := r.Next(b, false); len(got) != len(b) || &got[0] != &b[0] {
				t.Errorf("piece %q came out as %q", piece, got)
			}
		}
	})
	t.Run("maas-110 a complete event passes at once when the usage chunk must be removed", func(t *testing.T) {
		f := func(r *Reply, piece, want string) {
			t.Helper()
			if got := string(r.Next([]byte(piece), false)); got != want {
				t.Errorf("%q came out as %q, want %q", piece, got, want)
			}
		}
		r := NewReply(OpenAIChat, sse, true)
		f(r, delta, delta)
		f(r, delta+delta[:30], delta)
		f(r, delta[30:], delta)
		f(r, ": ping\n\n", ": ping\n\n")
		f(r, extra[:50], "")
		f(r, extra[50:]+doneLine[:3], "")
		f(r, doneLine[3:], doneLine)
	})
	t.Run("maas-109 only the chunk that was caused is removed", func(t *testing.T) {
		f := func(d Dialect, event string, removed bool) {
			t.Helper()
			r := NewReply(d, sse, true)
			if got := string(r.Next([]byte(event), false)); (got == "") != removed {
				t.Errorf("%s: %q came out as %q", d, event, got)
			}
		}
		f(OpenAIChat, extra, true)
		f(OpenAICompletions, extra, true)
		f(OpenAIChat, "data: {\"usage\": {\"total_tokens\":8}, \"choices\": [ ]}\r\n\r\n", true)
		f(OpenAIChat, delta, false)
		f(OpenAIChat, `data: {"choices":[],"usage":null}`+"\n\n", false)
		f(OpenAIChat, `data: {"usage":{"total_tokens":8}}`+"\n\n", false)
		f(OpenAIChat, `data: {"choices":[{}],"usage":{"total_tokens":8}}`+"\n\n", false)
		f(OpenAIChat, `data: {"choices":[],"usage":{"total_tokens":8}`+"\n\n", false)
		f(OpenAIResponses, extra, false)
		f(AnthropicMessages, extra, false)
		f(None, extra, false)
	})
}

func TestBounds(t *testing.T) {
	long := `data: {"model":"m","choices":[{"delta":{"content":"` + strings.Repeat("x", maxHeld) + `"}}]}` + "\n\n"
	t.Run("an event over 1 MiB is passed on, counted, and ends removing", func(t *testing.T) {
		r := NewReply(OpenAIChat, sse, true)
		var got []byte
		in := []byte(long + extra + doneLine)
		for piece := range bytes.SplitSeq(in, []byte("xxxx")) {
			got = append(got, r.Next(append(bytes.Clone(piece), "xxxx"...), false)...)
			if len(r.held) > maxHeld+8 && r.strip {
				t.Fatalf("%d bytes held", len(r.held))
			}
		}
		if want := string(in) + "xxxx"; string(got) != want {
			t.Errorf("%d bytes came out, want %d", len(got), len(want))
		}
		if u, _ := r.Usage(); u.Total != 8 {
			t.Errorf("usage %+v after a long event", u)
		}
	})
	t.Run("an event over 16 MiB passes unread and counts as text", func(t *testing.T) {
		r := NewReply(OpenAIChat, sse, true)
		piece := bytes.Repeat([]byte("x"), 1<<20)
		in, out := 0, 0
		for range 20 {
			in += len(piece)
			out += len(r.Next(piece, false))
			if cap(r.held) > 4*maxBody {
				t.Fatalf("%d bytes kept", cap(r.held))
			}
		}
		out += len(r.Next([]byte("\n\n"+delta+extra+doneLine), true))
		in += len("\n\n" + delta + extra + doneLine)
		if in != out {
			t.Errorf("%d bytes in, %d out", in, out)
		}
		if u, _ := r.Usage(); u.Total != 8 || !r.Done() {
			t.Errorf("usage %+v, done %v after a lost event", u, r.Done())
		}
		if e := r.Estimate(Call{}); e.Output < 5<<20 || e.Output > 5<<20+8 {
			t.Errorf("estimate %+v", e)
		}
	})
	t.Run("a body over 16 MiB passes and is estimated", func(t *testing.T) {
		r := NewReply(OpenAIChat, jsonType, true)
		piece := bytes.Repeat([]byte("x"), 1<<20)
		for i := range 20 {
			if got := r.Next(piece, i == 19); len(got) != len(piece) || &got[0] != &piece[0] {
				t.Fatal("another piece came out")
			}
		}
		if e := r.Estimate(Call{}); e.Total != 5<<20 || !r.Done() || r.held != nil {
			t.Errorf("estimate %+v, done %v, %d bytes kept", e, r.Done(), cap(r.held))
		}
	})
	t.Run("a stream of line ends takes linear time", func(t *testing.T) {
		in := bytes.Repeat([]byte("a\r"), maxHeld/2)
		r := NewReply(OpenAIChat, sse, true)
		if got := r.Next(in, true); len(got) != len(in) {
			t.Errorf("%d of %d bytes came out", len(got), len(in))
		}
	})
	t.Run("deep nesting is not read and not a danger", func(t *testing.T) {
		r := NewReply(OpenAIChat, jsonType, true)
		r.Next(bytes.Repeat([]byte(`{"message":`), 1<<20), true)
		if _, ok := r.Usage(); ok || !r.Done() {
			t.Error("usage was read from a broken body")
		}
	})
	t.Run("large buffers do not outlive a Reset", func(t *testing.T) {
		r := NewReply(OpenAIChat, jsonType, true)
		r.Next(make([]byte, 1<<20), false)
		r.Reset(OpenAIChat, sse, true)
		if cap(r.held) > keepRoom {
			t.Errorf("%d bytes kept", cap(r.held))
		}
	})
}

func TestOtherBodies(t *testing.T) {
	f := func(d Dialect, contentType string, want mode) {
		t.Helper()
		if got := modeOf(d, contentType); got != want {
			t.Errorf("modeOf(%q, %q) = %d, want %d", d, contentType, got, want)
		}
	}
	f(None, "application/octet-stream", passing)
	f(None, "", passing)
	f(None, "application/json; charset=utf-8", unary)
	f(None, "application/problem+json", unary)
	f(None, "Text/Event-Stream;charset=utf-8", events)
	f(OpenAIChat, "", unary)
	f(OpenAIChat, "text/plain", unary)
	f(OpenAIChat, " text/event-stream ", events)

	r := NewReply(None, "application/octet-stream", false)
	if got := r.Next([]byte("abc"), true); string(got) != "abc" || !r.Done() || r.Broken() {
		t.Errorf("%q done %v broken %v", got, r.Done(), r.Broken())
	}
}

func TestEnds(t *testing.T) {
	f := func(d Dialect, body string, done, broken bool) {
		t.Helper()
		r := NewReply(d, sse, false)
		pass(r, []byte(body))
		if r.Done() != done || r.Broken() != broken {
			t.Errorf("%s %q: done %v, broken %v", d, body, r.Done(), r.Broken())
		}
	}
	f(OpenAIChat, delta+doneLine, true, false)
	f(OpenAIChat, delta+"data:[DONE]", true, false)
	f(OpenAIChat, delta+doneLine+": bye", true, false)
	f(OpenAIChat, delta, false, true)
	f(OpenAIChat, delta[:50], false, true)
	f(OpenAIChat, "", false, true)
	f(AnthropicMessages, "data: {\"type\":\"message_stop\"}\n\n", true, false)
	f(AnthropicMessages, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n", true, false)
	f(AnthropicMessages, "data: {\"type\":\"ping\"}\n\n", false, true)
	f(OpenAIResponses, "data: {\"type\":\"response.incomplete\",\"response\":{}}\n\n", true, false)
	f(OpenAIResponses, "data: {\"type\":\"response.output_text.done\"}\n\n", false, true)
	f(None, "data: 1\n\n", true, false)
	f(None, "data: 1\n", false, true)
}

func TestCut(t *testing.T) {
	f := func(strip bool, sent, want string) {
		t.Helper()
		r := NewReply(OpenAIChat, sse, strip)
		r.Next([]byte(sent), false)
		event := string(ErrorEvent(OpenAIChat, "upstream_broken", "the provider closed the stream"))
		if got := string(r.Cut("upstream_broken", "the provider closed the stream")); got != want+event {
			t.Errorf("after %q: %q", sent, got)
		}
	}
	f(false, delta, "")
	f(false, delta+delta[:20], "\n\n")
	f(true, delta+delta[:20], "") // the client has not seen the beginning
	if got := NewReply(OpenAIChat, jsonType, false).Cut("c", "m"); got != nil {
		t.Errorf("a unary answer was cut with %q", got)
	}
}

func TestAllocations(t *testing.T) {
	f := func(name string, strip bool, pieces ...string) {
		t.Run(name, func(t *testing.T) {
			r := NewReply(OpenAIChat, sse, strip)
			var bs [][]byte
			for _, p := range pieces {
				bs = append(bs, []byte(p))
			}
			n := testing.AllocsPerRun(200, func() {
				for _, b := range bs {
					r.Next(b, false)
				}
			})
			if n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
	for _, strip := range []bool{false, true} {
		f(fmt.Sprint("whole events, removing ", strip), strip, delta, delta+delta)
		f(fmt.Sprint("events in two pieces, removing ", strip), strip, delta[:70], delta[70:]+delta[:9], delta[9:])
		f(fmt.Sprint("usage, removing ", strip), strip, delta+extra+delta)
	}
}

// TestLeavingAfterTheFirstNumbers: some providers give numbers with the first
// event, and again at the end. A client that leaves in between has had more
// than the first ones say.
func TestLeavingAfterTheFirstNumbers(t *testing.T) {
	first := `data: {"choices":[{"delta":{"content":"ab"}}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}` + "\n\n"
	f := func(name, body string, exact bool, want int64) {
		t.Helper()
		r := NewReply(OpenAIChat, sse, false)
		pass(r, []byte(body))
		u, ok := r.Usage()
		if !ok {
			u = r.Estimate(Call{InputBytes: 12})
		}
		if ok != exact || u.Exact != exact || u.Total != want {
			t.Errorf("%s: %+v, exact %v; want %d, exact %v", name, u, ok, want, exact)
		}
	}
	f("numbers with the last text", first, true, 4)
	f("text behind the numbers", first+delta+delta, false, 4+4)
	f("the end", first+delta+delta+doneLine, true, 4)
	f("numbers at the end", first+delta+extra+doneLine, true, 8)
	f("numbers at the end, and nobody waits for the very end", first+delta+extra, true, 8)
}
