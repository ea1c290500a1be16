package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/provider"
)

// peekSize bounds what of an error answer is read to decide on a retry.
const peekSize = 64 << 10

// forward sends the request upstream and relays the answer.
func (e *exchange) forward() {
	for n := 1; ; n++ {
		a, refusal := e.x.Attempt(n)
		if refusal != nil {
			e.refuse(refusal)
			return
		}
		res, cancel, refusal := e.send(a)
		if refusal != nil {
			e.outcome = e.why()
			if e.outcome != engine.ClientGone {
				e.refuse(refusal)
			}
			return
		}
		p, again := e.response(res)
		if again {
			res.Body.Close()
			cancel()
			continue
		}
		e.relay(res, p)
		res.Body.Close()
		cancel()
		return
	}
}

// response asks the engine what to do with an answer; again is true when it is
// to be dropped for another try.
func (e *exchange) response(res *http.Response) (p engine.ResponsePlan, again bool) {
	head := engine.ResponseHead{Status: res.StatusCode, Header: res.Header}
	p = e.x.Response(head)
	if p.Peek {
		head.Body = make([]byte, 0, 512)
		head.Body, _ = io.ReadAll(io.LimitReader(res.Body, peekSize))
		if p = e.x.Response(head); !p.Retry {
			res.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(bytes.NewReader(head.Body), res.Body), res.Body}
		}
	}
	return p, p.Retry
}

// send makes one upstream call. cancel ends it.
func (e *exchange) send(a *engine.Attempt) (*http.Response, context.CancelFunc, *engine.Refusal) {
	transport, scheme, address, err := e.port.server.o.Pool.Target(a.Backend)
	if err != nil {
		return nil, nil, e.x.Fail(failure(err), err.Error())
	}
	ctx, cancel := context.WithCancel(e.ctx)
	path, query, _ := strings.Cut(a.Path, "?")
	req := &http.Request{
		Method: e.r.Method, URL: &url.URL{Scheme: scheme, Host: address, Opaque: "", Path: path, RawQuery: query}, Host: a.Host,
		Header: a.Header, ProtoMajor: 1, ProtoMinor: 1, Body: e.r.Body, ContentLength: e.r.ContentLength,
	}
	setRawPath(req.URL, path)
	if a.Replace {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(a.Body)), int64(len(a.Body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(a.Body)), nil }
	}
	if req.ContentLength == 0 {
		req.Body = http.NoBody
	}
	var timer *time.Timer
	if a.Timeout > 0 {
		timer = time.AfterFunc(a.Timeout, func() { e.cancel(errRequestTimeout) })
	}
	res, err := transport.RoundTrip(req.WithContext(ctx))
	if timer != nil {
		timer.Stop()
	}
	if err != nil {
		cancel()
		f := failure(err)
		if errors.Is(context.Cause(e.ctx), errRequestTimeout) {
			f = engine.NoTime
		}
		return nil, nil, e.x.Fail(f, err.Error())
	}
	return res, cancel, nil
}

// setRawPath keeps escapes as the client wrote them.
func setRawPath(u *url.URL, raw string) {
	if p, err := url.PathUnescape(raw); err == nil {
		u.Path, u.RawPath = p, raw
	}
}

func failure(err error) engine.Failure {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, provider.ErrNoEndpoint):
		return engine.NoEndpoint
	case provider.Connecting(err):
		return engine.NoConnect
	case errors.As(err, &timeout) && timeout.Timeout():
		return engine.NoTime
	}
	return engine.NoAnswer
}

// relay passes an answer on, piece by piece.
func (e *exchange) relay(res *http.Response, p engine.ResponsePlan) {
	h := e.w.Header()
	for name, v := range p.Header {
		h[name] = v
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		e.upgrade(res)
		return
	}
	for name := range res.Trailer {
		h.Add("Trailer", name)
	}
	e.w.WriteHeader(res.StatusCode)
	r := &relay{exchange: e, res: res, plan: p, idle: e.x.Idle()}
	r.run()
}

// relay is the body of an answer on its way.
type relay struct {
	*exchange
	res  *http.Response
	plan engine.ResponsePlan
	idle time.Duration
	held []byte // the last piece of an answer whose end is not known yet
}

// run copies until the body ends. One read becomes one write and, for a
// stream, one flush: events arrive when they are sent.
func (r *relay) run() {
	buf := make([]byte, 32<<10)
	timer := r.watch()
	if timer != nil {
		defer timer.Stop()
	}
	flush := r.plan.Watch && !r.plan.Hold || streaming(r.res)
	if flush {
		r.ctl.Flush() // the head, before the first event
	}
	var seen int64
	for {
		n, err := r.res.Body.Read(buf)
		if timer != nil {
			timer.Reset(r.idle)
		}
		seen += int64(n)
		last := err == io.EOF || r.res.ContentLength >= 0 && seen >= r.res.ContentLength
		if n > 0 || last {
			if !r.pass(buf[:n], last, flush) {
				return
			}
		}
		if err == io.EOF || last {
			r.trailers()
			return
		}
		if err != nil {
			r.broken(err)
			return
		}
	}
}

// watch starts the idle timer, which ends the exchange.
func (r *relay) watch() *time.Timer {
	if r.idle <= 0 {
		return nil
	}
	return time.AfterFunc(r.idle, func() { r.cancel(errIdle) })
}

// streaming reports whether an answer should be flushed as it comes.
func streaming(res *http.Response) bool {
	return res.ContentLength < 0 || strings.Contains(strings.ToLower(res.Header.Get("Content-Type")), "text/event-stream")
}

// pass gives a piece to the engine and then to the client. An answer that is
// held stays one piece behind, so that the last one goes out settled.
func (r *relay) pass(b []byte, last, flush bool) bool {
	if r.plan.Watch {
		if r.plan.Hold && !last {
			b, r.held = r.held, append(r.held[:0:0], b...)
			if len(b) == 0 {
				return true
			}
			return r.write(r.x.Chunk(r.ctx, b, false), flush)
		}
		if len(r.held) > 0 {
			held := r.held
			r.held = nil
			if !r.write(r.x.Chunk(r.ctx, held, false), false) {
				return false
			}
		}
		b = r.x.Chunk(r.ctx, b, last)
	}
	return r.write(b, flush)
}

func (r *relay) write(b []byte, flush bool) bool {
	if len(b) == 0 {
		return true
	}
	n, err := r.w.Write(b)
	r.sent += int64(n)
	if err == nil && flush {
		err = r.ctl.Flush()
	}
	if err != nil {
		r.outcome = engine.ClientGone
		return false
	}
	return true
}

// trailers passes the backend's trailers on.
func (r *relay) trailers() {
	for name, v := range r.res.Trailer {
		r.w.Header()[http.TrailerPrefix+name] = v
	}
}

// broken ends an answer that the upstream did not finish: an error event for a
// stream, then the connection is cut so that nobody takes it for complete.
func (r *relay) broken(err error) {
	r.outcome = r.why()
	if r.outcome == engine.ClientGone {
		return
	}
	if len(r.held) > 0 {
		r.write(r.x.Chunk(r.ctx, r.held, true), false)
	}
	r.x.Record.Reason = err.Error()
	reason := "the model backend broke off its answer"
	if r.outcome == engine.TimedOut {
		reason = "the model backend was silent for too long"
	}
	r.write(r.x.BreakOff(reason), true)
	panic(http.ErrAbortHandler)
}
