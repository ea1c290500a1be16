package telemetry

import (
	"strings"
	"sync"
	"sync/atomic"
)

// maxValue bounds one label value in bytes.
const maxValue = 128

// bound lets the first n distinct values of a label pass and calls the rest
// "other": callers choose models and users, and each value is memory for ever.
type bound struct {
	max  int64
	seen sync.Map // string → struct{}
	size atomic.Int64
}

func newBound(n int64) *bound { return &bound{max: n} }

func (b *bound) value(s string) string {
	if s == "" {
		return ""
	}
	if _, ok := b.seen.Load(s); ok {
		return s
	}
	if len(s) > maxValue || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0xFFFD }) {
		return other
	}
	if b.size.Add(1) > b.max {
		b.size.Add(-1)
		return other
	}
	if _, raced := b.seen.LoadOrStore(s, struct{}{}); raced {
		b.size.Add(-1)
	}
	return s
}
