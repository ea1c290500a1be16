package sim

import "testing"

func BenchmarkChat(b *testing.B) {
	h := start(b)
	for b.Loop() {
		do(h, "POST", chatPath, hello)
	}
}

func BenchmarkStream(b *testing.B) {
	h := start(b)
	for b.Loop() {
		do(h, "POST", chatPath, `{"model":"m","messages":[{"role":"user","content":"Hello"}],"max_tokens":100,"ignore_eos":true,"stream":true}`)
	}
}
