package extproc

import (
	"time"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/egret-gateway/egret/engine"
)

// A body that is read whole has grace, and beyond it must have come at floor
// bytes per second on average, as on the native plane.
const (
	grace = 30 * time.Second
	floor = 4 << 10
)

// silence is the wait for the next piece of a body, of which Envoy has no
// measure of its own: its idle time-outs count the wait for an answer too.
// Pieces only move due; the timer looks when it fires.
type silence struct {
	limit time.Duration
	due   time.Time
	then  func() *extproc.ProcessingResponse // what is said instead of going on; nil = nothing is waited for
	timer *time.Timer
}

// expect waits for the next piece from now on. The caller holds f.mu, as of
// all that follows.
func (f *flow) expect(limit time.Duration, then func() *extproc.ProcessingResponse) {
	f.quiet.limit, f.quiet.then = limit, then
	f.moved()
	if f.quiet.timer == nil {
		f.quiet.timer = time.AfterFunc(limit, f.expire)
	} else {
		f.quiet.timer.Reset(limit)
	}
}

// moved notes that a piece came.
func (f *flow) moved() { f.quiet.due = time.Now().Add(f.quiet.limit) }

// calm waits no more.
func (f *flow) calm() {
	f.quiet.then = nil
	if f.quiet.timer != nil {
		f.quiet.timer.Stop()
	}
}

// expire cuts a flow of which nothing came for too long. Envoy takes an
// immediate response at any time; when an answer has begun, it resets the
// stream.
func (f *flow) expire() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.quiet.then == nil || f.ended {
		return
	}
	if left := time.Until(f.quiet.due); left > 0 {
		f.quiet.timer.Reset(left)
		return
	}
	_ = f.say(f.quiet.then()) // when Envoy has gone, so has the request
}

// wholly is how long a body may take that is read whole.
func (f *flow) wholly(length int64) time.Duration {
	if length < 0 {
		length = f.x.BodyLimit()
	}
	return grace + time.Duration(length)*time.Second/floor
}

// slow refuses a request whose body does not come.
func (f *flow) slow() *extproc.ProcessingResponse {
	r := slowBody("nothing of it came any more")
	f.x.Refuse(r)
	return f.refuse(r, engine.ClientGone)
}

// silent cuts an answer that does not go on.
func (f *flow) silent() *extproc.ProcessingResponse {
	const why = "idle timeout: the backend was silent for too long"
	f.broken(f.x.Record.Status, why)
	f.x.Record.Reason = why
	out := immediate(plain(504, string(engine.NoTime)), f.x.Record.ID)
	f.end(engine.TimedOut, f.reply.sent)
	out.DynamicMetadata = f.known(false)
	return out
}
