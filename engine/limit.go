package engine

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/egret-gateway/egret/dialect"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/quota"
	"github.com/egret-gateway/egret/policy/rule"
)

// limitState is a limit that applied to this exchange and what its bucket
// looked like.
type limitState struct {
	limit *plan.Limit
	rate  plan.Rate
	token bool
	state quota.State
}

// source is the policy that the limit is of, as an object.
func (s *limitState) source() string {
	if s.token {
		return "TokenRateLimitPolicy " + s.limit.Source
	}
	return "RateLimitPolicy " + s.limit.Source
}

// claim is a rate of a limit that an exchange draws on.
type claim struct {
	*limit
	rate plan.Rate
}

// meter checks every limit that matches in one draw: all pass, or nothing is
// taken and the call is refused (acceptance maas 97-99; unlike Kuadrant several
// limits are all checked before the upstream call).
func (x *Exchange) meter(ctx context.Context) Step {
	p := x.entry.policy
	if p == nil || len(p.limits) == 0 {
		return Forward
	}
	buckets, owners := x.buckets(p)
	if len(buckets) == 0 {
		return Forward
	}
	if wantsSocket(x.header) && slices.ContainsFunc(owners, func(c claim) bool { return c.tokens }) {
		// Some models are spoken to this way, past anything that could count.
		return x.refuse(x.shape(http.StatusForbidden, "unmetered", "tokens of a WebSocket cannot be counted, and this route limits tokens"))
	}
	v, err := x.engine.deps.Limiter.Reserve(ctx, buckets)
	if err != nil {
		return x.limiterAway(err, buckets)
	}
	x.states = make([]limitState, len(owners))
	for i, l := range owners {
		x.states[i] = limitState{limit: l.plan, rate: l.rate, token: l.tokens, state: v.States[i]}
	}
	x.Record.Checked = true
	if !v.Allowed {
		full := x.states[v.Full]
		x.Record.Limit = full.limit.Name
		x.turned = full.source()
		return x.refuse(x.tooMany(&full))
	}
	x.ticket = v.Ticket
	return Forward
}

// limiterAway lets calls pass unless a limit asked for the opposite.
func (x *Exchange) limiterAway(err error, buckets []quota.Bucket) Step {
	if x.engine.tell(x.engine.deps.Now()) {
		x.engine.deps.Log.Error("limits cannot be checked; this is said once a second at most", "request", x.Record.ID, "route", x.Record.Route, "error", err)
	}
	for _, b := range buckets {
		if b.Closed {
			return x.refuse(x.shape(http.StatusServiceUnavailable, "limits_unavailable", "the rate limiter is out of reach"))
		}
	}
	x.ticket = quota.Ticket{Buckets: buckets, Taken: x.engine.deps.Now()}
	return Forward
}

// buckets are the windows of every rate of every limit whose predicates hold.
func (x *Exchange) buckets(p *policy) ([]quota.Bucket, []claim) {
	var out []quota.Bucket
	var owners []claim
	for i := range p.limits {
		l := &p.limits[i]
		if !x.applies(l) {
			continue
		}
		values := x.counters(l)
		take, ttl := int64(1), time.Duration(0)
		if l.tokens {
			take = x.reservation(l)
			if l.plan.Reserve != nil {
				ttl = l.plan.Reserve.TTL
			}
		}
		for k, r := range l.plan.Rates {
			out = append(out, quota.Bucket{
				Key: bucketKey(l.plan.ID, x.entry.rule.Route, l.rates[k], values), Max: r.Limit, Window: r.Window,
				Take: take, Settle: l.tokens, TTL: ttl, Closed: l.plan.Closed,
			})
			owners = append(owners, claim{l, r})
		}
	}
	return out, owners
}

// bucketKey names a window: limit, route (budgets are per HTTPRoute, acceptance
// maas 104), rate, and the counters' values.
func bucketKey(limit, route, rate string, values []string) string {
	var room [8]string
	return quota.Key(append(append(room[:0], limit, route, rate), values...)...)
}

// rateKey is a rate's part in the names of its windows.
func rateKey(r plan.Rate) string { return strconv.FormatInt(r.Limit, 10) + "/" + r.Window.String() }

// applies reports whether a limit's predicates hold, with the path's query or
// without: a limit that spares paths ending in "/v1/models" must not spare
// "/v1/chat/completions?/v1/models".
func (x *Exchange) applies(l *limit) bool {
	if l.holds(&x.input) {
		return true
	}
	bare := x.input.Bare()
	return bare != nil && l.holds(bare)
}

// holds reports whether all predicates hold. One that cannot be evaluated does
// not (Kuadrant), except when it asks for something in a body that cannot be
// read: a backend may be less strict, or read another encoding.
func (l *limit) holds(in *rule.Input) bool {
	for _, w := range l.when {
		ok, err := w.True(in)
		if err != nil {
			ok = w.NeedsRequestBody() && len(in.RequestBody) > 0 && !json.Valid(in.RequestBody)
		}
		if !ok {
			return false
		}
	}
	return true
}

// counters are the values that select the window. A value that cannot be
// computed is the empty one: such callers share a window rather than go
// unmetered.
func (x *Exchange) counters(l *limit) []string {
	values := make([]string, len(l.counters))
	for i, c := range l.counters {
		if v, err := c.Eval(&x.input); err == nil && v != nil {
			values[i] = rule.Text(v)
		}
	}
	return values
}

// reservation is how many tokens a limit holds back in advance, 0 for
// check-then-charge.
func (x *Exchange) reservation(l *limit) int64 {
	if l.reserve == nil {
		return 0
	}
	v, err := l.reserve.Eval(&x.input)
	if err != nil {
		return 0
	}
	switch n := v.(type) {
	case int64:
		return max(0, n)
	case uint64:
		return int64(min(n, 1<<40))
	case float64:
		return int64(max(0, min(n, 1<<40)))
	}
	return 0
}

// settle charges what the call cost, once.
func (x *Exchange) settle(ctx context.Context) {
	if x.settled {
		return
	}
	x.settled = true
	if x.reply != nil && !x.reply.Done() {
		x.reply.Next(nil, true) // cut short: what came of it counts
	}
	u := x.usage()
	x.Record.Usage = u
	if x.reply != nil {
		x.Record.Served = x.reply.Model()
	}
	if len(x.ticket.Buckets) == 0 {
		return
	}
	cost := u.Total
	if u.Exact || cost > 0 {
		cost = max(cost, 1) // acceptance maas 101: a reported 0 costs 1
	}
	// The client may be gone; the charge must stand.
	if err := x.engine.deps.Limiter.Settle(context.WithoutCancel(ctx), x.ticket, cost); err != nil {
		x.engine.deps.Log.Error("tokens could not be charged", "request", x.Record.ID, "route", x.Record.Route, "tokens", cost, "error", err)
	}
	for i := range x.ticket.Buckets {
		x.Record.Charged = x.Record.Charged || x.ticket.Buckets[i].Settle && cost > 0
	}
}

// usage is the provider's own count, else an estimate for a 2xx answer to an
// AI call; everything else is free. Who leaves before the answer has begun pays
// for the question: the provider has been asked, and its work costs others.
func (x *Exchange) usage() dialect.Usage {
	if x.reply == nil {
		if x.ai && x.Record.Status == 0 && x.Record.Attempts > 0 && x.Record.Outcome == ClientGone {
			return dialect.NewReply(x.call.Dialect, "", false).Estimate(x.call)
		}
		return dialect.Usage{}
	}
	if u, ok := x.reply.Usage(); ok {
		return u
	}
	if !x.ai {
		return dialect.Usage{}
	}
	return x.reply.Estimate(x.call)
}

// tooMany is the 429 of a full window: shaped for AI calls, plain text
// otherwise (acceptance maas 98 as changed).
func (x *Exchange) tooMany(full *limitState) *Refusal {
	wait := full.seconds()
	message := "Rate limit reached for limit " + full.limit.Name + ": " + strconv.FormatInt(full.state.Max, 10) + " " + full.unit() +
		" per " + span(full.rate.Window) + " are used up. Try again in " + wait + " s."
	var r *Refusal
	if x.ai {
		r = x.shape(http.StatusTooManyRequests, "rate_limit_exceeded", message)
	} else {
		r = &Refusal{Status: http.StatusTooManyRequests, Body: []byte("Too Many Requests\n"), Header: http.Header{"Content-Type": {"text/plain"}}}
	}
	r.Code, r.Reason = "limited", message
	r.Header.Set("Retry-After", wait)
	setLimitHeaders(r.Header, x.states)
	return r
}

func (s *limitState) unit() string {
	if s.token {
		return "tokens"
	}
	return "requests"
}

// span words a window: "1m", not "1m0s".
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// seconds until a window ends, rounded up: who waits that long is not early.
func (s *limitState) seconds() string {
	return strconv.FormatInt(int64((s.state.Reset+time.Second-1)/time.Second), 10)
}

// setLimitHeaders tells the caller about the tightest token and request
// limits, by the names that the vendors' SDK users know. The figures are those
// of the moment when the call was let through, before it is charged: the head
// of an answer leaves before its usage is known. What a provider says of limits
// of its own under these names is about the gateway's account and is dropped.
func setLimitHeaders(h http.Header, states []limitState) {
	if len(states) == 0 {
		return
	}
	for _, names := range limitHeaders {
		delete(h, names.limit)
		delete(h, names.remaining)
		delete(h, names.reset)
		if s := tightest(states, names.token); s != nil {
			values := [3]string{strconv.FormatInt(s.state.Max, 10), strconv.FormatInt(s.state.Left(), 10), s.seconds() + "s"}
			h[names.limit], h[names.remaining], h[names.reset] = values[:1:1], values[1:2:2], values[2:]
		}
	}
}

// limitHeaders are the names for limits of tokens and of requests.
var limitHeaders = [...]struct {
	token                   bool
	limit, remaining, reset string
}{
	{true, "X-Ratelimit-Limit-Tokens", "X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Reset-Tokens"},
	{false, "X-Ratelimit-Limit-Requests", "X-Ratelimit-Remaining-Requests", "X-Ratelimit-Reset-Requests"},
}

// tightest is the limit, of tokens or of requests, that has the least left.
func tightest(states []limitState, token bool) *limitState {
	var tight *limitState
	for i := range states {
		if s := &states[i]; s.token == token && (tight == nil || s.state.Left() < tight.state.Left()) {
			tight = s
		}
	}
	return tight
}
