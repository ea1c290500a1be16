package controller

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/plan"
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
	pods    map[speaker]map[topic]sight.Fact
	said    map[topic]saying
	refused map[string]map[refusal]turned // by the Gateway's node
}

// speaker is a stream of a Gateway's pod.
type speaker struct{ node, from string }

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

// refusal is what an Event about refused calls is about.
type refusal struct{ object, code string }

// turned is the last refusal of its kind. Its Calls are those that no Event has
// told of; since is when the last one did, zero = none.
type turned struct {
	sight.Refusal
	since time.Time
}

// Bounds per Gateway, so that a pod which invents things is a nuisance to its own
// alone: how many refusals are told apart, and of how many Events tell at once;
// those of the others follow after moreEvents.
const (
	mostRefused = 256
	mostEvents  = 16
	moreEvents  = time.Second
)

// mostWords bounds how many words are taken in before all else has its turn.
const mostWords = 256

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

// listenAll is listen for a word and others that wait.
func (c *Controller) listenAll(h heard) (news bool) {
	for range mostWords - 1 {
		news = c.listen(h) || news
		select {
		case h = <-c.heard:
		default:
			return news
		}
	}
	return c.listen(h) || news
}

// listen takes in what a pod said, and reports whether status may have to change.
// A pod is believed about the backends and policies of its own Gateway only.
func (c *Controller) listen(h heard) bool {
	if h.left {
		maps.DeleteFunc(c.sights.pods, func(at speaker, _ map[topic]sight.Fact) bool { return at.from == h.from })
		return false
	}
	for _, g := range c.gateways {
		if g.node != h.word.Node || g.plan == nil {
			continue
		}
		own := g.subjects()
		refused := c.sights.turn(g.node, h.word.Refusals, func(object string) bool { return own.policies[object] })
		seen := c.sights.hear(speaker{g.node, h.from}, h.word.Facts, func(object string) bool { return own.backends[object] })
		return refused || seen
	}
	return false
}

// subjects are the objects of a plan that pods may speak about.
type subjects struct {
	backends map[string]bool // of which they tell facts
	policies map[string]bool // and refusals
	of       *plan.Plan
}

// subjects are those of the Gateway's own plan.
func (g *gateway) subjects() *subjects {
	if g.own != nil && g.own.of == g.plan {
		return g.own
	}
	out := &subjects{backends: map[string]bool{}, policies: map[string]bool{}, of: g.plan}
	for i := range g.plan.Backends {
		out.backends[g.plan.Backends[i].Object] = true
	}
	for i := range g.plan.Policies {
		p := &g.plan.Policies[i]
		if p.Auth != nil {
			out.policies["AuthPolicy "+p.Auth.Source] = true
		}
		for _, l := range p.Calls {
			out.policies["RateLimitPolicy "+l.Source] = true
		}
		for _, l := range p.Token {
			out.policies["TokenRateLimitPolicy "+l.Source] = true
		}
	}
	g.own = out
	return out
}

// hear keeps what a pod has seen, and reports whether there is anything to it
// that status shows.
func (s *sights) hear(from speaker, facts []sight.Fact, its func(object string) bool) (shown bool) {
	for _, f := range facts {
		if !its(f.Object) || !sight.Shown(f.Object) {
			continue
		}
		if s.pods == nil {
			s.pods = map[speaker]map[topic]sight.Fact{}
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
	if s.said == nil {
		s.said = map[topic]saying{}
	}
	for _, f := range sight.Worst(all) {
		key := topic{f.Object, f.Kind}
		was, told := s.said[key]
		if !f.Good {
			was.bad = now
		}
		wait := time.Duration(0)
		switch {
		case !told, was.Good && !f.Good:
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
		s.said[key] = was
	}
	for _, was := range s.said {
		out = append(out, was.Fact)
	}
	return sight.Worst(out), again // by object and kind, of which each is there once
}

// keep forgets what was said of objects that are gone.
func (s *sights) keep(there func(object string) bool) {
	maps.DeleteFunc(s.said, func(at topic, _ saying) bool { return !there(at.object) })
	for _, facts := range s.pods {
		maps.DeleteFunc(facts, func(at topic, _ sight.Fact) bool { return !there(at.object) })
	}
}

// turn keeps refusals that a node's pod tells of until an Event does, and reports
// whether there were any.
func (s *sights) turn(node string, rs []sight.Refusal, its func(object string) bool) (any bool) {
	kinds := s.refused[node]
	for _, r := range rs {
		key := refusal{r.Object, r.Code}
		was, known := kinds[key]
		if !its(r.Object) || !known && len(kinds) >= mostRefused {
			continue
		}
		if kinds == nil {
			kinds = map[refusal]turned{}
		}
		r.Calls += was.Calls
		kinds[key] = turned{r, was.since}
		any = true
	}
	if any {
		if s.refused == nil {
			s.refused = map[string]map[refusal]turned{}
		}
		s.refused[node] = kinds
	}
	return any
}

// tell calls event for refusals, at once for the first of a kind and then now and
// then for those since, and returns after how long to look again.
func (s *sights) tell(now time.Time, event func(sight.Refusal)) (again time.Duration) {
	again = idle
	for node, kinds := range s.refused {
		again = min(again, tellOf(kinds, now, event))
		if len(kinds) == 0 {
			delete(s.refused, node)
		}
	}
	return again
}

// tellOf is tell for one Gateway.
func tellOf(kinds map[refusal]turned, now time.Time, event func(sight.Refusal)) (again time.Duration) {
	again = idle
	events := 0
	for key, r := range kinds {
		left := refusedEvery - now.Sub(r.since)
		switch {
		case left > 0 && r.Calls > 0:
			again = min(again, left)
		case left > 0:
		case r.Calls == 0:
			delete(kinds, key)
		case events == mostEvents:
			again = min(again, moreEvents)
		default:
			event(r.Refusal)
			events++
			kinds[key] = turned{Refusal: sight.Refusal{Object: key.object, Code: key.code}, since: now}
		}
	}
	return again
}

// turned tells of calls that a policy has refused (acceptance gateway 118).
func (c *Controller) turned(r sight.Refusal) {
	kind, name, _ := strings.Cut(r.Object, " ")
	namespace, name, _ := strings.Cut(name, "/")
	c.events.turned(&c.snapshot, source.Key{Kind: kind, Namespace: namespace, Name: name}, r)
}
