package dialect

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var dialects = []Dialect{OpenAIChat, OpenAICompletions, OpenAIResponses, AnthropicMessages, None}

// pieces cuts b in two to four parts at places that cuts gives.
func pieces(b []byte, cuts uint32) (all [][]byte) {
	for range 3 {
		n := int(cuts & 0xff)
		if cuts >>= 8; n < len(b) {
			all = append(all, b[:n])
			b = b[n:]
		}
	}
	return append(all, b)
}

// plainEvents is a slow and simple reading of server-sent events: the data of each, the last one also without its blank line.
func plainEvents(stream string) (all []string) {
	stream = strings.TrimPrefix(stream, "\ufeff")
	stream = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(stream)
	var data []string
	for line := range strings.SplitSeq(stream+"\n\n", "\n") {
		name, value, _ := strings.Cut(line, ":")
		switch {
		case line == "" && data != nil:
			all = append(all, strings.Join(data, "\n"))
			data = nil
		case name == "data":
			data = append(data, strings.TrimPrefix(value, " "))
		}
	}
	return all
}

// splitEvents reads the same through splitter and eventData.
func splitEvents(stream []byte) (all []string) {
	var s splitter
	var room []byte
	for first := true; len(stream) > 0; first = false {
		n := s.next(stream)
		if n == 0 {
			n = len(stream)
		}
		event := stream[:n]
		stream = stream[n:]
		if first {
			event = bytes.TrimPrefix(event, []byte("\ufeff"))
		}
		var data []byte
		if data, room = eventData(event, room); data != nil {
			all = append(all, string(data))
		}
	}
	return all
}

func FuzzSSE(f *testing.F) {
	for _, g := range goldens(f) {
		f.Add(g.get("provider answers"), uint32(0x40_50_60), uint8(1))
	}
	f.Add([]byte("\ufeffdata:a\r\rdata: b\r\ndata\r\n\r\n\n\n: c\ndata:d"), uint32(0x01_02_03), uint8(0))
	f.Add([]byte(extra+"\r\n\r\n"+doneLine), uint32(0x80), uint8(4))
	f.Fuzz(func(t *testing.T, stream []byte, cuts uint32, kind uint8) {
		if diff := cmp.Diff(plainEvents(string(stream)), splitEvents(stream)); diff != "" {
			t.Errorf("events (-plain +split):\n%s", diff)
		}
		d := dialects[int(kind>>1)%len(dialects)]
		strip := kind&1 == 1
		whole := NewReply(d, sse, strip)
		want := pass(whole, stream)
		if !(strip && d.asksUsage()) && !bytes.Equal(stream, want) {
			t.Errorf("%q came out as %q", stream, want)
		}
		parts := NewReply(d, sse, strip)
		if got := pass(parts, pieces(stream, cuts)...); !bytes.Equal(want, got) {
			t.Errorf("in one piece %q, in pieces %q", want, got)
		}
		if diff := cmp.Diff(factsOf(whole, Call{}), factsOf(parts, Call{})); diff != "" {
			t.Errorf("known in one piece and in pieces:\n%s", diff)
		}
	})
}

// sole returns the one place of a usage number in body, and false where duplicates or escapes make that a matter of taste.
func sole(body []byte, names ...string) (v any, ok bool) {
	for _, name := range names {
		if bytes.Count(body, []byte(`"`+name+`"`)) != 1 {
			return nil, false
		}
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if bytes.IndexByte(body, '\\') >= 0 || d.Decode(&v) != nil {
		return nil, false
	}
	for _, name := range names {
		members, _ := v.(map[string]any)
		if v, ok = members[name]; !ok {
			return nil, false
		}
	}
	return v, true
}

func FuzzUsage(f *testing.F) {
	for _, g := range goldens(f) {
		f.Add(g.get("provider answers"), uint8(0))
	}
	for i, body := range []string{
		`{"usage":{"total_tokens":-1}}`, `{"usage":{"prompt_tokens":1e3,"total_tokens":9}}`, `{"usage":{"total_tokens":99999999999999999999}}`,
		`{"message":{"usage":{"input_tokens":1,"output_tokens":2}}}`, `{"response":{"usage":{"total_tokens":9}},"usage":null}`,
		`{"usage":{"prompt_tokens":2,"prompt_tokens_details":{"cached_tokens":9}}}`, `{"usage":{"total_tokens":1},"usage":{"total_tokens":2}}`,
	} {
		f.Add([]byte(body), uint8(i))
	}
	f.Fuzz(func(t *testing.T, body []byte, kind uint8) {
		d := dialects[int(kind)%len(dialects)]
		r := NewReply(d, jsonType, true)
		if got := r.Next(body, true); !bytes.Equal(got, body) || !r.Done() {
			t.Errorf("%q came out as %q, done %v", body, got, r.Done())
		}
		if e := r.Estimate(Call{}); e.Total < 1 || e.Total > int64(len(body))+3*maxCount || e.Exact {
			t.Errorf("estimate %+v of %d bytes", e, len(body))
		}
		u, ok := r.Usage()
		if !ok {
			if u != (Usage{}) {
				t.Errorf("no usage, but %+v", u)
			}
			return
		}
		if !json.Valid(body) {
			t.Errorf("usage %+v from what is not JSON", u)
		}
		for _, n := range []int64{u.Input, u.Output, u.Total, u.Cached, u.CacheWrite, u.Reasoning} {
			if n < 0 || n > 4*maxCount {
				t.Errorf("usage %+v", u)
			}
		}
		if u.Cached+u.CacheWrite > u.Input || u.Reasoning > u.Output || !u.Exact {
			t.Errorf("parts exceed the whole: %+v", u)
		}
		if v, one := sole(body, "usage", "total_tokens"); one && v != nil && d != AnthropicMessages {
			if number, _ := v.(json.Number); string(number) != strconv.FormatInt(u.Total, 10) && strings.Trim(string(number), "0") != "" {
				t.Errorf("total %d, encoding/json reads %v", u.Total, v)
			}
		}
	})
}

func requestSeeds(f *testing.F) (all [][]byte) {
	for _, g := range goldens(f) {
		all = append(all, g.get("request.json"))
	}
	for _, body := range []string{
		`{}`, ` { "mod\u0065l" : "a\/b\ud83d\ude00" , "stream":null}`, `{"Model":"a","model":"b"}`, `{"ſtream":true}`, `{"max_to\u212aens":1}`,
		`{"stream":true,"stream_options":{}}`, `{"stream":true,"stream_options":{"include_usage":null,"x":{"include_usage":1}}}`,
		`{"stream":true,"stream_options":null,"stream_options":null}`, `{"model":"a","x":[[[{"model":"b"}]]],"prompt":[1,[2]]}`,
		"{\"mod\xffel\":1}", `{"max_tokens":-0}`, `{"stream":true,"a":"}"}`,
	} {
		all = append(all, []byte(body))
	}
	return all
}

func FuzzRead(f *testing.F) {
	for i, body := range requestSeeds(f) {
		f.Add(body, uint8(i))
	}
	f.Fuzz(func(t *testing.T, body []byte, kind uint8) {
		d := dialects[int(kind)%(len(dialects)-1)]
		got, err := Read(d, body)
		if err != nil {
			if got != (Call{}) || err.Error() == "" {
				t.Errorf("%v with %+v", err, got)
			}
			return
		}
		if got.InputBytes < 0 || got.InputBytes > 4*len(body) {
			t.Errorf("%d bytes of text in a body of %d", got.InputBytes, len(body))
		}
		var want struct {
			Model         string
			Stream        bool
			StreamOptions struct {
				IncludeUsage bool `json:"include_usage"`
			} `json:"stream_options"`
			A int64 `json:"max_tokens"`
			B int64 `json:"max_completion_tokens"`
			C int64 `json:"max_output_tokens"`
		}
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("accepted %q, encoding/json says %v", body, err)
		}
		read := Call{got.Dialect, want.Model, want.Stream, want.StreamOptions.IncludeUsage, max(0, want.A, want.B, want.C), got.InputBytes}
		if diff := cmp.Diff(read, got); diff != "" {
			t.Errorf("%q (-encoding/json +Read):\n%s", body, diff)
		}
	})
}

// members decodes an object one level deep.
func members(t *testing.T, body []byte) (m map[string]json.RawMessage) {
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	return m
}

func FuzzPatch(f *testing.F) {
	for i, body := range requestSeeds(f) {
		f.Add(body, "model "+strconv.Itoa(i))
	}
	f.Fuzz(func(t *testing.T, body []byte, model string) {
		before, err := Read(OpenAIChat, body)
		asked, askErr := AskUsage(OpenAIChat, body)
		named, nameErr := SetModel(body, model)
		if err != nil {
			if askErr == nil || nameErr == nil {
				t.Errorf("patched what cannot be served: %v, %v", askErr, nameErr)
			}
			return
		}
		if askErr != nil || nameErr != nil {
			t.Fatalf("%q: %v, %v", body, askErr, nameErr)
		}
		was := members(t, body)

		is := members(t, asked)
		if before.Stream {
			options := members(t, is["stream_options"])
			if string(options["include_usage"]) != "true" {
				t.Errorf("%q became %q", body, asked)
			}
			if old := was["stream_options"]; old != nil && string(old) != "null" {
				wasOptions := members(t, old)
				delete(wasOptions, "include_usage")
				delete(options, "include_usage")
				if diff := cmp.Diff(wasOptions, options); diff != "" {
					t.Errorf("other options changed:\n%s", diff)
				}
			}
			delete(is, "stream_options")
			without := members(t, body)
			delete(without, "stream_options")
			if diff := cmp.Diff(without, is); diff != "" {
				t.Errorf("other members changed:\n%s", diff)
			}
		} else if !bytes.Equal(body, asked) {
			t.Errorf("%q became %q", body, asked)
		}
		if again, err := AskUsage(OpenAIChat, asked); err != nil || !bytes.Equal(again, asked) {
			t.Errorf("asked twice: %q, %v", again, err)
		}

		is = members(t, named)
		var got string
		if err := json.Unmarshal(is["model"], &got); err != nil || got != strings.ToValidUTF8(model, "\ufffd") && !strings.Contains(got, "\ufffd") {
			t.Errorf("model %q became %q, %v", model, got, err)
		}
		delete(is, "model")
		delete(was, "model")
		if diff := cmp.Diff(was, is); diff != "" {
			t.Errorf("other members changed:\n%s", diff)
		}
	})
}

func FuzzScan(f *testing.F) {
	for _, text := range scanSeeds {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := scanner{b: text}
		token := s.next()
		for token != end && token != bad {
			token = s.next()
		}
		if got, want := token == end, json.Valid(text); got != want && !s.deep {
			t.Errorf("%q: scanner says %v, encoding/json %v", text, got, want)
		}
	})
}
