package quota

import (
	"context"
	"fmt"
	"testing"
	"time"
)

func BenchmarkReserveSettle(b *testing.B) {
	m := NewMemory(Options{})
	ctx := context.Background()
	draw := []Bucket{{Key: Key("tokenlimit.free__0a1b2c3d", "default/bridge", "60", "alice"), Max: 1 << 60, Window: time.Minute, Settle: true}}
	b.ReportAllocs()
	for b.Loop() {
		v, _ := m.Reserve(ctx, draw)
		_ = m.Settle(ctx, v.Ticket, 42)
	}
}

func BenchmarkReservation(b *testing.B) {
	m := NewMemory(Options{})
	ctx := context.Background()
	draw := []Bucket{{Key: Key("tokenlimit.free__0a1b2c3d", "default/bridge", "60", "alice"), Max: 1 << 60, Window: time.Minute, Settle: true, Take: 100, TTL: time.Minute}}
	b.ReportAllocs()
	for b.Loop() {
		v, _ := m.Reserve(ctx, draw)
		_ = m.Settle(ctx, v.Ticket, 42)
	}
}

func BenchmarkReserveSettleParallel(b *testing.B) {
	for _, keys := range []int{1, 1024} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			m := NewMemory(Options{})
			ctx := context.Background()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				draws := make([][]Bucket, keys)
				for i := range draws {
					draws[i] = []Bucket{{Key: Key("limit", fmt.Sprint(i)), Max: 1 << 60, Window: time.Minute, Settle: true}}
				}
				for i := 0; pb.Next(); i++ {
					v, _ := m.Reserve(ctx, draws[i%keys])
					_ = m.Settle(ctx, v.Ticket, 42)
				}
			})
		})
	}
}
