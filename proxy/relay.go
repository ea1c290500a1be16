package proxy

import (
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/egret-gateway/egret/engine"
)

// relay is the body of an answer on its way.
type relay struct {
	*exchange
	res   *http.Response
	plan  engine.ResponsePlan
	idle  time.Duration
	flush bool // pass each piece on as soon as it is there

	now, next piece  // what is read into, and what takes turns with it
	held      []byte // the last piece of an answer whose end is not known yet
	seen      int64
	last      bool // the engine has been told that all has passed
}

// relay passes an answer on, piece by piece. One read becomes one write and,
// for a stream, one flush: events arrive when they are sent.
func (e *exchange) relay(res *http.Response, p engine.ResponsePlan) {
	if res.StatusCode == http.StatusSwitchingProtocols {
		e.upgrade(res, p)
		return
	}
	events := strings.Contains(strings.ToLower(res.Header.Get("Content-Type")), "text/event-stream")
	r := &relay{exchange: e, res: res, plan: p, idle: e.x.Idle(), flush: events || res.ContentLength < 0}
	r.now.from, r.next.from = &e.port.server.buffers, &e.port.server.buffers
	defer r.now.free()
	defer r.next.free()
	if events {
		r.begin()
		r.ctl.Flush() // the head, before the first event
	}
	r.run()
}

func (r *relay) run() {
	for {
		r.watch.begin(forPiece, r.idle)
		buf := r.now.room()
		n, err := r.res.Body.Read(buf)
		r.seen += int64(n)
		if err == io.EOF && r.unframed() {
			if err = io.ErrUnexpectedEOF; n > 0 {
				err = nil // the engine looks at these bytes first; the end comes again
			} else if !r.x.Unfinished() {
				err = io.EOF
			}
		}
		whole := err == io.EOF || r.res.ContentLength >= 0 && r.seen >= r.res.ContentLength
		if (n > 0 || whole) && !r.last {
			if !r.pass(buf[:n], whole) {
				r.outcome = engine.ClientGone
				panic(http.ErrAbortHandler)
			}
		}
		switch {
		case err == io.EOF:
			r.finish()
			return
		case err != nil:
			r.broken(err)
			return
		}
		r.now.grow(n)
	}
}

// unframed reports whether the end of a stream is only told by the end of its
// connection, which looks the same when the backend dies. With any other
// framing net/http notices.
func (r *relay) unframed() bool {
	return r.res.ContentLength < 0 && len(r.res.TransferEncoding) == 0 && r.res.ProtoMajor == 1 && r.plan.Watch && !r.plan.Hold
}

// begin writes the head of the answer.
func (r *relay) begin() {
	if r.begun {
		return
	}
	r.begun = true
	r.settleBody()
	h := r.w.Header()
	for name, v := range r.plan.Header {
		h[name] = v
	}
	if _, sent := h["Content-Type"]; !sent {
		h["Content-Type"] = nil // or net/http would guess one
	}
	for name := range r.res.Trailer {
		h.Add("Trailer", name)
	}
	r.w.WriteHeader(r.res.StatusCode)
}

// pass gives a piece to the engine and then to the client. An answer that is
// held stays one piece behind, so that the last one goes out settled.
func (r *relay) pass(b []byte, whole bool) bool {
	r.last = whole
	if !r.plan.Watch {
		return r.write(b, r.flush && !whole)
	}
	if r.plan.Hold && !whole {
		b, r.held = r.held, b
		r.now, r.next = r.next, r.now
		return len(b) == 0 || r.write(r.x.Chunk(r.ctx, b, false), r.flush)
	}
	if len(r.held) > 0 {
		held := r.held
		r.held = nil
		if !r.write(r.x.Chunk(r.ctx, held, false), false) {
			return false
		}
	}
	return r.write(r.x.Chunk(r.ctx, b, whole), r.flush && !whole)
}

func (r *relay) write(b []byte, flush bool) bool {
	if len(b) == 0 {
		return true
	}
	r.watch.begin(forClient, stall)
	r.begin()
	n, err := r.w.Write(b)
	r.sent += int64(n)
	if err == nil && flush {
		err = r.ctl.Flush()
	}
	return err == nil
}

// finish ends an answer that came whole, with the backend's trailers.
func (r *relay) finish() {
	r.watch.begin(forClient, stall)
	r.begin()
	for name, v := range r.res.Trailer {
		r.w.Header()[http.TrailerPrefix+name] = v
	}
}

// broken ends an answer that the upstream did not finish. Nothing sent yet: an
// error answer takes its place. Otherwise what came is passed on, a stream gets
// an error event, and the connection is cut so that nobody takes the answer for
// complete.
func (r *relay) broken(err error) {
	r.outcome = outcome(r.ctx, r.r.Context())
	if r.outcome == engine.ClientGone {
		panic(http.ErrAbortHandler)
	}
	if !r.begun {
		r.refuse(r.fail(err))
		return
	}
	r.x.Record.Reason = err.Error()
	if r.plan.Hold {
		r.void(err)
	}
	reason := "the model backend broke off its answer"
	if r.outcome == engine.TimedOut {
		reason = "the model backend was silent for too long"
	}
	r.write(r.x.BreakOff(reason), true)
	r.ctl.Flush()
	panic(http.ErrAbortHandler)
}

// void passes on what is held of half an answer that is no stream. It is of no
// use to anybody, and free, also when its usage has come.
func (r *relay) void(err error) {
	failure := engine.NoAnswer
	if r.outcome == engine.TimedOut {
		failure = engine.NoTime
	}
	r.x.Fail(failure, err.Error())
	r.x.Refusal = nil // its head has left: this is not what the client got
	r.write(r.held, false)
}
