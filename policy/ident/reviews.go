package ident

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/egret-gateway/egret/policy/ident/cache"
)

// Bounds of a Cache and of what it does while its source is away.
const (
	DefaultEntries = 50_000           // reviews remembered
	DefaultBytes   = 64 << 20         // memory they take
	Grace          = 10 * time.Second // how long reviews outlive a source that fails
	ReviewTimeout  = 3 * time.Second  // one call of a Reviewer
	retryRate      = 10               // reviews per second, all tokens together, while the source fails
)

// ErrUnavailable says that nobody can tell who holds a token right now.
var ErrUnavailable = errors.New("token review is out of reach")

// Cache remembers what a Reviewer said.
//
// An entry belongs to one exact token under one rule and its audiences, by
// digest. It ends with the rule's lifetime or the token's exp, whichever is
// first, and is reviewed again once anything was revoked since (Revoked.Epoch).
// Rejections are never kept: a token that a cluster learns about a moment
// later works at once, and no flood of invented tokens pushes good ones out.
//
// When the Reviewer fails, remembered reviews serve for Grace after the first
// failure (and at most Grace beyond their own end, never beyond exp). From then
// on every use asks again, one review at a time per token and ten per second
// over all, and is refused with ErrUnavailable until one is answered.
//
// A Cache outlives reloads of the configuration. It is for one Reviewer.
type Cache struct {
	store  *cache.Store[*reviewed]
	flight cache.Flight[*reviewed]
	lost   atomic.Int64 // unix nanoseconds of the first failure in a row; 0 = the source answers
	retry  pace
}

// reviewed is an immutable entry.
type reviewed struct {
	review   Review
	identity *Identity // nil when the token was rejected
	at       time.Time
	epoch    uint64
}

// NewCache makes a Cache for at most so many reviews and bytes; 0 means
// DefaultEntries and DefaultBytes.
func NewCache(entries, bytes int) *Cache {
	return &Cache{store: cache.NewStore[*reviewed](cmp.Or(entries, DefaultEntries), cmp.Or(bytes, DefaultBytes))}
}

// Source is where reviews come from.
type Source struct {
	Reviewer Reviewer
	Revoked  Revoked // nil = nothing is ever revoked
	Now      func() time.Time
}

func (s *Source) revoked(r *Review) bool { return s.Revoked != nil && s.Revoked.Revoked(r) }

func (s *Source) epoch() uint64 {
	if s.Revoked == nil {
		return 0
	}
	return s.Revoked.Epoch()
}

// Question is what an Identity depends on.
type Question struct {
	Rule      string // a name that no other rule has
	Token     string
	Audiences []string
	TTL       time.Duration // 0 = ask every time
}

// Identify says who holds the token, from memory when that may still be
// believed; hit reports whether it was. Errors: *Rejected, or one that wraps
// ErrUnavailable.
func (c *Cache) Identify(ctx context.Context, s *Source, q Question) (id *Identity, hit bool, err error) {
	if q.TTL <= 0 {
		e, err := c.ask(ctx, s, q, ReviewTimeout)
		if err != nil {
			return nil, false, err
		}
		id, err = e.accept(s)
		return id, false, err
	}
	k := cache.Sum(q.Rule, strings.Join(q.Audiences, "\x00"), q.Token)
	old, found := c.store.Get(k)
	if found {
		if s.revoked(&old.review) {
			c.store.Delete(k)
			return nil, true, rejected("revoked")
		}
		if now := s.Now(); old.epoch == s.epoch() && old.lives(now, q.TTL) && !c.gone(now) {
			return old.identity, true, nil
		}
	}
	limit := within(ctx, ReviewTimeout)
	e, err := c.flight.Do(ctx, k, func(ctx context.Context) (*reviewed, error) {
		e, err := c.ask(ctx, s, q, limit)
		switch {
		case err != nil:
		case e.identity != nil:
			c.store.Put(k, e, e.review.size())
		default:
			c.store.Delete(k)
		}
		return e, err
	})
	if err != nil {
		if now := s.Now(); found && old.lives(now, q.TTL+Grace) && !c.gone(now) && !s.revoked(&old.review) {
			return old.identity, true, nil
		}
		if errors.Is(err, cache.ErrLeft) {
			err = fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		return nil, false, err
	}
	id, err = e.accept(s)
	return id, false, err
}

// accept checks a fresh answer: an API server may itself answer from a memory
// of 10 s, so what it confirms may be revoked already (acceptance maas 42).
func (e *reviewed) accept(s *Source) (*Identity, error) {
	switch {
	case e.identity == nil:
		return nil, rejected("review: " + e.review.Error)
	case s.revoked(&e.review):
		return nil, rejected("revoked")
	}
	return e.identity, nil
}

// lives reports whether e is younger than ttl and its token has not ended.
func (e *reviewed) lives(now time.Time, ttl time.Duration) bool {
	return now.Before(e.at.Add(ttl)) && (e.review.Expires.IsZero() || now.Before(e.review.Expires))
}

// gone reports whether the source has failed for so long that memory no longer
// counts: revocations may have been missed.
func (c *Cache) gone(now time.Time) bool {
	since := c.lost.Load()
	return since != 0 && now.Sub(time.Unix(0, since)) >= Grace
}

// within is how long a question for others too may take, which outlives ctx: no
// longer than most, nor than who begins it can wait.
func within(ctx context.Context, most time.Duration) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return min(most, time.Until(end))
	}
	return most
}

// ask calls the Reviewer, for no longer than limit, and keeps account of
// whether it answers when it has its time.
func (c *Cache) ask(ctx context.Context, s *Source, q Question, limit time.Duration) (*reviewed, error) {
	e := &reviewed{at: s.Now()}
	if c.lost.Load() != 0 && !c.retry.allow(e.at) {
		return nil, ErrUnavailable
	}
	e.epoch = s.epoch() // before the review: a revocation during it makes the answer old
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var err error
	if e.review, err = s.Reviewer.Review(bounded, q.Token, q.Audiences); err != nil {
		hurried := limit < ReviewTimeout && errors.Is(err, context.DeadlineExceeded)
		if ctx.Err() == nil && !hurried { // a caller that leaves says nothing about the source
			c.lost.CompareAndSwap(0, s.Now().UnixNano())
		}
		return nil, fmt.Errorf("%w: %s", ErrUnavailable, without(q.Token, err.Error()))
	}
	c.lost.Store(0)
	r := &e.review
	r.Error = without(q.Token, r.Error)
	switch {
	case !r.Authenticated:
	case disjoint(q.Audiences, r.Audiences):
		r.Error = "meant for another audience"
	default:
		e.identity = &Identity{Object: r.object(), Subject: r.User.Username, Expires: r.Expires}
	}
	return e, nil
}

// disjoint reports whether a review that names audiences names none that was
// asked for. One that names none leaves that to the Reviewer.
func disjoint(asked, got []string) bool {
	return len(got) > 0 && !slices.ContainsFunc(got, func(a string) bool { return slices.Contains(asked, a) })
}

// without removes token from a text that is meant for the log.
func without(token, text string) string { return strings.ReplaceAll(text, token, "[redacted]") }

// pace lets retryRate events through per second. The zero value is ready.
type pace struct {
	mu     sync.Mutex
	second int64
	used   int
}

func (p *pace) allow(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := now.Unix(); s != p.second {
		p.second, p.used = s, 0
	}
	p.used++
	return p.used <= retryRate
}
