package ident_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/policy/ident"
)

// denyList is a small ident.Revoked by jti.
type denyList struct {
	mu    sync.Mutex
	ids   map[string]bool
	epoch uint64
}

func (d *denyList) deny(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ids == nil {
		d.ids = map[string]bool{}
	}
	d.ids[id] = true
	d.epoch++
}

func (d *denyList) Revoked(r *ident.Review) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ids[r.ID]
}

func (d *denyList) Epoch() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.epoch
}

// realm is a small ident.Reviewer that knows its tokens, counts, takes its
// time and can be away.
type realm struct {
	mu     sync.Mutex
	tokens map[string]ident.Review
	away   error
	slow   time.Duration
	other  []string // answers for these audiences, whatever was asked
	asked  atomic.Int32
}

func (r *realm) Review(ctx context.Context, token string, audiences []string) (ident.Review, error) {
	r.asked.Add(1)
	select {
	case <-time.After(r.slow):
	case <-ctx.Done():
		return ident.Review{}, ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away != nil {
		return ident.Review{}, r.away
	}
	v, ok := r.tokens[token]
	if !ok {
		return ident.Review{Error: "unknown token " + token}, nil
	}
	v.Authenticated, v.Audiences = true, audiences
	if r.other != nil {
		v.Audiences = r.other
	}
	return v, nil
}

func (r *realm) set(change func(*realm)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

// bench is a Cache with all that is around it.
type bench struct {
	*realm
	*denyList
	*ident.Cache
	t *testing.T
}

const ttl = 600 * time.Second

func (b *bench) identify(token string, ttl time.Duration) (string, error) {
	id, _, err := b.Identify(b.t.Context(), &ident.Source{Reviewer: b.realm, Revoked: b.denyList, Now: time.Now},
		ident.Question{Rule: "p/r", Token: token, Audiences: []string{"here"}, TTL: ttl})
	if err != nil {
		return "", err
	}
	return id.Subject, nil
}

// expect asks once and compares the outcome and the number of reviews so far.
func (b *bench) expect(token, want string, asked int32) {
	b.t.Helper()
	got, err := b.identify(token, ttl)
	var rejected *ident.Rejected
	switch {
	case errors.As(err, &rejected):
		got = "rejected"
	case errors.Is(err, ident.ErrUnavailable):
		got = "unavailable"
	}
	if got != want || b.asked.Load() != asked {
		b.t.Errorf("got %q after %d reviews, want %q after %d", got, b.asked.Load(), want, asked)
	}
}

func TestCache(t *testing.T) {
	run := func(name string, test func(t *testing.T, b *bench)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &realm{tokens: map[string]ident.Review{
					"aBc": {User: ident.User{Username: "alice"}, ID: "1", Expires: time.Now().Add(time.Hour)},
					"b":   {User: ident.User{Username: "bob"}, ID: "2"},
				}}
				test(t, &bench{r, &denyList{}, ident.NewCache(0, 0), t})
			})
		})
	}
	run("a review lives as long as the rule says", func(t *testing.T, b *bench) {
		b.expect("aBc", "alice", 1)
		time.Sleep(ttl - time.Nanosecond)
		b.expect("aBc", "alice", 1)
		time.Sleep(time.Nanosecond)
		b.expect("aBc", "alice", 2)
	})
	run("and never beyond the token's exp", func(t *testing.T, b *bench) {
		b.realm.set(func(r *realm) {
			r.tokens["x"] = ident.Review{User: ident.User{Username: "x"}, Expires: time.Now().Add(time.Minute)}
		})
		b.expect("x", "x", 1)
		time.Sleep(time.Minute)
		b.realm.set(func(r *realm) { delete(r.tokens, "x") })
		b.expect("x", "rejected", 2)
	})
	run("the token counts with its case", func(t *testing.T, b *bench) {
		b.expect("aBc", "alice", 1)
		b.expect("abc", "rejected", 2)
	})
	run("rejections are not kept", func(t *testing.T, b *bench) {
		b.expect("new", "rejected", 1)
		b.realm.set(func(r *realm) { r.tokens["new"] = ident.Review{User: ident.User{Username: "n"}} })
		b.expect("new", "n", 2)
	})
	run("another rule or another audience is another question", func(t *testing.T, b *bench) {
		s := &ident.Source{Reviewer: b.realm, Now: time.Now}
		for _, q := range []ident.Question{
			{Rule: "a", Audiences: []string{"x", "y"}}, {Rule: "b", Audiences: []string{"x", "y"}}, {Rule: "a", Audiences: []string{"x"}},
		} {
			q.Token, q.TTL = "b", ttl
			for range 2 {
				if _, _, err := b.Identify(t.Context(), s, q); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n := b.asked.Load(); n != 3 {
			t.Errorf("%d reviews, want 3", n)
		}
	})
	run("a rule without a cache asks every time", func(t *testing.T, b *bench) {
		for range 3 {
			if _, err := b.identify("b", 0); err != nil {
				t.Fatal(err)
			}
		}
		if n := b.asked.Load(); n != 3 {
			t.Errorf("%d reviews, want 3", n)
		}
	})
	run("a shorter ttl counts at once", func(t *testing.T, b *bench) {
		b.expect("b", "bob", 1)
		time.Sleep(time.Minute)
		if _, err := b.identify("b", 30*time.Second); err != nil || b.asked.Load() != 2 {
			t.Errorf("%v after %d reviews", err, b.asked.Load())
		}
	})
	run("maas-42 a revoked token is refused at once", func(t *testing.T, b *bench) {
		b.expect("aBc", "alice", 1)
		b.deny("1")
		b.expect("aBc", "rejected", 1)
	})
	run("maas-42 also when a fresh review still says yes", func(t *testing.T, b *bench) {
		b.deny("1")
		b.expect("aBc", "rejected", 1)
		if _, err := b.identify("aBc", 0); err == nil {
			t.Error("the rule without a cache takes it")
		}
	})
	run("maas-42 also when it is revoked while a review is waited for that does not come", func(t *testing.T, b *bench) {
		b.expect("aBc", "alice", 1)
		time.Sleep(ttl)
		b.realm.set(func(r *realm) { r.away, r.slow = errors.New("connection refused"), time.Second })
		go func() {
			time.Sleep(time.Second / 2)
			b.deny("1")
		}()
		b.expect("aBc", "unavailable", 2)
	})
	run("a revocation makes everybody's review old", func(t *testing.T, b *bench) {
		b.expect("b", "bob", 1)
		b.deny("1")
		b.expect("b", "bob", 2)
		b.expect("b", "bob", 2)
	})
	run("a revocation while the source is away: the others keep their grace", func(t *testing.T, b *bench) {
		b.expect("aBc", "alice", 1)
		b.expect("b", "bob", 2)
		b.realm.set(func(r *realm) { r.away = errors.New("connection refused") })
		b.deny("1")
		b.expect("aBc", "rejected", 2)
		b.expect("b", "bob", 3)
		time.Sleep(10 * time.Second)
		b.expect("b", "unavailable", 4)
	})
	run("a review that is for another audience is none", func(t *testing.T, b *bench) {
		b.realm.set(func(r *realm) { r.other = []string{"there"} })
		b.expect("b", "rejected", 1)
	})
	run("concurrent questions make one review", func(t *testing.T, b *bench) {
		b.slow = time.Second
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if who, err := b.identify("b", ttl); who != "bob" {
					t.Errorf("%q, %v", who, err)
				}
			})
		}
		wg.Wait()
		b.expect("b", "bob", 1)
	})
	run("maas-94 a source that is away: 10 s of grace, then refused", func(t *testing.T, b *bench) {
		b.expect("b", "bob", 1)
		time.Sleep(ttl)
		b.realm.set(func(r *realm) { r.away = errors.New("connection refused") })
		b.expect("b", "bob", 2)
		time.Sleep(10*time.Second - time.Nanosecond)
		b.expect("b", "bob", 3)
		time.Sleep(time.Nanosecond)
		b.expect("b", "unavailable", 4)
		b.realm.set(func(r *realm) { r.away = nil })
		b.expect("b", "bob", 5)
	})
	run("what was fresh is asked again after the grace", func(t *testing.T, b *bench) {
		b.expect("aBc", "alice", 1)
		b.realm.set(func(r *realm) { r.away = errors.New("connection refused") })
		b.expect("b", "unavailable", 2)
		time.Sleep(9 * time.Second)
		b.expect("aBc", "alice", 2)
		time.Sleep(time.Second)
		b.expect("aBc", "unavailable", 3)
		b.realm.set(func(r *realm) { r.away = nil })
		b.expect("aBc", "alice", 4)
		b.expect("aBc", "alice", 4)
	})
	run("an identity of long ago has no grace", func(t *testing.T, b *bench) {
		b.expect("b", "bob", 1)
		time.Sleep(ttl + 10*time.Second)
		b.realm.set(func(r *realm) { r.away = errors.New("connection refused") })
		b.expect("b", "unavailable", 2)
	})
	run("a source that is away is asked ten times per second", func(t *testing.T, b *bench) {
		b.realm.set(func(r *realm) { r.away = errors.New("connection refused") })
		for range 100 {
			_, _ = b.identify("b", ttl)
		}
		b.expect("b", "unavailable", 11)
		time.Sleep(time.Second)
		b.expect("b", "unavailable", 12)
	})
	run("a source that does not answer is given 3 s", func(t *testing.T, b *bench) {
		b.slow = time.Hour
		start := time.Now()
		b.expect("b", "unavailable", 1)
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("it took %s", d)
		}
	})
	run("no error and no reason repeats the token", func(t *testing.T, b *bench) {
		const token = "s3cr3t-token"
		_, err := b.identify(token, ttl)
		if err == nil || strings.Contains(err.Error(), token) {
			t.Errorf("rejected with %v", err)
		}
		b.realm.set(func(r *realm) { r.away = errors.New("post /tokenreviews " + token + ": refused") })
		if _, err = b.identify(token, ttl); err == nil || strings.Contains(err.Error(), token) {
			t.Errorf("unavailable with %v", err)
		}
	})
}

func TestReviewObject(t *testing.T) {
	r := &realm{tokens: map[string]ident.Review{"t": {User: ident.User{
		Username: "system:serviceaccount:ns:alice", UID: "7", Groups: []string{"g", "h"}, Extra: map[string][]string{"k": {"v"}},
	}}}}
	got, _, err := ident.NewCache(0, 0).Identify(t.Context(), &ident.Source{Reviewer: r, Now: time.Now},
		ident.Question{Token: "t", Audiences: []string{"here"}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"authenticated": true,
		"user": map[string]any{
			"username": "system:serviceaccount:ns:alice", "uid": "7",
			"groups": []any{"g", "h"}, "extra": map[string]any{"k": []any{"v"}},
		},
		"audiences": []any{"here"},
	}
	if diff := cmp.Diff(any(want), got.Object); diff != "" {
		t.Error(diff)
	}
}
