package proxy

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/egret-gateway/egret/engine"
)

// Bounds that no route can lift.
const (
	// stall is how long a client may take nothing of an answer that is there.
	stall = 60 * time.Second
	// A body that is read whole has grace, and beyond it must have come at
	// floor bytes per second on average.
	grace = 30 * time.Second
	floor = 4 << 10
	// linger is how long a refused request's body is read, so that the
	// connection can be used again.
	linger = 2 * time.Second
	// spare is how many bytes of it are read on HTTP/2.
	spare = 64 << 10
)

// Causes of an exchange's end.
var (
	errRequestTimeout = errors.New("the request's time is over")
	errIdle           = errors.New("the backend was silent for too long")
	errSlowBody       = errors.New("the request body came too slowly")
	errSlowReader     = errors.New("the client did not take the answer")
	errDrained        = errors.New("the gateway stopped before the answer had ended")
)

// wait is what an exchange is waiting for.
type wait int

const (
	forBody   wait = iota // the client's request body
	forAnswer             // the head of the backend's answer
	forPiece              // the next bytes of the answer
	forClient             // the client to take bytes
)

var causes = [...]error{forBody: errSlowBody, forAnswer: errRequestTimeout, forPiece: errIdle, forClient: errSlowReader}

// watch ends an exchange that waits for too long. One timer serves all waits,
// since an exchange waits for one thing at a time.
type watch struct {
	ctl    *http.ResponseController
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	timer *time.Timer
	what  wait
	due   time.Time // of the present wait; zero = never
	end   time.Time // of the whole request, or of the attempt; zero = never
	over  bool

	abandon func() // of the body that streams upstream; nil = none does
}

// begin starts a wait for what, of at most limit; a limit of 0 or less is only
// bound by the end of the request. A client that is told that this has come has
// the whole limit to take it.
func (w *watch) begin(what wait, limit time.Duration) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.what, w.due = what, w.end
	ended := what == forClient && !now.Before(w.end)
	if limit > 0 && (w.end.IsZero() || ended || now.Add(limit).Before(w.end)) {
		w.due = now.Add(limit)
	}
	switch {
	case w.due.IsZero():
		if w.timer != nil {
			w.timer.Stop()
		}
	case w.timer == nil:
		w.timer = time.AfterFunc(w.due.Sub(now), w.expire)
	default:
		w.timer.Reset(w.due.Sub(now))
	}
}

// until bounds all waits that begin from now on.
func (w *watch) until(end time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end = end
}

// streams has the end of a wait for an answer abandon the body that streams
// meanwhile: net/http does not give up a call of HTTP/1.1 before the reader of
// its body has returned, and that waits for the client.
func (w *watch) streams(abandon func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.abandon = abandon
}

// expire ends the exchange when the present wait is really over: it may have
// ended, or been followed by another, while the timer fired.
func (w *watch) expire() {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over || w.due.IsZero() || now.Before(w.due) {
		return
	}
	cause := causes[w.what]
	if !w.end.IsZero() && !now.Before(w.end) && w.what != forBody {
		cause = errRequestTimeout
	}
	w.cancel(cause)
	// Reads and writes of the client's connection do not know the context.
	switch w.what {
	case forBody:
		w.ctl.SetReadDeadline(past)
	case forAnswer:
		if w.abandon != nil {
			w.abandon()
		}
	case forClient:
		w.ctl.SetWriteDeadline(past)
	}
}

// past is a deadline that makes what is blocked return.
var past = time.Unix(1, 0)

// stop ends the watch for good: afterwards the connection may belong to
// another request.
func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	if w.timer != nil {
		w.timer.Stop()
	}
}

// outcome is how an exchange ended that did not run to its end: by a time-out,
// by the client or, if neither, by the upstream.
func outcome(ctx, client context.Context) engine.Outcome {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errRequestTimeout), errors.Is(cause, errIdle):
		return engine.TimedOut
	case errors.Is(cause, errDrained):
		return engine.UpstreamGone
	case errors.Is(cause, errSlowReader), errors.Is(cause, errSlowBody), client.Err() != nil:
		return engine.ClientGone
	}
	return engine.UpstreamGone
}
