package dialect

import (
	"fmt"
	"strings"
	"testing"
)

func BenchmarkEvent(b *testing.B) {
	f := func(name string, strip bool, pieces ...string) {
		b.Run(name, func(b *testing.B) {
			r := NewReply(OpenAIChat, sse, strip)
			var bs [][]byte
			size := 0
			for _, p := range pieces {
				bs = append(bs, []byte(p))
				size += len(p)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				for _, p := range bs {
					r.Next(p, false)
				}
			}
		})
	}
	f("passing", false, delta)
	f("passing, usage will be removed", true, delta)
	f("cut in two", true, delta[:100], delta[100:])
	f("usage", false, extra)
}

func BenchmarkUnary(b *testing.B) {
	body := []byte(`{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"` +
		strings.Repeat("Alas, poor Yorick! ", 50) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}`)
	r := NewReply(OpenAIChat, jsonType, false)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(OpenAIChat, jsonType, false)
		r.Next(body, true)
		if _, ok := r.Usage(); !ok {
			b.Fatal("no usage")
		}
	}
}

func benchRequest(words int) []byte {
	return fmt.Appendf(nil, `{"model":"gpt-4-external","stream":true,"temperature":0.7,"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":%q}]}`,
		strings.Repeat("Alas, poor Yorick! ", words))
}

func BenchmarkRequest(b *testing.B) {
	for _, words := range []int{10, 1000} {
		body := benchRequest(words)
		f := func(name string, do func() error) {
			b.Run(fmt.Sprintf("%s of %d bytes", name, len(body)), func(b *testing.B) {
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				for b.Loop() {
					if err := do(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		f("read", func() error { _, err := Read(OpenAIChat, body); return err })
		f("ask usage", func() error { _, err := AskUsage(OpenAIChat, body); return err })
		f("set model", func() error { _, err := SetModel(body, "gpt-4o"); return err })
	}
}
