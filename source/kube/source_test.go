package kube

import (
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/egret-gateway/egret/compile"
	"github.com/egret-gateway/egret/source"
)

func TestSettle(t *testing.T) {
	f := func(name string, every time.Duration, changes int, want time.Duration) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &Source{changed: make(chan struct{}, 1), quiet: 30 * time.Millisecond, holding: 300 * time.Millisecond}
				go func() {
					for range changes {
						time.Sleep(every)
						poke(s.changed)
					}
				}()
				began := time.Now()
				if !s.settle(t.Context()) {
					t.Fatal("settle gave up")
				}
				if took := time.Since(began); took != want {
					t.Errorf("took %v, want %v", took, want)
				}
				synctest.Wait()
				time.Sleep(time.Second) // let the changes come to their end
			})
		})
	}
	f("a single change waits for quiet", time.Millisecond, 1, 31*time.Millisecond)
	f("a burst is one snapshot", 10*time.Millisecond, 5, 80*time.Millisecond)
	f("changes without end are not waited for", 10*time.Millisecond, 90, 300*time.Millisecond)
}

func TestNew(t *testing.T) {
	f := func(o Options, want string) {
		t.Helper()
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
	f(Options{}, "no API server")
	f(Options{Config: &rest.Config{}, Kinds: []Kind{{Name: "Pod"}}}, `"Pod" has no place`)
	f(Options{Config: &rest.Config{}, Kinds: []Kind{{Name: "Secret"}, {Name: "Secret"}}}, "twice")
}

// counted is a store with the numbers of its calls.
func counted(t *testing.T, kind string) (s *store, changed, drifted *int) {
	changed, drifted = new(int), new(int)
	return &store{
		kind:    kindNamed(t, kind),
		items:   map[source.Key]*item{},
		changed: func() { *changed++ },
		drifted: func() { *drifted++ },
	}, changed, drifted
}

func TestStore(t *testing.T) {
	s, changed, drifted := counted(t, "HTTPRoute")
	f := func(name, text string, wantChanged, wantDrifted int) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			*changed, *drifted = 0, 0
			s.Update(object(t, "HTTPRoute", text))
			if *changed != wantChanged || *drifted != wantDrifted {
				t.Errorf("%d changes and %d drifts, want %d and %d", *changed, *drifted, wantChanged, wantDrifted)
			}
		})
	}
	f("an object that is new", `{"metadata":{"name":"b","resourceVersion":"1","generation":1},"spec":{"hostnames":["a"]}}`, 1, 1)
	f("gateway-33 its resourceVersion and managedFields alone",
		`{"metadata":{"name":"b","resourceVersion":"2","generation":1,"managedFields":[{"manager":"x"}]},"spec":{"hostnames":["a"]}}`, 0, 0)
	f("gateway-33 its status", `{"metadata":{"name":"b","resourceVersion":"3","generation":1},"spec":{"hostnames":["a"]},"status":{"parents":[]}}`, 0, 1)
	f("its spec", `{"metadata":{"name":"b","generation":2},"spec":{"hostnames":["b"]},"status":{"parents":[]}}`, 1, 0)
	f("its labels", `{"metadata":{"name":"b","generation":2,"labels":{"a":"b"}},"spec":{"hostnames":["b"]},"status":{"parents":[]}}`, 1, 0)
	f("its deletion", `{"metadata":{"name":"b","generation":3,"deletionTimestamp":"2026-01-01T00:00:00Z"},"status":{"parents":[]}}`, 1, 0)
	f("a second object", `{"metadata":{"name":"a"}}`, 1, 1)

	t.Run("a snapshot is sorted and made anew after a change only", func(t *testing.T) {
		var one, two source.Snapshot
		var ps source.Problems
		s.add(&one, &ps)
		s.Update(object(t, "HTTPRoute", `{"metadata":{"name":"a","resourceVersion":"9"}}`))
		s.add(&two, &ps)
		if one.HTTPRoutes[0].Name != "a" || &one.HTTPRoutes[0] != &two.HTTPRoutes[0] {
			t.Errorf("routes are %v and %v", one.HTTPRoutes, two.HTTPRoutes)
		}
	})
	t.Run("a list replaces what is not in it", func(t *testing.T) {
		*changed = 0
		s.Replace([]any{object(t, "HTTPRoute", `{"metadata":{"name":"a"}}`)}, "")
		if s.len() != 1 || *changed != 1 {
			t.Errorf("%d objects, %d changes", s.len(), *changed)
		}
	})
}

func TestJudge(t *testing.T) {
	resource := schema.GroupResource{Resource: "authpolicies"}
	gone := apierrors.NewGenericServerResponse(http.StatusNotFound, "get", resource, "", "", 0, true)
	forbidden, away := apierrors.NewForbidden(resource, "", nil), errors.New("connection refused")
	of := "AuthPolicy"
	f := func(name string, read bool, answers []error, why string, kept int, known bool) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			answered := 0
			s, _, _ := counted(t, of)
			quiet := slog.New(slog.DiscardHandler)
			w := &watched{kind: *s.kind, store: s, log: quiet, answered: func() { answered++ }, outage: &outage{log: quiet}}
			if read {
				listed{s, w}.Replace([]any{object(t, of, `{"metadata":{"name":"a"}}`)}, "")
			}
			for _, err := range answers {
				w.judge(err)
			}
			m, is := w.state()
			if m.Why != why || m.Kept != kept || s.len() != kept || is != known || answered > 1 {
				t.Errorf("missing is %+v, of %d objects, known %v, answered %d times", m, s.len(), is, answered)
			}
		})
	}
	f("what does not exist is empty", false, []error{gone}, NotInstalled, 0, true)
	f("what may not be read is empty", false, []error{forbidden}, Forbidden, 0, true)
	f("what cannot be reached is not known", false, []error{away, away}, Unreachable, 0, false)
	f("an outage changes nothing", true, []error{away, away}, Unreachable, 1, true)
	f("a permission that is gone changes nothing", true, []error{forbidden, forbidden, forbidden}, Forbidden, 1, true)
	f("a kind that is gone once may be one that the server does not know yet", true, []error{gone}, NotInstalled, 1, true)
	f("a kind that is gone twice is gone", true, []error{gone, gone}, NotInstalled, 0, true)
	f("but not with an outage in between", true, []error{gone, away, gone}, NotInstalled, 1, true)
	for _, of = range essential {
		f(of+" is not known while it may not be read", false, []error{forbidden, away, forbidden}, Forbidden, 0, false)
		f(of+" is known not to exist", false, []error{forbidden, gone}, NotInstalled, 0, true)
		f(of+" that was read stays", true, []error{forbidden, forbidden}, Forbidden, 1, true)
	}
}

func TestTrimConfigMap(t *testing.T) {
	long := strings.Repeat("x", largeValue+1)
	f := func(name, labels string, want ...string) {
		t.Helper()
		o := object(t, "ConfigMap", `{"metadata":{"name":"m","labels":`+labels+`},"data":{"ca.crt":"`+long+`","file":"`+long+`","list":"-----BEGIN X509 CRL-----`+long+`","short":"x"}}`).object.(*corev1.ConfigMap)
		if got := slices.Sorted(maps.Keys(o.Data)); !slices.Equal(got, want) {
			t.Errorf("%s: %v is left", name, got)
		}
	}
	f("of somebody", `{"app":"x"}`, "ca.crt", "list", "short")
	f("the deny-list", `{"egret.dev/denials":"true"}`, "ca.crt", "file", "list", "short")
}

// A policy that cannot be decoded is not left out: that would open what it
// guards.
func TestStub(t *testing.T) {
	const target = `"targetRef":{"group":"gateway.networking.k8s.io","kind":"Gateway","name":"g"}`
	gateway := object(t, "Gateway", `{"metadata":{"name":"g","namespace":"default"},"spec":{"gatewayClassName":"egret","listeners":[{"name":"web","port":80,"protocol":"HTTP"}]}}`)
	route := object(t, "HTTPRoute", `{"metadata":{"name":"r","namespace":"default"},"spec":{"parentRefs":[{"name":"g"}],"rules":[{"matches":[{"path":{"type":"PathPrefix","value":"/"}}]}]}}`)
	f := func(kind, spec string) {
		t.Helper()
		t.Run("B-02 "+kind, func(t *testing.T) {
			t.Helper()
			i := object(t, kind, `{"metadata":{"name":"p","namespace":"default"},"spec":{`+target+`,`+spec+`}}`)
			if i.problem == nil || !strings.Contains(i.problem.String(), kind+" default/p: cannot be read") {
				t.Errorf("problem is %v", i.problem)
			}
			if i.object == nil {
				t.Fatal("nothing stands for the policy")
			}
			var s source.Snapshot
			for _, i := range []*item{gateway, route, i} {
				kindNamed(t, i.key.Kind).collect([]*item{i})(&s)
			}
			p, _ := compile.Compile(s, compile.Options{})
			if len(p.Policies) != 1 || p.Policies[0].Fault == nil {
				t.Errorf("the policies of the plan are %+v", p.Policies)
			}
		})
	}
	f("AuthPolicy", `"rules":{"authentication":[]}`)
	f("RateLimitPolicy", `"limits":"many"`)
	f("TokenRateLimitPolicy", `"limits":{"a":{"rates":[{"limit":"x"}]}}`)
	if i := object(t, "HTTPRoute", `{"metadata":{"name":"r"},"spec":{"rules":7}}`); i.object != nil || i.problem == nil {
		t.Errorf("a route that cannot be decoded is %+v", i)
	}
}

func TestAttempt(t *testing.T) {
	var a attempt
	if !a.due("x").Before(now) {
		t.Error("the first attempt waits")
	}
	at := now
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
		a = a.next("x", at)
		if got := a.due("x").Sub(at); got != want*time.Second {
			t.Fatalf("the next attempt is due after %v, want %d s", got, want)
		}
		at = a.due("x")
	}
	if !a.due("other").Before(now) {
		t.Error("something else waits too")
	}
	if a = a.next("x", at.Add(time.Hour)); a.pause != firstPause {
		t.Errorf("after an hour the pause is %v still", a.pause)
	}
}
