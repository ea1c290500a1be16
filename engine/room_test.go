package engine

import (
	"log/slog"
	"math"
	"net/http"
	"runtime/debug"
	"strings"
	"testing"
)

// TestBodyRoom: bodies share a room; who finds it taken is told to come again,
// in its own dialect, and the end of a request makes room.
func TestBodyRoom(t *testing.T) {
	deps := newWorld(t, onePlan(budget(100))).deps
	deps.BodyLimit, deps.BodyRoom = 100, 150
	w := &world{Engine: New(deps)}
	if err := w.Load(onePlan(budget(100))); err != nil {
		t.Fatal(err)
	}
	first, _ := w.Begin(t.Context(), chat())
	for _, n := range []int{10, 40, 100, 100} { // it grows
		if busy := first.Keep(n); busy != nil {
			t.Fatalf("%d bytes: %+v", n, busy)
		}
	}
	second, _ := w.Begin(t.Context(), chat())
	if busy := second.Keep(50); busy != nil {
		t.Fatalf("what is left: %+v", busy)
	}
	busy := second.Keep(51)
	if busy == nil || busy.Status != http.StatusServiceUnavailable || busy.Header.Get("Retry-After") != "1" || !strings.HasPrefix(string(busy.Body), `{"error":`) {
		t.Fatalf("one byte more: %+v", busy)
	}
	second.Refuse(busy)
	if r := second.End(t.Context(), Done, 0); r.Status != 503 || r.Code != "busy" || !strings.HasPrefix(r.Reason, "busy: ") {
		t.Errorf("record %+v", r)
	}
	third, _ := w.Begin(t.Context(), chat())
	if busy := third.Keep(51); busy == nil {
		t.Error("a body found room that another has")
	}
	first.End(t.Context(), Done, 0)
	first.End(t.Context(), Done, 0) // it counts once
	first.Keep(1000)                // as does nothing that comes later
	if busy := third.Keep(100); busy != nil {
		t.Errorf("after the end of the first: %+v", busy)
	}
	third.End(t.Context(), Done, 0)
	if taken := w.room.taken.Load(); taken != 0 {
		t.Errorf("%d bytes are taken by nobody", taken)
	}
}

// TestDefaultBodyRoom: a quarter of the process's memory where that is bounded,
// and never less than one body.
func TestDefaultBodyRoom(t *testing.T) {
	f := func(memory, bodyLimit, want int64) {
		t.Helper()
		defer debug.SetMemoryLimit(debug.SetMemoryLimit(memory))
		if got := New(Deps{BodyLimit: bodyLimit, Log: slog.New(slog.DiscardHandler)}).room.limit; got != want {
			t.Errorf("memory %d, bodies of %d: room for %d, want %d", memory, bodyLimit, got, want)
		}
	}
	f(math.MaxInt64, 0, DefaultBodyRoom)
	f(4<<30, 0, 1<<30)
	f(4<<30, 2<<30, 2<<30)
}
