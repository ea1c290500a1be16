package account

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/egret-gateway/egret/plan"
)

// Options are an office's ways to the world. The zero Options serve accounts
// that need no token.
type Options struct {
	// HTTP reaches token endpoints; nil reaches none. It must be guarded as
	// backends are (provider.Pool.Client): users choose the names.
	HTTP http.RoundTripper
	// Metadata reaches the clouds' metadata services (Metadata); nil reaches
	// none.
	Metadata http.RoundTripper
	// Getenv and ReadFile are how a pod learns of its own identity
	// (AWS_WEB_IDENTITY_TOKEN_FILE, AZURE_FEDERATED_TOKEN_FILE, …); nil = it
	// has none. No user can choose what they are asked.
	Getenv   func(string) string
	ReadFile func(string) ([]byte, error)
	Now      func() time.Time // nil = time.Now
	Log      *slog.Logger     // nil = none
}

// Times of tokens.
const (
	wait       = 4500 * time.Millisecond // that a request waits for its first token
	fetchTime  = 10 * time.Second        // that fetching may take
	margin     = 5 * time.Second         // before its end that a token is not used any more: it must be good when it arrives
	firstPause = time.Second             // after a failure
	mostPause  = time.Minute             // after many
	idle       = time.Hour               // that a token is kept for which nobody asks; one that never came is kept for mostPause
	shortest   = 10 * time.Second        // life of a token that is of any use
	longest    = 24 * time.Hour          // that a token is believed to live
	look       = 5 * time.Second         // between looks at what is about to expire
	doubt      = 30 * time.Second        // that a token is believed, whatever a backend says of it
	maxTokens  = 4096                    // that are kept
	maxOfOne   = 256                     // of them by one namespace
	atOnce     = 64                      // that are fetched at the same time
	atOnceOne  = 4                       // of them by one namespace
)

// grant is what was got: a token, or keys of a role.
type grant struct {
	Value   string
	keys    keys
	Expires time.Time
}

// fetch gets a grant.
type fetch func(context.Context) (grant, error)

// Office gets tokens, keeps them and renews them.
type Office struct {
	opts Options
	due  chan *ticket

	mu      sync.Mutex
	tickets map[string]*ticket
	shares  map[string]*share // by namespace
}

// share is what the accounts of one namespace have of the office: who names an
// endpoint that hangs waits for it alone.
type share struct {
	slots chan struct{} // one for each ticket that is being fetched
	kept  int           // tickets
}

// ticket is one token, over all its renewals. Its fields are the Office's to
// lock.
type ticket struct {
	name      string // for the log
	share     *share
	namespace string
	fetch     fetch
	grant     grant
	got       time.Time // when grant was
	used      time.Time
	under     chan struct{} // closed when the fetching that is under way has ended; nil = none is
	err       error         // of the last fetching
	again     time.Time     // not to be fetched before
	pause     time.Duration
}

// New returns an office without tokens.
func New(o Options) *Office {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	return &Office{opts: o, due: make(chan *ticket, maxTokens), tickets: map[string]*ticket{}, shares: map[string]*share{}}
}

// Run fetches what is asked for, and ahead of its expiry what is in use, until
// ctx ends.
func (o *Office) Run(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	tick := time.NewTicker(look)
	defer tick.Stop()
	slots := make(chan struct{}, atOnce)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			o.ahead()
		case t := <-o.due:
			group.Go(func() {
				defer hold(ctx, t.share.slots)()
				defer hold(ctx, slots)()
				o.renew(ctx, t)
			})
		}
	}
}

// hold takes a slot, and returns what gives it back. There is none to be had
// after ctx has ended, and none is needed to find that out.
func hold(ctx context.Context, slots chan struct{}) (release func()) {
	select {
	case slots <- struct{}{}:
		return func() { <-slots }
	case <-ctx.Done():
		return func() {}
	}
}

// get returns the account's grant. One that is on its way is waited for; one
// that is old is renewed meanwhile.
func (o *Office) get(u *Use, f fetch) (grant, error) {
	o.mu.Lock()
	t := o.tickets[u.key]
	now := o.opts.Now()
	if t == nil {
		var err error
		if t, err = o.issue(u.Account, f); err != nil {
			o.mu.Unlock()
			return grant{}, err
		}
		o.tickets[u.key] = t
	}
	t.used = now
	if t.stale(now) {
		o.order(t)
	}
	g, err, under := t.grant, t.err, t.under
	o.mu.Unlock()
	if g.good(now) {
		return g, nil
	}
	if under == nil { // it failed just now, and is not tried again yet
		return grant{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-under:
	case <-timer.C:
		return grant{}, fmt.Errorf("%w: no token came within %s", ErrUnavailable, wait)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if t.grant.good(o.opts.Now()) {
		return t.grant, nil
	}
	return grant{}, fmt.Errorf("%w: %w", ErrUnavailable, t.err)
}

// issue makes a ticket within the namespace's share. The office is locked.
func (o *Office) issue(a *plan.Account, f fetch) (*ticket, error) {
	s := o.shares[a.Namespace]
	if s == nil {
		s = &share{slots: make(chan struct{}, atOnceOne)}
	}
	switch {
	case len(o.tickets) >= maxTokens:
		return nil, fmt.Errorf("%w: the gateway keeps as many tokens as it can", ErrUnavailable)
	case s.kept >= maxOfOne:
		return nil, fmt.Errorf("%w: namespace %s has as many tokens as one may, %d", ErrUnavailable, a.Namespace, maxOfOne)
	}
	o.shares[a.Namespace] = s
	s.kept++
	return &ticket{name: a.Namespace + "/" + a.Name, namespace: a.Namespace, share: s, fetch: f}, nil
}

// drop forgets a ticket. The office is locked.
func (o *Office) drop(key string, t *ticket) {
	delete(o.tickets, key)
	if t.share.kept--; t.share.kept == 0 {
		delete(o.shares, t.namespace)
	}
}

// Doubt says that a backend did not accept the account's credential (401). What
// was fetched is fetched again, and used until then: it may be revoked, and it
// may be the backend that errs.
func (o *Office) Doubt(u *Use) {
	o.mu.Lock()
	defer o.mu.Unlock()
	t, now := o.tickets[u.key], o.opts.Now()
	if t != nil && t.under == nil && !now.Before(t.again) && now.Sub(t.got) >= doubt {
		o.order(t)
	}
}

// good reports whether the grant can be used.
func (g *grant) good(now time.Time) bool { return now.Before(g.Expires.Add(-margin)) }

// stale reports whether it is time to fetch: a fifth of its life is left, or
// less than can be used.
func (t *ticket) stale(now time.Time) bool {
	ahead := t.got.Add(t.grant.Expires.Sub(t.got) * 4 / 5)
	return t.under == nil && !now.Before(t.again) && (!now.Before(ahead) || !t.grant.good(now))
}

// order has t fetched. The office is locked.
func (o *Office) order(t *ticket) {
	select {
	case o.due <- t:
		t.under = make(chan struct{})
	default:
		panic("BUG: there is room for every ticket, and each is in it once")
	}
}

// renew fetches t.
func (o *Office) renew(ctx context.Context, t *ticket) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	g, err := t.fetch(ctx)
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.opts.Now()
	if err == nil && g.Expires.Sub(now) < shortest {
		err = errors.New("the token has expired as it comes")
	}
	close(t.under)
	t.under, t.err = nil, err
	if err != nil {
		t.pause = min(max(2*t.pause, firstPause), mostPause)
		t.again = now.Add(t.pause)
		o.opts.Log.Warn("no token", "account", t.name, "again", t.pause.String(), "left", max(0, t.grant.Expires.Sub(now)).String(), "error", err)
		return
	}
	if most := now.Add(longest); g.Expires.After(most) {
		g.Expires = most
	}
	t.grant, t.got, t.pause, t.again = g, now, 0, time.Time{}
}

// ahead orders what is in use and about to expire, and forgets what is not. What
// never came is fetched for those who ask, and not ahead.
func (o *Office) ahead() {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.opts.Now()
	for key, t := range o.tickets {
		kept := idle
		if t.got.IsZero() {
			kept = mostPause
		}
		switch {
		case t.under == nil && now.Sub(t.used) > kept:
			o.drop(key, t)
		case !t.got.IsZero() && t.used.After(t.got) && t.stale(now):
			o.order(t)
		}
	}
}
