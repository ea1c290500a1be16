package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"time"

	"github.com/egret-gateway/egret/engine"
)

// exchange is one request on this plane: what the engine decides meets what
// the sockets do.
type exchange struct {
	port *port
	x    *engine.Exchange
	w    http.ResponseWriter
	ctl  *http.ResponseController
	r    *http.Request

	ctx    context.Context // ends with the client, the time-out or the idle timer
	cancel context.CancelCauseFunc

	outcome engine.Outcome
	sent    int64
}

// Causes of an exchange's end.
var (
	errRequestTimeout = errors.New("the request's time is over")
	errIdle           = errors.New("the backend was silent for too long")
)

// handle is the journey of a request.
func (p *port) handle(w http.ResponseWriter, r *http.Request) {
	e := &exchange{port: p, w: w, ctl: http.NewResponseController(w), r: r, outcome: engine.Done}
	e.ctx, e.cancel = context.WithCancelCause(r.Context())
	defer e.cancel(nil)
	var step engine.Step
	e.x, step = p.server.o.Engine.Begin(e.ctx, p.head(r))
	defer func() { e.x.End(r.Context(), e.outcome, e.sent) }()
	if step == engine.NeedBody {
		step = e.readBody()
	}
	if step == engine.Refuse {
		e.refuse(e.x.Refusal)
		return
	}
	if limit := e.x.Timeouts().Request; limit > 0 {
		timer := time.AfterFunc(limit-time.Since(e.x.Record.Time), func() { e.cancel(errRequestTimeout) })
		defer timer.Stop()
	}
	e.forward()
}

func (p *port) head(r *http.Request) engine.Head {
	h := engine.Head{
		Gateway: p.gateway, Port: p.number, Method: r.Method, Scheme: "http", Host: r.Host, Path: r.RequestURI,
		Protocol: r.Proto, Header: r.Header, Length: r.ContentLength, Inner: p.inner,
	}
	if r.TLS != nil {
		h.Scheme = "https"
	}
	if r.URL.IsAbs() || h.Path == "" {
		h.Path = r.URL.RequestURI() // an absolute-form target names its host in Host already
	}
	h.Remote, _ = netip.ParseAddrPort(r.RemoteAddr)
	return h
}

// readBody reads the whole body within its bounds of size and time.
func (e *exchange) readBody() engine.Step {
	limit := e.x.BodyLimit()
	buf := make([]byte, 0, bufferSize(e.r.ContentLength, limit))
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		e.ctl.SetReadDeadline(time.Now().Add(bodyIdleTimeout))
		n, err := e.r.Body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if int64(len(buf)) > limit {
			e.w.Header().Set("Connection", "close") // the rest is not worth reading
			return e.x.Refuse(e.x.TooLarge())
		}
		if err == io.EOF {
			e.ctl.SetReadDeadline(time.Time{})
			return e.x.Body(e.ctx, buf)
		}
		if err != nil {
			e.outcome = engine.ClientGone
			e.w.Header().Set("Connection", "close")
			return e.x.Refuse(&engine.Refusal{Status: http.StatusRequestTimeout, Code: "slow_or_broken_body", Reason: err.Error(),
				Header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, Body: []byte("the request body did not arrive\n")})
		}
	}
}

// bufferSize is a first guess that a lying Content-Length cannot inflate.
func bufferSize(length, limit int64) int64 {
	const most = 64 << 10
	if length < 0 {
		return 4 << 10
	}
	return min(length+1, limit+1, most)
}

// refuse writes an answer of our own.
func (e *exchange) refuse(f *engine.Refusal) {
	h := e.w.Header()
	for name, v := range f.Header {
		h[name] = v
	}
	h.Set("X-Request-Id", e.x.Record.ID)
	e.w.WriteHeader(f.Status)
	if e.r.Method != http.MethodHead {
		n, _ := e.w.Write(f.Body)
		e.sent += int64(n)
	}
}

// why tells how a failed step ended the exchange.
func (e *exchange) why() engine.Outcome {
	switch cause := context.Cause(e.ctx); {
	case errors.Is(cause, errRequestTimeout), errors.Is(cause, errIdle):
		return engine.TimedOut
	case e.r.Context().Err() != nil:
		return engine.ClientGone
	}
	return engine.UpstreamGone
}
