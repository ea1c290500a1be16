package controller

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/fleet"
)

// ground is where fleets are applied in tests: what a Gateway's name says
// happens to its fleet.
type ground struct {
	mu      sync.Mutex
	applied []string         // Gateway and image, in the order of the attempts
	fail    map[string]error // by Gateway
	clash   map[string]bool  // whose Deployment is somebody else's
	unrest  map[string]int   // by Gateway: so many attempts leave it unsettled
	hold    map[string]bool  // by Gateway: the attempt lasts until release
	release chan any         // of the bubble
	pruned  int
	kept    []string // by the last Prune, sorted

	meanwhile func() // what happens while Prune reads what there is
}

func (g *ground) Apply(ctx context.Context, f fleet.Fleet) (fleet.State, error) {
	g.mu.Lock()
	g.applied = append(g.applied, f.Gateway.Name+" "+f.Image)
	hold, err := g.hold[f.Gateway.Name], g.fail[f.Gateway.Name]
	unsettled := g.unrest[f.Gateway.Name] > 0
	if unsettled {
		g.unrest[f.Gateway.Name]--
	}
	g.mu.Unlock()
	if hold {
		select {
		case <-g.release:
		case <-ctx.Done():
			return fleet.State{}, ctx.Err()
		}
	}
	s := fleet.State{Replicas: 1, Unsettled: unsettled}
	if g.clash[f.Gateway.Name] {
		s.Conflicts = []string{"Deployment"}
	}
	return s, err
}

func (g *ground) Prune(_ context.Context, keep func() []fleet.Fleet) error {
	if g.meanwhile != nil {
		g.meanwhile()
	}
	var kept []string
	for _, f := range keep() {
		kept = append(kept, f.Gateway.Name)
	}
	slices.Sort(kept)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pruned++
	g.kept = kept
	return nil
}

func (g *ground) have() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.applied)
}

func fleetCalled(name, image string) *fleet.Fleet {
	return &fleet.Fleet{Gateway: &gwv1.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}}, Image: image}
}

// working runs fleets on the ground in a bubble of its own; results are
// counted and let go.
func working(t *testing.T, g *ground, test func(s *fleets, results func() []applied)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		g.release = make(chan any)
		s := newFleets(g, slog.New(slog.DiscardHandler))
		var mu sync.Mutex
		var got []applied
		var group sync.WaitGroup
		group.Go(func() { s.Run(ctx) })
		group.Go(func() {
			for {
				select {
				case r := <-s.results:
					mu.Lock()
					got = append(got, r)
					mu.Unlock()
				case <-ctx.Done():
					return
				}
			}
		})
		test(s, func() []applied {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(got)
		})
		cancel()
		group.Wait()
	})
}

func TestFleets(t *testing.T) {
	t.Run("gateway-37 B-34 a fleet that is stuck holds up no other", func(t *testing.T) {
		g := &ground{hold: map[string]bool{"stuck": true}}
		working(t, g, func(s *fleets, results func() []applied) {
			s.want("stuck", fleetCalled("stuck", "1"))
			results()
			for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
				s.want(name, fleetCalled(name, "1"))
			}
			if got := results(); len(got) != 10 {
				t.Errorf("of ten others %d were applied", len(got))
			}
		})
	})
	t.Run("what is in the way of a fleet, or takes of it what nobody watches, is noticed", func(t *testing.T) {
		g := &ground{clash: map[string]bool{"clash": true}}
		working(t, g, func(s *fleets, results func() []applied) {
			s.want("clash", fleetCalled("clash", "1"))
			s.want("well", fleetCalled("well", "1"))
			time.Sleep(lastRetry)
			if got := results(); len(got) != 3 || got[2].key != "clash" {
				t.Errorf("after %s: %v", lastRetry, got)
			}
			time.Sleep(nextLook - lastRetry)
			if got := results(); !slices.ContainsFunc(got[2:], func(r applied) bool { return r.key == "well" }) {
				t.Errorf("after %s: %v", nextLook, got)
			}
			s.drop()
			n := len(results())
			time.Sleep(2 * nextLook)
			if got := results(); len(got) != n {
				t.Errorf("a replica that does not lead applied %v", got[n:])
			}
		})
	})
	t.Run("gateway-37 B-34 however many are stuck, others are applied within a minute", func(t *testing.T) {
		g := &ground{hold: map[string]bool{}}
		working(t, g, func(s *fleets, results func() []applied) {
			for _, name := range []string{"s1", "s2", "s3", "s4"} {
				g.hold[name] = true
				s.want(name, fleetCalled(name, "1"))
			}
			results()
			s.want("well", fleetCalled("well", "1"))
			time.Sleep(time.Minute) // of the bubble
			if got := results(); !slices.ContainsFunc(got, func(r applied) bool { return r.key == "well" && r.err == nil }) {
				t.Errorf("results are %v", got)
			}
		})
	})
	t.Run("gateway-45 B-07 what is still made for a Gateway that is gone is removed too", func(t *testing.T) {
		g := &ground{hold: map[string]bool{"gone": true}}
		working(t, g, func(s *fleets, results func() []applied) {
			s.want("gone", fleetCalled("gone", "1"))
			results()
			s.only(nil)
			s.prune()
			if results(); g.pruned != 0 {
				t.Error("it was cleaned up before all was made")
			}
			g.release <- nil
			if results(); g.pruned != 1 {
				t.Errorf("it was cleaned up %d times", g.pruned)
			}
		})
	})
	t.Run("one that is not settled is looked at every second until it is", func(t *testing.T) {
		g := &ground{unrest: map[string]int{"taken": 5}}
		working(t, g, func(s *fleets, results func() []applied) {
			s.want("taken", fleetCalled("taken", "1"))
			time.Sleep(5500 * time.Millisecond)
			if got := len(results()); got != 6 {
				t.Errorf("%d attempts in 5.5 s", got)
			}
			time.Sleep(time.Minute)
			if got := len(results()); got != 6 {
				t.Errorf("%d attempts at last", got)
			}
		})
	})
	t.Run("one that fails is tried again, ever later", func(t *testing.T) {
		g := &ground{fail: map[string]error{"bad": errors.New("no quota")}}
		working(t, g, func(s *fleets, results func() []applied) {
			began := time.Now()
			s.want("bad", fleetCalled("bad", "1"))
			var at []time.Duration
			for len(at) < 8 {
				if n := len(results()); n > len(at) {
					at = append(at, time.Since(began).Round(time.Second))
				}
				time.Sleep(500 * time.Millisecond)
			}
			want := []time.Duration{0, 1e9, 3e9, 7e9, 15e9, 31e9, 61e9, 91e9}
			for i := range at {
				if d := at[i] - want[i]; d < 0 || d > time.Second {
					t.Fatalf("attempts came after %v, want %v", at, want)
				}
			}
			g.mu.Lock()
			g.fail = nil
			g.mu.Unlock()
			time.Sleep(time.Minute)
			if got := results(); len(got) != 9 || got[8].err != nil {
				t.Errorf("results are %v; the last should be the only good one", got)
			}
		})
	})
	t.Run("the newest wish wins, and no fleet is applied twice at once", func(t *testing.T) {
		g := &ground{hold: map[string]bool{"gw": true}, fail: map[string]error{"gw": errors.New("conflict")}}
		working(t, g, func(s *fleets, results func() []applied) {
			s.want("gw", fleetCalled("gw", "1"))
			results()
			s.want("gw", fleetCalled("gw", "2"))
			s.want("gw", fleetCalled("gw", "3"))
			results()
			if got := g.have(); !slices.Equal(got, []string{"gw 1"}) {
				t.Errorf("applied at once: %v", got)
			}
			g.mu.Lock()
			g.fail = nil
			g.mu.Unlock()
			close(g.release)
			time.Sleep(time.Minute)
			results()
			if got := g.have(); !slices.Equal(got, []string{"gw 1", "gw 3"}) {
				t.Errorf("applied: %v", got)
			}
		})
	})
	for name, end := range map[string]func(*fleets){
		"what a replica wanted that no longer leads is not tried again": (*fleets).drop,
		"nor what is wanted of a Gateway that is gone":                  func(s *fleets) { s.only(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			g := &ground{hold: map[string]bool{"gw": true}, fail: map[string]error{"gw": errors.New("no such namespace")}}
			working(t, g, func(s *fleets, results func() []applied) {
				s.want("gw", fleetCalled("gw", "1"))
				results()
				end(s)
				close(g.release)
				time.Sleep(5 * time.Minute)
				results()
				if got := g.have(); len(got) != 1 {
					t.Errorf("applied: %v", got)
				}
			})
		})
	}
	t.Run("what is wanted while it is cleaned up is left alone", func(t *testing.T) {
		g := &ground{}
		working(t, g, func(s *fleets, results func() []applied) {
			g.meanwhile = func() { s.want("late", fleetCalled("late", "1")) }
			s.want("early", fleetCalled("early", "1"))
			s.want("gone", fleetCalled("gone", "1"))
			s.know("unread", *fleetCalled("unread", "1"))
			results()
			s.only(map[string]bool{"early": true, "unread": true})
			s.prune()
			results()
			if want := []string{"early", "late", "unread"}; !slices.Equal(g.kept, want) {
				t.Errorf("kept %v, want %v", g.kept, want)
			}
		})
	})
	t.Run("what nobody wants is removed beside", func(t *testing.T) {
		g := &ground{}
		working(t, g, func(s *fleets, results func() []applied) {
			s.prune()
			if got := results(); len(got) != 1 || got[0].key != pruning || g.pruned != 1 {
				t.Errorf("results are %v", got)
			}
		})
	})
}
