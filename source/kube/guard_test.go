package kube

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"

	"github.com/egret-gateway/egret/source"
)

// api is an API server of a few objects, in a bubble.
type api struct {
	mu      sync.Mutex
	version int
	objects map[string]map[string]string // by resource and name, as JSON
	made    map[string]int
	streams map[string][]chan string
	refuse  map[string]int           // status of what is asked of a resource
	late    map[string]time.Duration // how late the events of a resource are
	slow    time.Duration            // how long it takes to find out which policies there are
	asked   func()                   // called once, between a list of policies and its answer
	heads   map[string]int           // how often that list was asked for, by resource
}

func newAPI() *api {
	return &api{
		objects: map[string]map[string]string{}, made: map[string]int{}, streams: map[string][]chan string{},
		refuse: map[string]int{}, late: map[string]time.Duration{}, heads: map[string]int{},
	}
}

func (a *api) put(resource, name string)    { a.change(resource, name, "MODIFIED") }
func (a *api) remove(resource, name string) { a.change(resource, name, "DELETED") }

func (a *api) change(resource, name, event string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.version++
	if _, is := a.objects[resource][name]; !is {
		a.made[resource+name] = a.version
	}
	o := fmt.Sprintf(`{"metadata":{"name":%q,"namespace":"n","uid":"%[3]d","generation":%[2]d,"resourceVersion":"%[2]d","labels":{"version":"%[2]d"}}}`, name, a.version, a.made[resource+name])
	if a.objects[resource] == nil {
		a.objects[resource] = map[string]string{}
	}
	if a.objects[resource][name] = o; event == "DELETED" {
		delete(a.objects[resource], name)
	}
	for _, stream := range a.streams[resource] {
		tell := func() { stream <- `{"type":"` + event + `","object":` + o + "}\n" }
		if late := a.late[resource]; late > 0 {
			time.AfterFunc(late, tell)
		} else {
			tell()
		}
	}
}

// answer makes the API server answer a resource with a status, and ends its
// watches; 0 mends it.
func (a *api) answer(resource string, status int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refuse[resource] = status
	for _, stream := range a.streams[resource] {
		close(stream)
	}
	a.streams[resource] = nil
}

func (a *api) RoundTrip(r *http.Request) (*http.Response, error) {
	resource, query := path.Base(r.URL.Path), r.URL.Query()
	answer := func(status int, body io.ReadCloser) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: body, Request: r}, nil
	}
	text := func(status int, format string, args ...any) (*http.Response, error) {
		return answer(status, io.NopCloser(strings.NewReader(fmt.Sprintf(format, args...))))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch refused := a.refuse[resource]; {
	case resource == "v1":
		return text(http.StatusOK, `{"resources":[{"name":"authpolicies"},{"name":"ratelimitpolicies"},{"name":"httproutes"},{"name":"secrets"}]}`)
	case refused != 0:
		reason := map[int]string{http.StatusForbidden: "Forbidden", http.StatusNotFound: "NotFound"}[refused]
		return text(refused, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d}`, reason, refused)
	case query.Has("sendInitialEvents"):
		return text(http.StatusUnprocessableEntity, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`)
	case query.Has("watch"):
		events := make(chan string, 100)
		a.streams[resource] = append(a.streams[resource], events)
		return answer(http.StatusOK, &follower{ctx: r.Context(), events: events})
	}
	var items []string
	for _, o := range a.objects[resource] {
		items = append(items, o)
	}
	if strings.Contains(r.Header.Get("Accept"), "PartialObjectMetadataList") {
		a.heads[resource]++
		if a.slow > 0 {
			a.mu.Unlock()
			select {
			case <-time.After(a.slow):
			case <-r.Context().Done():
			}
			a.mu.Lock()
			if err := r.Context().Err(); err != nil {
				return nil, err
			}
		}
		if asked := a.asked; asked != nil && resource == "authpolicies" {
			a.asked = nil
			a.mu.Unlock()
			asked()
			a.mu.Lock()
		}
	}
	return text(http.StatusOK, `{"metadata":{"resourceVersion":"%d"},"items":[%s]}`, a.version, strings.Join(items, ","))
}

// follower is the body of a watch.
type follower struct {
	ctx    context.Context
	events <-chan string
	rest   []byte
}

func (f *follower) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		select {
		case event, open := <-f.events:
			if !open {
				return 0, io.EOF
			}
			f.rest = []byte(event)
		case <-f.ctx.Done():
			return 0, f.ctx.Err()
		}
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

func (*follower) Close() error { return nil }

// seen is what a source says in a bubble.
type seen struct {
	*Source
	mu     sync.Mutex
	last   source.Snapshot
	number int
	open   int // snapshots with a route and no policy
	said   bytes.Buffer
}

// watch runs a source of four kinds until the test ends.
func (a *api) watch(t *testing.T) *seen {
	t.Helper()
	s := &seen{}
	var err error
	s.Source, err = New(Options{
		Kinds:  []Kind{{Name: "HTTPRoute"}, {Name: "AuthPolicy"}, {Name: "RateLimitPolicy"}, {Name: "Secret"}},
		Config: &rest.Config{Host: "http://api", Transport: a},
		Log:    slog.New(slog.NewTextHandler(&s.said, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- s.Run(ctx, func(snapshot source.Snapshot, _ source.Problems) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.last = snapshot
			s.number++
			if len(snapshot.HTTPRoutes) > 0 && len(snapshot.AuthPolicies) == 0 {
				s.open++
			}
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// got returns the last snapshot and how many there were.
func (s *seen) got() (source.Snapshot, int) {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, s.number
}

// has checks how many routes, policies and Secrets the last snapshot has, some
// time after what was done.
func (s *seen) has(t *testing.T, what string, after time.Duration, routes, policies, secrets int) {
	t.Helper()
	time.Sleep(after)
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.last
	if s.number == 0 || len(l.HTTPRoutes) != routes || len(l.AuthPolicies) != policies || len(l.Secrets) != secrets {
		t.Errorf("%s: after %d snapshots there are %d routes, %d policies and %d Secrets, want %d, %d and %d",
			what, s.number, len(l.HTTPRoutes), len(l.AuthPolicies), len(l.Secrets), routes, policies, secrets)
	}
	if s.open > 0 {
		t.Errorf("%s: %d snapshots have a route and not its policy", what, s.open)
	}
}

// bubble is a test in which time passes at once.
func bubble(t *testing.T, name string, f func(*testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

func TestOpened(t *testing.T) {
	broken := func(name string, status int) {
		bubble(t, "a route waits while policies cannot be read: "+name, func(t *testing.T) {
			a := newAPI()
			s := a.watch(t)
			s.has(t, "at first", time.Second, 0, 0, 0)
			a.answer("authpolicies", status)
			time.Sleep(time.Second)
			a.put("authpolicies", "guard")
			a.put("httproutes", "guarded")
			s.has(t, "an hour later", time.Hour, 0, 0, 0)
			a.put("secrets", "certificate")
			s.has(t, "what opens nothing waits for nothing", 20*time.Second, 0, 0, 1)
			_, number := s.got()
			s.has(t, "a minute later", time.Minute, 0, 0, 1)
			if _, now := s.got(); now != number {
				t.Errorf("%d snapshots say nothing new", now-number)
			}
			a.answer("authpolicies", 0)
			s.has(t, "once they can be read again", 10*time.Second, 1, 1, 1)
			if n := strings.Count(s.said.String(), "it is not known which policies there are"); n != 1 {
				t.Errorf("the log says so %d times: %s", n, &s.said)
			}
			if n := strings.Count(s.said.String(), "policies are known again"); n != 1 {
				t.Errorf("the log says %d times that it is over: %s", n, &s.said)
			}
		})
	}
	broken("the API server fails", http.StatusInternalServerError)
	broken("the permission was withdrawn", http.StatusForbidden)

	bubble(t, "a withdrawn permission changes nothing, and what is gone is gone", func(t *testing.T) {
		a := newAPI()
		a.put("authpolicies", "guard")
		a.put("httproutes", "one")
		a.put("httproutes", "two")
		s := a.watch(t)
		s.has(t, "at first", time.Second, 2, 1, 0)
		a.answer("authpolicies", http.StatusForbidden)
		a.put("httproutes", "two")
		s.has(t, "a change waits", time.Minute, 2, 1, 0)
		a.remove("httproutes", "one")
		a.put("httproutes", "one")
		s.has(t, "what is gone is gone, also when it comes again", time.Minute, 1, 1, 0)
		a.put("secrets", "certificate")
		s.has(t, "what opens nothing waits for nothing", time.Minute, 1, 1, 1)
		snapshot, _ := s.got()
		if r := snapshot.HTTPRoutes[0]; r.Name != "two" || r.Labels["version"] != "3" {
			t.Errorf("the route is %s, version %s", r.Name, r.Labels["version"])
		}
	})
	bubble(t, "a route waits for a watch of policies that is far behind", func(t *testing.T) {
		a := newAPI()
		s := a.watch(t)
		s.has(t, "at first", time.Second, 0, 0, 0)
		a.late["authpolicies"] = 40 * time.Second
		a.put("authpolicies", "guard")
		a.put("httproutes", "guarded")
		s.has(t, "before", 39*time.Second, 0, 0, 0)
		s.has(t, "after", 10*time.Second, 1, 1, 0)
	})
	bubble(t, "a route waits for an API server that is slow, and not for ever", func(t *testing.T) {
		a := newAPI()
		s := a.watch(t)
		s.has(t, "at first", time.Second, 0, 0, 0)
		a.slow = 10 * time.Second
		a.put("authpolicies", "guard")
		a.put("httproutes", "guarded")
		s.has(t, "before", 10*time.Second, 0, 0, 0)
		s.has(t, "after", 30*time.Second, 1, 1, 0)
	})
	bubble(t, "a route that comes after the list of policies is in the next snapshot", func(t *testing.T) {
		a := newAPI()
		a.put("authpolicies", "other")
		a.put("httproutes", "other")
		s := a.watch(t)
		s.has(t, "at first", time.Second, 1, 1, 0)
		a.late["authpolicies"] = time.Second
		a.asked = func() {
			a.put("authpolicies", "guard")
			a.put("httproutes", "guarded")
			time.Sleep(time.Millisecond) // now the route is in its store
		}
		a.put("httproutes", "other")
		s.has(t, "before the policy", 500*time.Millisecond, 1, 1, 0)
		s.has(t, "after it", 5*time.Second, 2, 2, 0)
	})
	bubble(t, "a route does not wait for a policy that is deleted meanwhile", func(t *testing.T) {
		a := newAPI()
		a.put("authpolicies", "other")
		a.put("authpolicies", "guard")
		s := a.watch(t)
		s.has(t, "at first", time.Second, 0, 2, 0)
		a.asked = func() {
			a.remove("authpolicies", "other")
			time.Sleep(time.Millisecond)
		}
		a.put("httproutes", "guarded")
		s.has(t, "at once", 100*time.Millisecond, 1, 1, 0)
	})
	bubble(t, "there is no first snapshot while it is not known which policies there are", func(t *testing.T) {
		a := newAPI()
		a.put("httproutes", "guarded")
		a.late["authpolicies"] = time.Minute
		s := a.watch(t)
		time.Sleep(10 * time.Millisecond) // every kind has answered, and there may be more
		a.put("authpolicies", "guard")
		time.Sleep(30 * time.Second)
		if snapshot, n := s.got(); n != 0 {
			t.Errorf("there is a snapshot of %d policies", len(snapshot.AuthPolicies))
		}
		s.has(t, "with the policy", time.Minute, 1, 1, 0)
	})
	bubble(t, "014 a route does not wait for policies that were never permitted, nor for such as there cannot be", func(t *testing.T) {
		for _, status := range []int{http.StatusForbidden, http.StatusNotFound} {
			a := newAPI()
			a.refuse["authpolicies"] = status
			s := a.watch(t)
			time.Sleep(time.Second)
			a.put("httproutes", "free")
			time.Sleep(time.Second)
			if snapshot, _ := s.got(); len(snapshot.HTTPRoutes) != 1 || a.heads["authpolicies"] != 0 {
				t.Errorf("%d: %d routes, and policies were asked for %d times", status, len(snapshot.HTTPRoutes), a.heads["authpolicies"])
			}
		}
	})
	bubble(t, "014 an outage does not make policies known that were never permitted", func(t *testing.T) {
		a := newAPI()
		a.refuse["authpolicies"] = http.StatusForbidden
		s := a.watch(t)
		time.Sleep(time.Second)
		a.answer("authpolicies", http.StatusInternalServerError)
		time.Sleep(time.Minute)
		a.put("httproutes", "guarded")
		time.Sleep(time.Second)
		if snapshot, _ := s.got(); len(snapshot.HTTPRoutes) != 1 {
			t.Errorf("%d routes", len(snapshot.HTTPRoutes))
		}
		if got := s.Unread(); !slices.Equal(got, []string{"AuthPolicy"}) {
			t.Errorf("not read are %v", got)
		}
	})
	bubble(t, "014 nor does a permission before the policies are in a snapshot", func(t *testing.T) {
		a := newAPI()
		a.put("authpolicies", "guard")
		a.refuse["authpolicies"] = http.StatusForbidden
		s := a.watch(t)
		time.Sleep(time.Second)
		a.answer("ratelimitpolicies", http.StatusInternalServerError)
		a.put("httproutes", "guarded")
		s.has(t, "the route waits", time.Minute, 0, 0, 0)
		a.answer("authpolicies", 0)
		s.has(t, "still", time.Minute, 0, 0, 0)
		a.put("secrets", "certificate")
		s.has(t, "while the rest goes on", time.Minute, 0, 0, 1)
		if got := s.Unread(); !slices.Equal(got, []string{"AuthPolicy"}) {
			t.Errorf("not in the snapshot are %v", got)
		}
		a.answer("ratelimitpolicies", 0)
		s.has(t, "until all is known", time.Minute, 1, 1, 1)
		if got := s.Unread(); len(got) != 0 {
			t.Errorf("not in the snapshot are %v", got)
		}
	})
}

func TestEssential(t *testing.T) {
	bubble(t, "an essential kind that may not be read is waited for, and named", func(t *testing.T) {
		a := newAPI()
		a.put("authpolicies", "guard")
		a.put("httproutes", "guarded")
		a.refuse["httproutes"] = http.StatusForbidden
		s := a.watch(t)
		time.Sleep(time.Minute)
		if snapshot, n := s.got(); n != 0 {
			t.Errorf("there is a snapshot of %d routes", len(snapshot.HTTPRoutes))
		}
		if want := `msg="waiting for the API server before anything is served" kinds="HTTPRoute (Forbidden: `; !strings.Contains(s.said.String(), want) {
			t.Errorf("the log has no %s: %s", want, &s.said)
		}
		a.answer("httproutes", 0)
		s.has(t, "once it may be read", 10*time.Second, 1, 1, 0)
	})
	bubble(t, "gateway-28 one that is not installed is not", func(t *testing.T) {
		a := newAPI()
		a.refuse["httproutes"] = http.StatusNotFound
		s := a.watch(t)
		s.has(t, "at first", time.Second, 0, 0, 0)
	})
	bubble(t, "nor is any once it was read", func(t *testing.T) {
		a := newAPI()
		a.put("authpolicies", "guard")
		a.put("httproutes", "guarded")
		s := a.watch(t)
		s.has(t, "at first", time.Second, 1, 1, 0)
		a.answer("httproutes", http.StatusForbidden)
		a.put("secrets", "certificate")
		s.has(t, "later", time.Minute, 1, 1, 1)
	})
}
