package extproc

import (
	"bytes"
	"net/http"
	"strconv"
	"time"

	filter "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/envoy"
	"github.com/egret-gateway/egret/plan"
)

// reply is the answer of a backend on its way to the client.
type reply struct {
	begun    bool // its head has left
	plan     engine.ResponsePlan
	length   int64 // of the body, -1 unknown
	seen     int64 // bytes of the body that came
	sent     int64 // bytes of the body that were passed on
	last     bool  // the engine has been told that all has passed
	unframed bool  // its end looks the same as a break
}

// responseHeaders takes an answer's head: a backend's, or one that Envoy made
// because there is none.
func (f *flow) responseHeaders(m *extproc.ProcessingRequest, r *extproc.HttpHeaders) *extproc.ProcessingResponse {
	details := attribute(m, "response.code_details")
	f.calm() // once an answer begins, the client may take its time
	p, h := read(r.GetHeaders())
	if !answered(details) {
		return f.local(m, p.status, details)
	}
	if f.x == nil || f.attempt == nil { // no message about the request came: there is nothing to go by
		return immediate(bug(), "")
	}
	f.reply.plan = f.plan(p.status, h)
	f.reply.begun = true
	f.reply.length = -1
	switch n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64); {
	case f.method == http.MethodHead || r.GetEndOfStream():
		f.reply.length = 0
	case err == nil:
		f.reply.length = n
	}
	f.reply.unframed = f.reply.length < 0 && h.Get("Transfer-Encoding") == "" && f.attempt.Backend.Protocol != plan.HTTP2
	var c change
	c.towards(h, f.reply.plan.Header)
	if f.reply.plan.DropLength && h["Content-Length"] != nil {
		c.remove("Content-Length")
	}
	out := toResponseHeaders(&extproc.CommonResponse{HeaderMutation: c.mutation()})
	watch, idle := f.reply.plan.Watch, f.x.Idle()
	switch {
	case p.status == http.StatusSwitchingProtocols:
	case r.GetEndOfStream():
		if watch {
			f.whole(nil)
			out.DynamicMetadata = f.known(false)
		}
	case watch, idle > 0 && f.reply.length < 0: // a stream must not stall; what has a length has an end
		out.ModeOverride = &filter.ProcessingMode{ResponseBodyMode: filter.ProcessingMode_STREAMED, ResponseTrailerMode: filter.ProcessingMode_SEND}
		if idle > 0 {
			f.expect(idle, f.silent)
		}
	}
	return out
}

// plan asks the engine what to do with an answer. A retry that it wants was
// due in the filter of the cluster; when Envoy could not do it, the answer is
// the client's.
func (f *flow) plan(status int, h http.Header) engine.ResponsePlan {
	head := engine.ResponseHead{Status: status, Header: h.Clone(), Body: f.peeked}
	head.Header.Del(envoy.HeaderRetry)
	if f.attempt.Backend.TLS != nil {
		if n, err := strconv.ParseInt(h.Get(envoy.HeaderEnds), 10, 64); err == nil {
			head.Ends = time.Unix(n, 0)
		}
	}
	head.Header.Del(envoy.HeaderEnds) // in the clear it is the backend's own word
	p := f.x.Response(head)
	if p.Peek || p.Retry {
		n := f.x.Record.Attempts
		f.x.Attempt(n + 1) // the one that would be passed on as it comes
		f.x.Record.Attempts = n
		p = f.x.Response(head)
	}
	return p
}

// responseBody takes a piece of a watched answer. Envoy holds it until it has
// been answered, and nothing of it is held here: a stream's events leave as
// they came, and the end of an answer leaves after the limits have been
// settled.
func (f *flow) responseBody(r *extproc.HttpBody) *extproc.ProcessingResponse {
	b := r.GetBody()
	f.reply.seen += int64(len(b))
	if f.moved(); r.GetEndOfStream() {
		f.calm()
	}
	if !f.reply.plan.Watch {
		f.reply.sent += int64(len(b))
	}
	if f.reply.last || f.ended || !f.reply.plan.Watch {
		return toResponseBody(&extproc.CommonResponse{})
	}
	out := b
	if r.GetEndOfStream() || f.reply.length >= 0 && f.reply.seen >= f.reply.length {
		out = f.whole(b)
	} else {
		out = f.x.Chunk(f.ctx, b, false)
		f.reply.sent += int64(len(out))
	}
	c := &extproc.CommonResponse{}
	if !bytes.Equal(out, b) {
		c.BodyMutation = body(out)
	}
	res := toResponseBody(c)
	if f.ended {
		res.DynamicMetadata = f.known(false)
	}
	return res
}

// whole passes the last piece of a watched answer, and ends the exchange.
func (f *flow) whole(b []byte) []byte {
	r := &f.reply
	if r.last || f.ended || f.x == nil || !r.plan.Watch {
		return b
	}
	r.last = true
	outcome := engine.Done
	out := f.x.Chunk(f.ctx, b, !r.unframed)
	if r.unframed { // the end is the connection's, which looks the same when the backend dies
		out = bytes.Clone(out)
		if !r.plan.Hold && f.x.Unfinished() {
			outcome = engine.UpstreamGone
			out = append(out, f.x.BreakOff("the model backend broke off its answer")...)
		} else {
			out = append(out, f.x.Chunk(f.ctx, nil, true)...)
		}
	}
	r.sent += int64(len(out))
	f.end(outcome, r.sent)
	return out
}
