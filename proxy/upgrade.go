package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/egret-gateway/egret/engine"
)

// upgrade joins the client's connection and the backend's after a 101 and
// copies both ways until one side ends, or neither has said anything for the
// idle time (WebSocket, RFC 6455). The request's time-out is over with the
// answer, unless the route wrote one: then it decides alone.
func (e *exchange) upgrade(res *http.Response, p engine.ResponsePlan) {
	backend, ok := res.Body.(io.ReadWriteCloser)
	if !ok || e.r.ProtoMajor != 1 {
		e.outcome = engine.UpstreamGone
		e.refuse(e.fail(errors.New("this connection cannot be upgraded")))
		return
	}
	h := e.w.Header()
	for name, v := range p.Header {
		h[name] = v
	}
	e.begun = true
	e.port.upgraded.Add(1)
	defer e.port.upgraded.Done()
	e.w.WriteHeader(http.StatusSwitchingProtocols)
	client, buffered, err := e.ctl.Hijack()
	if err != nil {
		e.outcome = engine.ClientGone
		panic(http.ErrAbortHandler)
	}
	e.join(client, buffered.Reader, backend)
}

// join copies both ways. Whatever ends it, a side, a time-out or the drain of
// the port, closes both connections and so ends both copies.
func (e *exchange) join(client net.Conn, fromClient io.Reader, backend io.ReadWriteCloser) {
	if t := e.x.Timeouts(); !t.Explicit {
		e.watch.until(time.Time{})
	}
	hangUp := context.AfterFunc(e.ctx, func() {
		client.Close()
		backend.Close()
	})
	defer client.Close()
	defer hangUp()
	idle := e.x.Idle()
	e.watch.begin(forPiece, idle)
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.copy(backend, fromClient, nil)
		backend.Close()
	}()
	e.copy(client, backend, &e.sent)
	client.Close()
	<-done
	if cause := context.Cause(e.ctx); errors.Is(cause, errIdle) || errors.Is(cause, errRequestTimeout) || errors.Is(cause, errDrained) {
		e.outcome, e.x.Record.Reason = outcome(e.ctx, e.r.Context()), cause.Error()
	}
}

// copy is one direction.
func (e *exchange) copy(to io.Writer, from io.Reader, count *int64) {
	var p piece
	p.from = &e.port.server.buffers
	defer p.free()
	for idle := e.x.Idle(); ; {
		buf := p.room()
		n, err := from.Read(buf)
		if n > 0 {
			e.watch.begin(forPiece, idle)
			m, werr := to.Write(buf[:n])
			if count != nil {
				*count += int64(m)
			}
			if werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
		p.grow(n)
	}
}
