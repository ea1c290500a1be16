package controller

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"

	"github.com/egret-gateway/egret/api/kuadrant/v1"
	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/sight"
	"github.com/egret-gateway/egret/source"
)

var midnight = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

const seenObject = "XBackendDestination ns/d"

func connected(good bool, text string, at time.Duration) sight.Fact {
	return sight.Fact{Object: seenObject, Kind: sight.Connected, Good: good, Text: text, At: midnight.Add(at)}
}

// TestSay: status says at once what turned bad, and is not rewritten for what
// changes all the time.
func TestSay(t *testing.T) {
	type step struct {
		at    time.Duration
		from  string
		fact  sight.Fact // told then; zero = nothing is
		want  string     // what is said
		again time.Duration
	}
	all := func(string) bool { return true }
	f := func(name string, steps ...step) {
		t.Helper()
		var s sights
		for i, x := range steps {
			if x.fact.Kind != "" {
				s.hear(speaker{"node", x.from}, []sight.Fact{x.fact}, all)
			}
			said, again := s.say(midnight.Add(x.at))
			got := ""
			for _, f := range said {
				got += f.Text
			}
			if got != x.want || again != x.again {
				t.Errorf("%s, step %d: said %q and looks again after %v, want %q and %v", name, i, got, again, x.want, x.again)
			}
		}
	}
	f("nothing seen", step{want: "", again: idle})
	f("bad at once",
		step{0, "a", connected(true, "good", 0), "good", idle},
		step{time.Second, "a", connected(false, "bad", time.Second), "bad", idle})
	f("good when nobody has seen it bad for a moment",
		step{0, "a", connected(false, "bad", 0), "bad", idle},
		step{time.Second, "a", connected(true, "good", time.Second), "bad", recovered - time.Second},
		step{recovered, "", sight.Fact{}, "good", idle})
	f("one pod that sees it bad is enough",
		step{0, "a", connected(true, "good", 0), "good", idle},
		step{time.Second, "b", connected(false, "bad", time.Second), "bad", idle},
		step{time.Minute, "a", connected(true, "good", time.Minute), "bad", idle})
	f("other words of what is good come later",
		step{0, "a", connected(true, "at 1", 0), "at 1", idle},
		step{time.Minute, "a", connected(true, "at 2", time.Minute), "at 1", idle},
		step{otherWords, "", sight.Fact{}, "at 2", idle})
	f("other trouble sooner",
		step{0, "a", connected(false, "refused", 0), "refused", idle},
		step{time.Second, "a", connected(false, "expired", time.Second), "refused", otherTrouble - time.Second},
		step{otherTrouble, "", sight.Fact{}, "expired", idle})

	var s sights
	s.hear(speaker{"node", "a"}, []sight.Fact{connected(true, "good", 0)}, all)
	s.say(midnight)
	for _, at := range []time.Duration{time.Minute, stillSeen - time.Second, stillSeen} {
		s.hear(speaker{"node", "a"}, []sight.Fact{connected(true, "good", at)}, all)
		said, _ := s.say(midnight.Add(at))
		if moved := !said[0].At.Equal(midnight); moved != (at == stillSeen) {
			t.Errorf("after %v status says that it was seen %v", at, said[0].At)
		}
	}
}

// TestSaidStays: who has left takes nothing back, and an object that is gone does.
func TestSaidStays(t *testing.T) {
	c := &Controller{}
	c.sights.hear(speaker{"node", "a"}, []sight.Fact{connected(true, "good", 0)}, func(string) bool { return true })
	c.sights.say(midnight)
	c.listen(heard{from: "a", left: true})
	if len(c.sights.pods) != 0 {
		t.Error("what a pod saw that has left is kept")
	}
	if said, _ := c.sights.say(midnight); len(said) != 1 {
		t.Errorf("%v is said of what was seen last", said)
	}
	c.sights.keep(func(string) bool { return false })
	if said, _ := c.sights.say(midnight); len(said) != 0 {
		t.Errorf("%v is said of an object that is gone", said)
	}
}

// TestBelieved: a pod is heard about what is its own Gateway's.
func TestBelieved(t *testing.T) {
	recorder := record.NewFakeRecorder(16)
	c := &Controller{
		events: &events{recorder: recorder, log: slog.New(slog.DiscardHandler)},
		gateways: map[string]*gateway{"ns/g": {node: "node", plan: &plan.Plan{
			Backends: []plan.Backend{{Name: "d", Object: seenObject}, {Name: "s", Object: "Service ns/s"}},
			Policies: []plan.Policy{{Auth: &plan.Auth{Source: "ns/p"}, Token: []plan.Limit{{Source: "ns/q"}}, Calls: []plan.Limit{{Source: "ns/c"}}}},
		}}},
		snapshot: source.Snapshot{AuthPolicies: []*v1.AuthPolicy{{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "u"}}}},
	}
	fact := func(object string) sight.Fact {
		return sight.Fact{Object: object, Kind: sight.Connected, Good: true, At: midnight}
	}
	of := func(object, code string, calls int) sight.Refusal {
		return sight.Refusal{Object: object, Code: code, Status: 403, Calls: calls, Text: "no tier"}
	}
	tell := func(node string, w feed.Word) bool {
		w.Node = node
		return c.listen(heard{from: "pod", word: w})
	}
	f := func(name string, node string, w feed.Word, want bool) {
		t.Helper()
		if got := tell(node, w); got != want {
			t.Errorf("%s: %v changes status, want %v", name, got, want)
		}
	}
	f("its backend", "node", feed.Word{Facts: []sight.Fact{fact(seenObject)}}, true)
	f("one without a status", "node", feed.Word{Facts: []sight.Fact{fact("Service ns/s")}}, false)
	f("a neighbour's", "node", feed.Word{Facts: []sight.Fact{fact("XBackendDestination other/d")}}, false)
	f("of no Gateway", "nobody", feed.Word{Facts: []sight.Fact{fact(seenObject)}}, false)

	events := func() (out []string) {
		for {
			select {
			case e := <-recorder.Events:
				out = append(out, e)
			default:
				return out
			}
		}
	}
	again := time.Duration(0)
	refused := func(at time.Duration, rs ...sight.Refusal) []string {
		tell("node", feed.Word{Refusals: rs})
		again = c.sights.tell(midnight.Add(at), c.turned)
		return events()
	}
	// gateway-118: a denial makes an Event on the policy, and many make few.
	told := func(name string, at time.Duration, next time.Duration, want []string, rs ...sight.Refusal) {
		t.Helper()
		if diff := cmp.Diff(want, refused(at, rs...)); diff != "" || again != next {
			t.Errorf("%s: looks again after %v, want %v (-want +got): %s", name, again, next, diff)
		}
	}
	auth := func(code string, calls int) sight.Refusal { return of("AuthPolicy ns/p", code, calls) }
	told("the first at once", 0, idle, []string{"Warning Refused A call was refused with 403 (unauthorized): no tier"}, auth("unauthorized", 1))
	told("more of them later", time.Second, min(idle, refusedEvery-time.Second), nil, auth("unauthorized", 20))
	told("others at once", time.Second, idle, []string{"Warning Refused 2 calls were refused, the last with 403 (unauthenticated): no tier"}, auth("unauthenticated", 2))
	told("when it is time, also without another", refusedEvery, idle, []string{"Warning Refused 20 calls were refused, the last with 403 (unauthorized): no tier"})
	told("of a neighbour's policy nothing", refusedEvery, idle, nil, of("AuthPolicy other/p", "unauthorized", 1))
	told("tokens", refusedEvery, idle, []string{"Warning Refused A call was refused with 403 (limited): no tier"}, of("TokenRateLimitPolicy ns/q", "limited", 1))
	told("calls", refusedEvery, idle, []string{"Warning Refused A call was refused with 403 (limited): no tier"}, of("RateLimitPolicy ns/c", "limited", 1))
	told("what is over is forgotten", time.Hour, idle, nil)
	if len(c.sights.refused) > 0 {
		t.Errorf("kept: %v", c.sights.refused)
	}
	told("of a backend nothing", time.Hour, idle, nil, of(seenObject, "limited", 1))
}

// TestBelievedPerGateway: a pod that invents refusals fills its own Gateway's room.
func TestBelievedPerGateway(t *testing.T) {
	gatewayOf := func(node, policy string) *gateway {
		return &gateway{node: node, plan: &plan.Plan{Policies: []plan.Policy{{Auth: &plan.Auth{Source: policy}}}}}
	}
	c := &Controller{gateways: map[string]*gateway{"ns/a": gatewayOf("a", "ns/p"), "ns/b": gatewayOf("b", "ns/q")}}
	for i := range 10_000 {
		r := sight.Refusal{Object: "AuthPolicy ns/p", Code: fmt.Sprint(i), Calls: 1}
		c.listen(heard{from: "pod a", word: feed.Word{Node: "a", Refusals: []sight.Refusal{r}}})
	}
	if got := len(c.sights.refused["a"]); got != mostRefused {
		t.Errorf("%d kinds are kept of a pod that invents them, want %d", got, mostRefused)
	}
	c.listen(heard{from: "pod b", word: feed.Word{Node: "b", Refusals: []sight.Refusal{{Object: "AuthPolicy ns/q", Code: "unauthorized", Calls: 1}}}})
	rounds, now, again := 0, midnight, time.Duration(0)
	for again = moreEvents; again == moreEvents; now = now.Add(again) {
		events := map[string]int{}
		again = c.sights.tell(now, func(r sight.Refusal) { events[r.Object]++ })
		want := map[string]int{"AuthPolicy ns/p": mostEvents}
		if rounds == 0 {
			want["AuthPolicy ns/q"] = 1
		}
		if diff := cmp.Diff(want, events); diff != "" {
			t.Fatalf("round %d (-want +got): %s", rounds, diff)
		}
		rounds++
	}
	if rounds != mostRefused/mostEvents {
		t.Errorf("%d rounds tell of all", rounds)
	}
}

// TestListenAll: pods that talk without an end leave the controller its turns.
func TestListenAll(t *testing.T) {
	c := &Controller{heard: make(chan heard, 2*mostWords)}
	for range cap(c.heard) {
		c.heard <- heard{}
	}
	c.listenAll(heard{})
	if got := cap(c.heard) - len(c.heard) + 1; got != mostWords {
		t.Errorf("%d words are taken in at once, want %d", got, mostWords)
	}
}

// TestNewTerm: a leader of before does not write what it knew then over what
// another has written since.
func TestNewTerm(t *testing.T) {
	c := &Controller{lead: &lead{}, fleets: &fleets{}}
	c.lead.leading.Store(true)
	c.sights.hear(speaker{"node", "a"}, []sight.Fact{connected(true, "good", 0)}, func(string) bool { return true })
	c.sights.say(midnight)
	c.led()
	if said, _ := c.sights.say(midnight); len(said) != 0 {
		t.Errorf("%v is said", said)
	}
}
