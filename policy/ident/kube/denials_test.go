package kube

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/egret-gateway/egret/policy/ident"
	"github.com/egret-gateway/egret/store"
)

func TestDenials(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now := start
	d := NewDenials(func() time.Time { return now })
	token := &ident.Review{ID: "a", User: ident.User{UID: "u"}}
	set := func(subjects ...string) {
		var list []store.Denial
		for _, s := range subjects {
			list = append(list, store.Denial{Subject: s, Until: start.Add(time.Hour)})
		}
		d.Set(list, now)
	}
	if !d.Lost() || d.Revoked(token) {
		t.Error("a new list has heard of nobody, and refuses nobody")
	}
	set()
	t.Run("maas-56 a token is refused by its jti", func(t *testing.T) {
		before := d.Epoch()
		set("jti:a")
		if !d.Revoked(token) || d.Epoch() == before {
			t.Errorf("revoked %v, epoch %d, was %d", d.Revoked(token), d.Epoch(), before)
		}
		if d.Revoked(&ident.Review{ID: "b", User: ident.User{UID: "u"}}) {
			t.Error("another token of the same identity is refused")
		}
	})
	t.Run("maas-42 an identity is refused by its UID", func(t *testing.T) {
		set("uid:u")
		if !d.Revoked(&ident.Review{ID: "b", User: ident.User{UID: "u"}}) || d.Revoked(&ident.Review{ID: "u", User: ident.User{UID: "b"}}) {
			t.Error("refused is who should not be, or the other way round")
		}
	})
	t.Run("what is no more denied wakes nobody", func(t *testing.T) {
		before := d.Epoch()
		set()
		if d.Epoch() != before || d.Revoked(token) {
			t.Errorf("epoch %d, was %d", d.Epoch(), before)
		}
	})
	t.Run("a denial that has ended counts no more", func(t *testing.T) {
		d.Set([]store.Denial{{Subject: "jti:a", Until: now}}, now)
		if d.Revoked(token) {
			t.Error("refused")
		}
	})
	t.Run("silence changes the epoch every second, and so does its end", func(t *testing.T) {
		seen := map[uint64]bool{d.Epoch(): true}
		now = now.Add(Silence)
		for range 3 {
			if !d.Lost() || seen[d.Epoch()] {
				t.Errorf("lost %v, epoch %d came before", d.Lost(), d.Epoch())
			}
			seen[d.Epoch()] = true
			now = now.Add(time.Second)
		}
		d.Heard(now)
		if d.Lost() || seen[d.Epoch()] {
			t.Errorf("lost %v, epoch %d came before", d.Lost(), d.Epoch())
		}
	})
	t.Run("who is heard of is not lost", func(t *testing.T) {
		before := d.Epoch()
		for range 3 {
			now = now.Add(Silence - time.Second)
			d.Heard(now)
		}
		if d.Epoch() != before {
			t.Errorf("epoch %d, was %d", d.Epoch(), before)
		}
	})
}

// TestPace: while revocations cannot be heard, reviews are spread, and who
// would have to wait too long is refused.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		began := time.Now()
		for range LostRate {
			if err := p.wait(t.Context(), time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != time.Second-time.Second/LostRate {
			t.Errorf("%d reviews took %v", LostRate, took)
		}
		refused, done := 0, make(chan error)
		const many = 5 * LostRate
		for range many {
			go func() { done <- p.wait(t.Context(), time.Now()) }()
		}
		for range many {
			if err := <-done; err != nil {
				refused++
			}
		}
		if want := many - 2*LostRate; refused < want-1 || refused > want {
			t.Errorf("%d of %d are refused, want %d", refused, many, want)
		}
	})
}
