package kube

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

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
