package engine

import (
	"context"
	"net/http"
	"strings"

	"github.com/egret-gateway/egret/dialect"
)

// Response takes the head of an answer.
func (x *Exchange) Response(h ResponseHead) ResponsePlan {
	if x.asked && !x.target.backend.Parent && refusesField(h.Status) {
		if h.Body == nil {
			return ResponsePlan{Peek: true}
		}
		if dialect.RefusesUsage(h.Body) {
			return ResponsePlan{Retry: true}
		}
	}
	now := x.engine.deps.Now()
	x.doubted(h.Status)
	x.note(h, now)
	x.Record.Status = h.Status
	x.Record.FirstByte = now.Sub(x.Record.Time)
	contentType := h.Header.Get("Content-Type")
	out := ResponsePlan{Header: x.clientHeader(h)}
	if !x.worthReading(h.Status, contentType) {
		return out
	}
	out.Watch = true
	x.reply = dialect.NewReply(x.call.Dialect, contentType, x.asked)
	stream := strings.Contains(strings.ToLower(contentType), "text/event-stream")
	out.Hold = !stream
	if stream && x.asked {
		out.DropLength = true
		out.Header.Del("Content-Length")
	}
	return out
}

// refusesField reports whether a status may be about a field that the backend
// does not know: strict validators answer 422 where others answer 400.
func refusesField(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusUnprocessableEntity
}

// worthReading reports whether an answer's body may hold usage: a 2xx answer
// to an AI call, or JSON on a route with token limits (Kuadrant reads
// /usage/total_tokens from any of those).
func (x *Exchange) worthReading(status int, contentType string) bool {
	if status < 200 || status > 299 || status == http.StatusNoContent {
		return false
	}
	if x.ai {
		return true
	}
	t := strings.ToLower(contentType)
	return x.metered() && (strings.Contains(t, "json") || strings.Contains(t, "text/event-stream"))
}

// Chunk takes the next bytes of a watched body and returns those to pass on.
// The limits are settled before the last bytes are returned.
func (x *Exchange) Chunk(ctx context.Context, b []byte, last bool) []byte {
	if x.reply == nil {
		return b
	}
	out := x.reply.Next(b, last)
	if last || x.reply.Done() {
		x.settle(ctx)
	}
	return out
}

// BreakOff returns what to append for a client whose stream the upstream broke
// off: an error event in the client's dialect, or nothing.
func (x *Exchange) BreakOff(reason string) []byte {
	if !x.ai || x.reply == nil {
		return nil
	}
	return x.reply.Cut("upstream_error", reason)
}

// Unfinished reports whether a stream of an AI call has passed without saying
// how it ends. A body asks where the framing cannot tell an end from a break.
func (x *Exchange) Unfinished() bool {
	return x.ai && x.Record.Stream && x.reply != nil && !x.reply.Done()
}

// End closes the exchange, settles what is open and hands out the Record. sent
// counts the body bytes that the client got. It may be called once.
func (x *Exchange) End(ctx context.Context, outcome Outcome, sent int64) *Record {
	if x.finished {
		return &x.Record
	}
	x.finished = true
	x.engine.room.give(x.kept)
	r := &x.Record
	r.Outcome, r.Sent = outcome, sent
	x.settle(ctx)
	if x.Refusal != nil {
		r.Status, r.Code, r.Reason = x.Refusal.Status, x.Refusal.Code, x.Refusal.Reason
		if outcome == Done {
			r.Outcome = Refused
		}
	}
	now := x.engine.deps.Now()
	r.Duration = now.Sub(r.Time)
	if x.Refusal != nil {
		x.engine.deps.Sight.Turned(now, x.turned, r.Code, r.Status, r.Reason)
	}
	if x.engine.deps.Record != nil {
		x.engine.deps.Record(r)
	}
	return r
}
