package rule

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestPointer(t *testing.T) {
	// The document of RFC 6901, section 5.
	const document = `{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8,
		"twice":1,"twice":2,"x":{"0":"zero","n":null,"big":12345678901234567890,"f":1.50,"s":"\u00e9","l":[1,[2.5,{"a":true}]]}}`
	f := func(pointer string, want any) {
		t.Helper()
		in := &Input{RequestBody: []byte(document)}
		got, err := eval(t, `requestBodyJSON(`+strconv.Quote(pointer)+`)`, in)
		if err != nil {
			t.Errorf("%q: %v", pointer, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: %s", pointer, d)
		}
	}
	f("/foo", []any{"bar", "baz"})
	f("/foo/0", "bar")
	f("/", int64(0))
	f("/a~1b", int64(1))
	f("/c%d", int64(2))
	f("/e^f", int64(3))
	f("/g|h", int64(4))
	f("/i\\j", int64(5))
	f("/k\"l", int64(6))
	f("/ ", int64(7))
	f("/m~0n", int64(8))
	f("/twice", int64(2))
	f("/x/0", "zero")
	f("/x/n", nil)
	f("/x/big", 12345678901234567890.0)
	f("/x/f", 1.5)
	f("/x/s", "é")
	f("/x/l", []any{int64(1), []any{2.5, map[string]any{"a": true}}})
	f("/x/l/1/1/a", true)

	f("/nope", nil)
	f("/foo/2", nil)
	f("/foo/-", nil)
	f("/foo/-1", nil)
	f("/foo/00", nil)
	f("/foo/+1", nil)
	f("/foo/0/0", nil)
	f("/nope/deeper", nil)
	f("/~01", nil)
}

func TestPointerRefused(t *testing.T) {
	f := func(body, pointer, want string) {
		t.Helper()
		in := &Input{RequestBody: []byte(body)}
		_, err := eval(t, `requestBodyJSON(`+strconv.Quote(pointer)+`)`, in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q at %q: %v, want %q", body, pointer, err, want)
		}
	}
	f(`{}`, "a", "does not begin with a slash")
	f(``, "/a", "the request body is not JSON")
	f(`{"a":1`, "/a", "the request body is not JSON")
	f(`{"a":1} {}`, "/a", "the request body is not JSON")
	f(`a=1`, "/a", "the request body is not JSON")
	f(strings.Repeat("[", 1<<20), "/0", "the request body is not JSON")
}

func TestBodyFollowsInput(t *testing.T) {
	p, err := Compile(`responseBodyJSON("/n")`)
	if err != nil {
		t.Fatal(err)
	}
	in := &Input{}
	if got, err := p.Eval(in); err == nil {
		t.Errorf("before the answer: %v", got)
	}
	for i, body := range []string{`{"n":1}`, `{"n":2}`} {
		in.ResponseBody = []byte(body)
		if got, err := p.Eval(in); got != int64(i+1) {
			t.Errorf("answer %d: %v, %v", i+1, got, err)
		}
	}
}

// FuzzPointer compares the search in place with decoding the whole body.
func FuzzPointer(f *testing.F) {
	f.Add(`{"a":{"b":[1,2.5,"x"]}}`, "/a/b/1")
	f.Add(`{"a":1,"a":{"b":null}}`, "/a/b")
	f.Add(`{"\u0061/b":"\n","~":[]}`, "/a~1b")
	f.Add(`[[],{"":{"":-0.0}}]`, "/1//")
	f.Add(` "x" `, "")
	f.Fuzz(func(t *testing.T, document, pointer string) {
		if !json.Valid([]byte(document)) || !utf8.ValidString(document) || strings.Contains(document, `\u`) {
			return // what is not Unicode, the two repair differently
		}
		got, err := point([]byte(document), pointer)
		if (err != nil) != (pointer != "" && pointer[0] != '/') {
			t.Fatalf("%q: %v", pointer, err)
		}
		if err != nil {
			return
		}
		d := json.NewDecoder(strings.NewReader(document))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			return
		}
		want := numbers(v)
		if pointer != "" {
			for token := range strings.SplitSeq(pointer[1:], "/") {
				want = step(want, strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~"))
			}
		}
		if d := cmp.Diff(want, native(got)); d != "" {
			t.Fatalf("%q at %q: %s", document, pointer, d)
		}
	})
}

// step is child over decoded values.
func step(v any, token string) any {
	switch v := v.(type) {
	case map[string]any:
		return v[token]
	case []any:
		if n, err := strconv.Atoi(token); err == nil && n >= 0 && n < len(v) && strconv.Itoa(n) == token {
			return v[n]
		}
	}
	return nil
}
