package sqlite_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/egret-gateway/egret/store"
	"github.com/egret-gateway/egret/store/sqlite"
)

// BenchmarkSave writes what a Writer writes at once, from a quiet gateway to a busy one; see the metric ns/entry.
func BenchmarkSave(b *testing.B) {
	for _, size := range []int{1, 20, 512} {
		b.Run(fmt.Sprintf("%d entries", size), func(b *testing.B) {
			s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "egret.db"))
			check(b, err)
			defer s.Close()
			batch := make([]store.Entry, size)
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				for i := range batch {
					n++
					batch[i] = store.Entry{
						ID: fmt.Sprintf("%032x", n), Time: noon, User: "kube:admin", Tier: "free", Route: "default/external",
						Backend: "default/openai", ModelAsked: "gpt-4o", ModelServed: "gpt-4o", Dialect: "openai.chat", Verdict: "ok",
						Status: 200, Input: 10, Output: 20, Total: 30, Exact: true,
					}
				}
				check(b, s.Save(b.Context(), batch, []store.Counter{counter}))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/entry")
		})
	}
}
