package engine

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/egret-gateway/egret/policy/quota"
)

// remote is a limiter behind a network: it can do nothing for a caller whose
// context has ended.
type remote struct{ quota.Limiter }

func (r remote) Settle(ctx context.Context, t quota.Ticket, actual int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return r.Limiter.Settle(ctx, t, actual)
}

// TestSettleAfterTheClientHasGone: the charge stands when the request's own
// context ends before it is made.
func TestSettleAfterTheClientHasGone(t *testing.T) {
	w := newWorld(t, onePlan(budget(100)))
	w.deps.Limiter = remote{w.limiter}
	ctx, leave := context.WithCancel(t.Context())
	x, _ := w.Begin(ctx, chat())
	x.Body(ctx, []byte(chatBody))
	x.Attempt(1)
	x.Response(ResponseHead{Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}})
	leave()
	x.Chunk(ctx, []byte(`{"usage":{"total_tokens":7}}`), true)
	x.End(ctx, ClientGone, 0)
	if left := w.Explain(t.Context(), chat(), nil).Limits[0].Left; left != 93 {
		t.Errorf("%d tokens are left, want 93", left)
	}
}

// TestUnreadable: where no policy asks what a body says, one that is said to be
// JSON, or of which nothing is said, must be readable all the same; any other
// is nobody's call.
func TestUnreadable(t *testing.T) {
	f := func(contentType string, want Step) {
		t.Helper()
		w := newWorld(t, onePlan())
		h := chat()
		h.Header.Set("Content-Type", contentType)
		if contentType == "" {
			h.Header.Del("Content-Type")
		}
		x, _ := w.Begin(t.Context(), h)
		if step := x.Body(t.Context(), []byte(`{"model":"a","model":"b"}`)); step != want {
			t.Errorf("content type %q: step %v, want %v", contentType, step, want)
		}
	}
	f("application/json", Refuse)
	f("application/vnd.x+JSON; charset=utf-8", Refuse)
	f("", Refuse)
	f("application/octet-stream", Forward)
}

// away is a limiter out of reach.
type away struct{ quota.Limiter }

func (away) Reserve(context.Context, []quota.Bucket) (quota.Verdict, error) {
	return quota.Verdict{}, errors.New("connection refused")
}

// TestLimiterAway: calls pass (acceptance maas 95), and what concerns all of
// them is said once a second, not by each.
func TestLimiterAway(t *testing.T) {
	w := newWorld(t, onePlan(budget(100)))
	var log bytes.Buffer
	now := w.deps.Now()
	w.deps.Limiter, w.deps.Log, w.deps.Now = away{w.limiter}, slog.New(slog.NewTextHandler(&log, nil)), func() time.Time { return now }
	for _, said := range []int{1, 1, 2} { // at 0, 0.5 and 1 s
		x, _ := w.Begin(t.Context(), chat())
		if step := x.Body(t.Context(), []byte(chatBody)); step != Forward {
			t.Errorf("maas-95 step %v, want %v", step, Forward)
		}
		if got := strings.Count(log.String(), "limits cannot be checked"); got != said {
			t.Errorf("said %d times, want %d", got, said)
		}
		now = now.Add(time.Second / 2)
	}
}
