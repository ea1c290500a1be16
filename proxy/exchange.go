package proxy

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/provider"
)

// exchange is one request on this plane: what the engine decides meets what
// the sockets do.
type exchange struct {
	port  *port
	links *provider.Links
	x     *engine.Exchange
	w     http.ResponseWriter
	ctl   *http.ResponseController
	r     *http.Request

	ctx    context.Context // ends with the client or a time-out
	cancel context.CancelCauseFunc
	watch  watch

	deadline time.Time // of the whole request; zero = never

	received bool    // the request body has been read whole
	upload   *upload // or streams
	begun    bool    // the client has been given a status
	outcome  engine.Outcome
	sent     int64
}

// handle is the journey of a request.
func (p *port) handle(w http.ResponseWriter, r *http.Request) {
	e := &exchange{
		port: p, links: p.server.o.Pool.Links(), w: w, ctl: http.NewResponseController(w), r: r,
		received: r.Body == http.NoBody, outcome: engine.Done,
	}
	e.ctx, e.cancel = context.WithCancelCause(r.Context())
	e.watch.ctl, e.watch.cancel = e.ctl, e.cancel
	p.active.Add(1)
	defer p.active.Add(-1)
	defer e.end()
	if p.stale(r) || p.server.leaving.Load() {
		w.Header().Set("Connection", "close")
	}
	var step engine.Step
	e.x, step = p.server.o.Engine.Begin(e.ctx, p.head(r))
	if r.Method == http.MethodConnect {
		step = e.x.Refuse(noTunnels())
	}
	if limit := e.x.Timeouts().Request; limit > 0 {
		e.deadline = e.x.Record.Time.Add(limit)
		e.watch.until(e.deadline)
	}
	if step == engine.NeedBody {
		step = e.readBody()
	}
	if step == engine.Refuse {
		e.refuse(e.x.Refusal)
		return
	}
	e.forward()
}

// end closes the exchange, also when a panic is on its way: ErrAbortHandler
// cuts the connection, any other is a bug of ours and costs this request alone.
func (e *exchange) end() {
	v := recover()
	e.watch.stop()
	if e.upload != nil {
		e.upload.leave()
	}
	e.cancel(nil)
	if v != nil && v != http.ErrAbortHandler {
		e.port.server.o.Log.Error("BUG: a request panicked", "gateway", e.port.gateway, "method", e.r.Method, "panic", v, "stack", string(debug.Stack()))
		v = e.apologise()
	}
	if e.x != nil {
		// The limits are settled although the client is gone.
		e.x.End(context.WithoutCancel(e.r.Context()), e.outcome, e.sent)
	}
	if v != nil {
		panic(v)
	}
	e.finishUpload()
	// What net/http has buffered goes out after the handler.
	e.ctl.SetWriteDeadline(time.Now().Add(stall))
}

// apologise answers a request that met a bug, and returns what to panic with
// when it is too late for an answer.
func (e *exchange) apologise() any {
	if e.begun {
		e.outcome = engine.UpstreamGone
		return http.ErrAbortHandler
	}
	if e.x != nil {
		e.x.Refuse(&engine.Refusal{Status: http.StatusInternalServerError, Code: "bug", Reason: "a bug of the gateway; its log has the stack"})
	}
	http.Error(e.w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
	return nil
}

func (p *port) head(r *http.Request) engine.Head {
	h := engine.Head{
		Gateway: p.gateway, Port: p.number, Method: r.Method, Scheme: "http", Host: r.Host, Path: r.RequestURI,
		Protocol: r.Proto, Header: r.Header, Length: r.ContentLength, Inner: p.inner || p.server.o.Inner(p.gateway, r.Header),
	}
	if r.TLS != nil {
		h.Scheme = "https"
	}
	if r.URL.IsAbs() || h.Path == "" {
		h.Path = r.URL.RequestURI() // an absolute-form target names its host in Host already (RFC 9112 3.2.2)
	}
	h.Remote, _ = netip.ParseAddrPort(r.RemoteAddr)
	return h
}

// noTunnels refuses CONNECT: a gateway to named backends is nobody's proxy.
func noTunnels() *engine.Refusal {
	return &engine.Refusal{
		Status: http.StatusMethodNotAllowed, Code: "connect", Reason: "CONNECT asks for a tunnel, which this gateway does not give",
		Header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, Body: []byte("CONNECT is not allowed here\n"),
	}
}

// refuse writes an answer of our own.
func (e *exchange) refuse(f *engine.Refusal) {
	e.settleBody()
	h := e.w.Header()
	for name, v := range f.Header {
		h[name] = v
	}
	h.Set("X-Request-Id", e.x.Record.ID)
	e.begun = true
	e.watch.begin(forClient, stall)
	e.w.WriteHeader(f.Status)
	if e.r.Method != http.MethodHead {
		n, _ := e.w.Write(f.Body)
		e.sent += int64(n)
	}
}

// settleBody prepares for an answer to a request whose body has not been read.
// net/http reads on for a while before it answers, so that the connection can
// be used again; a client that is slow to send must not hold it for longer. On
// HTTP/2 it resets the stream at once, and a client that is still sending may
// lose the answer with it (curl 7.88 does), so that short bodies are read here.
func (e *exchange) settleBody() {
	if e.received {
		return
	}
	if e.upload != nil {
		if e.r.ProtoMajor == 1 && e.upload.ended() != io.EOF {
			e.w.Header().Set("Connection", "close") // somebody may be reading the body still
		}
		return
	}
	e.ctl.SetReadDeadline(time.Now().Add(linger))
	if e.r.ProtoMajor > 1 && e.r.Header.Get("Expect") == "" {
		io.CopyN(io.Discard, e.r.Body, spare)
	}
}
