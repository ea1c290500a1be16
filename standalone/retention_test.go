package standalone

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/store"
	"github.com/egret-gateway/egret/store/sqlite"
)

// TestForget: entries older than Keep are removed at the start, younger ones
// stay; without Keep all stay.
func TestForget(t *testing.T) {
	f := func(keep time.Duration, want ...string) {
		t.Helper()
		db, err := sqlite.Open(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		now := time.Now()
		if err := db.Append(t.Context(), []store.Entry{
			{ID: "ancient", Time: now.Add(-96 * time.Hour), User: "u"}, {ID: "old", Time: now.Add(-48 * time.Hour), User: "u"}, {ID: "new", Time: now.Add(-time.Hour), User: "u"},
		}); err != nil {
			t.Fatal(err)
		}
		s := &System{o: Options{Keep: keep}, store: db, log: slog.New(slog.DiscardHandler)}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		done := make(chan error, 1)
		go func() { done <- s.forget(ctx) }()
		if keep == 0 {
			done <- <-done // it has nothing to do and says so
		}
		var got []string
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
			entries, err := db.Recent(t.Context(), "u", 10)
			if err != nil {
				t.Fatal(err)
			}
			if got = ids(entries); slices.Equal(got, want) {
				break
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("keep %s: %s", keep, diff)
		}
	}
	f(24*time.Hour, "new")
	f(72*time.Hour, "new", "old")
	f(0, "ancient", "new", "old")
}

func ids(entries []store.Entry) []string {
	var out []string
	for _, e := range entries {
		out = append(out, e.ID)
	}
	slices.Sort(out)
	return out
}

// TestUnknownListeners: an address for a listener that is not there is named,
// with those that are.
func TestUnknownListeners(t *testing.T) {
	s := &System{o: Options{Listen: map[string]Address{"default/models/http": {}, "default/models/htp": {}}}}
	unknown, known := s.unknownListeners(&plan.Plan{Ports: []plan.Port{{Gateway: "default/models", Listeners: []plan.Listener{{Name: "http"}}}}})
	if diff := cmp.Diff([]string{"default/models/htp"}, unknown); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"default/models/http"}, known); diff != "" {
		t.Error(diff)
	}
}
