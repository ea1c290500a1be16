package kube

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/egret-gateway/egret/source"
)

func TestChanges(t *testing.T) {
	t.Run("B-01 a change of any kind that is read asks for a snapshot", func(t *testing.T) {
		s, err := New(Options{Config: &rest.Config{}})
		if err != nil {
			t.Fatal(err)
		}
		asked := func() bool {
			select {
			case <-s.changed:
				return true
			default:
				return false
			}
		}
		for _, w := range s.watched {
			o := object(t, w.kind.name, `{"metadata":{"name":"a","namespace":"b"}}`)
			if w.store.Add(o); !asked() {
				t.Errorf("%s: one that is new is not noticed", w.kind.name)
			}
			if w.store.Delete(o); !asked() {
				t.Errorf("%s: one that is gone is not noticed", w.kind.name)
			}
		}
	})
	t.Run("B-07 what went while nobody watched is gone", func(t *testing.T) {
		s, changed, _ := counted(t, "Gateway")
		gone := object(t, "Gateway", `{"metadata":{"name":"gone"}}`)
		s.Add(gone)
		s.Add(object(t, "Gateway", `{"metadata":{"name":"stays"}}`))
		*changed = 0
		s.Replace([]any{object(t, "Gateway", `{"metadata":{"name":"stays"}}`)}, "")
		var snapshot source.Snapshot
		var problems source.Problems
		if s.add(&snapshot, &problems); len(snapshot.Gateways) != 1 || *changed != 1 {
			t.Errorf("%d Gateways after %d changes", len(snapshot.Gateways), *changed)
		}
	})
}

func TestListFails(t *testing.T) {
	f := func(name, answer string, status int) {
		t.Helper()
		t.Run("B-16 "+name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				_, _ = w.Write([]byte(answer))
			}))
			defer server.Close()
			client, err := newClient(&rest.Config{Host: server.URL})
			if err != nil {
				t.Fatal(err)
			}
			s, _, _ := counted(t, "AuthPolicy")
			quiet := slog.New(slog.DiscardHandler)
			w := &watched{kind: *s.kind, store: s, log: quiet, answered: func() {}, outage: &outage{log: quiet}}
			listed{s, w}.Replace([]any{object(t, "AuthPolicy", `{"metadata":{"name":"a"}}`)}, "")
			err = (&wire{client: client, kind: s.kind, version: "v1"}).probe(t.Context())
			if err == nil {
				t.Fatal("the list passes for a good one")
			}
			w.judge(err)
			if m, _ := w.state(); s.len() != 1 || m == nil || m.Kept != 1 {
				t.Errorf("%d policies are in force, missing is %+v", s.len(), m)
			}
		})
	}
	f("an error of the server is no empty list", `{"kind":"Status","apiVersion":"v1","status":"Failure","code":500}`, http.StatusInternalServerError)
	f("nor is half an answer", `{"metadata":{"resourceVersion":"1"},"items":[`, http.StatusOK)
}

func TestListenerStatus(t *testing.T) {
	t.Run("B-05 every listener has its status", func(t *testing.T) {
		of := func(section string, status metav1.ConditionStatus) source.Condition {
			c := accepted(source.Ref{SectionName: section}, status)
			c.Kinds, c.Attached = "HTTPRoute", 2
			return c
		}
		got := patched(t, object(t, "Gateway", `{"metadata":{"name":"g","generation":2},"spec":{"listeners":[{"name":"a"},{"name":"b"}]}}`),
			asked{conditions: []source.Condition{accepted(source.Ref{}, "True"), of("a", "True"), of("b", "False")}})
		for _, part := range []string{`"listeners":[{"name":"a",`, `{"name":"b",`, `"attachedRoutes":2`, `"kind":"HTTPRoute"`, `"status":"False"`} {
			if !strings.Contains(got, part) {
				t.Errorf("the patch has no %s: %s", part, got)
			}
		}
	})
}

// wireless is an API server without a network.
type wireless func(*http.Request) (*http.Response, error)

func (f wireless) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// silence is a watch in which nothing happens.
type silence struct{ ctx context.Context }

func (s silence) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, io.EOF
}
func (silence) Close() error { return nil }

func TestAwaited(t *testing.T) {
	t.Run("B-35 no snapshot before every kind has answered", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			answer := make(chan struct{})
			s, err := New(Options{
				Kinds: []Kind{{Name: "Secret"}, {Name: "ConfigMap"}}, Log: slog.New(slog.DiscardHandler),
				Config: &rest.Config{Host: "http://api", Transport: wireless(func(r *http.Request) (*http.Response, error) {
					if strings.HasSuffix(r.URL.Path, "/configmaps") {
						select {
						case <-answer:
						case <-r.Context().Done():
							return nil, r.Context().Err()
						}
					}
					out := &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: r}
					switch q := r.URL.Query(); {
					case q.Has("sendInitialEvents"):
						out.StatusCode = http.StatusUnprocessableEntity
						out.Body = io.NopCloser(strings.NewReader(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`))
					case q.Has("watch"):
						out.Body = silence{r.Context()}
					default:
						out.Body = io.NopCloser(strings.NewReader(`{"metadata":{"resourceVersion":"1"},"items":[]}`))
					}
					return out, nil
				})},
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			var snapshots atomic.Int32
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx, func(source.Snapshot, source.Problems) { snapshots.Add(1) }) }()
			time.Sleep(time.Minute) // of the bubble
			if snapshots.Load() > 0 {
				t.Error("a snapshot came without the ConfigMaps")
			}
			close(answer)
			time.Sleep(time.Minute)
			if snapshots.Load() == 0 {
				t.Error("no snapshot came at all")
			}
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	})
}
