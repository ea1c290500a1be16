package controller

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/sight"
	"github.com/egret-gateway/egret/source"
)

// How often what is seen may be written, since names lead elsewhere all the time
// and every call is seen anew: what turns bad at once, what is good again when
// nobody has seen it bad for a moment, other words after a while, and only that
// it is still so after long.
const (
	recovered    = 10 * time.Second
	otherTrouble = time.Minute
	otherWords   = 10 * time.Minute
	stillSeen    = time.Hour
)

// refusedEvery is between two Events about the same refusals of one object.
const refusedEvery = 5 * time.Minute

// sights are what pods see of backends, and what was said of it.
type sights struct {
	pods     map[host]map[topic]sight.Fact
	told     map[topic]saying
	refusals map[refusals]sight.Refusal // by what was told when, and those since
}

// host is a stream of a Gateway's pod.
type host struct{ node, from string }

// topic is what a fact is about.
type topic struct {
	object string
	kind   sight.Kind
}

// saying is what status says of a fact.
type saying struct {
	sight.Fact
	since time.Time // said
	bad   time.Time // when it was seen bad last
}

type refusals struct{ object, code string }

// heard is what a pod said; left is set when it will say no more.
type heard struct {
	from string
	word feed.Word
	left bool
}

// hear and miss hand what pods say to the loop.
func (c *Controller) hear(ctx context.Context) func(string, feed.Word) {
	return func(from string, w feed.Word) { c.handle(ctx, heard{from: from, word: w}) }
}

func (c *Controller) miss(ctx context.Context) func(string) {
	return func(from string) { c.handle(ctx, heard{from: from, left: true}) }
}

func (c *Controller) handle(ctx context.Context, h heard) {
	select {
	case c.heard <- h:
	case <-ctx.Done():
	}
}

// listen takes in what a pod said, and reports whether status may have to change.
// A pod is believed about the backends and policies of its own Gateway only.
func (c *Controller) listen(h heard, now time.Time) bool {
	if h.left {
		maps.DeleteFunc(c.sights.pods, func(at host, _ map[topic]sight.Fact) bool { return at.from == h.from })
		return false
	}
	for _, g := range c.gateways {
		if g.node != h.word.Node || g.plan == nil {
			continue
		}
		own := g.objects()
		its := func(object string) bool { return own[object] }
		for _, r := range h.word.Refusals {
			if its(r.Object) {
				c.turned(r, now)
			}
		}
		return c.sights.hear(host{g.node, h.from}, h.word.Facts, its)
	}
	return false
}

// objects are those that a Gateway's pods may speak about.
func (g *gateway) objects() map[string]bool {
	if g.spoken != nil && g.spokenOf == g.plan {
		return g.spoken
	}
	out := map[string]bool{}
	for i := range g.plan.Backends {
		out[g.plan.Backends[i].Object] = true
	}
	for i := range g.plan.Policies {
		p := &g.plan.Policies[i]
		if p.Auth != nil {
			out["AuthPolicy "+p.Auth.Source] = true
		}
		for _, l := range p.Calls {
			out["RateLimitPolicy "+l.Source] = true
		}
		for _, l := range p.Token {
			out["TokenRateLimitPolicy "+l.Source] = true
		}
	}
	g.spoken, g.spokenOf = out, g.plan
	return out
}

// hear keeps what a pod has seen, and reports whether there is anything to it
// that status shows.
func (s *sights) hear(from host, facts []sight.Fact, its func(object string) bool) (shown bool) {
	for _, f := range facts {
		if !its(f.Object) || !sight.Shown(f.Object) {
			continue
		}
		if s.pods == nil {
			s.pods = map[host]map[topic]sight.Fact{}
		}
		if s.pods[from] == nil {
			s.pods[from] = map[topic]sight.Fact{}
		}
		s.pods[from][topic{f.Object, f.Kind}] = f
		shown = true
	}
	return shown
}

// say returns what status is to say now, and after how long to look again. What
// one pod sees bad is bad. What no pod that is there has seen stays as it was
// said.
func (s *sights) say(now time.Time) (out []sight.Fact, again time.Duration) {
	again = idle
	var all []sight.Fact
	for _, facts := range s.pods {
		all = append(all, slices.Collect(maps.Values(facts))...)
	}
	if s.told == nil {
		s.told = map[topic]saying{}
	}
	for _, f := range sight.Worst(all) {
		key := topic{f.Object, f.Kind}
		was, said := s.told[key]
		if !f.Good {
			was.bad = now
		}
		wait := time.Duration(0)
		switch {
		case !said, was.Good && !f.Good:
		case f.Good && !was.Good:
			wait = recovered - now.Sub(was.bad)
		case was.Same(f):
			wait = stillSeen - f.At.Sub(was.At)
		case f.Good:
			wait = otherWords - now.Sub(was.since)
		default:
			wait = otherTrouble - now.Sub(was.since)
		}
		if wait <= 0 {
			was.Fact, was.since = f, now
		} else if !was.Same(f) {
			again = min(again, wait)
		}
		s.told[key] = was
	}
	for _, key := range slices.SortedFunc(maps.Keys(s.told), func(a, b topic) int {
		if n := strings.Compare(a.object, b.object); n != 0 {
			return n
		}
		return strings.Compare(string(a.kind), string(b.kind))
	}) {
		out = append(out, s.told[key].Fact)
	}
	return out, again
}

// keep forgets what was said of objects that are gone.
func (s *sights) keep(there func(object string) bool) {
	maps.DeleteFunc(s.told, func(at topic, _ saying) bool { return !there(at.object) })
	for _, facts := range s.pods {
		maps.DeleteFunc(facts, func(at topic, _ sight.Fact) bool { return !there(at.object) })
	}
}

// turned tells of refusals as an Event on the policy, now and then (acceptance
// gateway 118).
func (c *Controller) turned(r sight.Refusal, now time.Time) {
	s := &c.sights
	if s.refusals == nil {
		s.refusals = map[refusals]sight.Refusal{}
	}
	key := refusals{r.Object, r.Code}
	was, told := s.refusals[key]
	if r.Calls += was.Calls; told && now.Sub(was.At) < refusedEvery {
		was.Calls = r.Calls
		s.refusals[key] = was
		return
	}
	s.refusals[key] = sight.Refusal{At: now}
	kind, name, _ := strings.Cut(r.Object, " ")
	namespace, name, _ := strings.Cut(name, "/")
	c.events.turned(&c.snapshot, source.Key{Kind: kind, Namespace: namespace, Name: name}, r)
}
