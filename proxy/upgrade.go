package proxy

import (
	"io"
	"net/http"

	"github.com/egret-gateway/egret/engine"
)

// upgrade joins the client's connection and the backend's after a 101 and
// copies both ways until one side ends (WebSocket, RFC 6455).
func (e *exchange) upgrade(res *http.Response) {
	backend, ok := res.Body.(io.ReadWriteCloser)
	if !ok {
		e.outcome = engine.UpstreamGone
		panic(http.ErrAbortHandler)
	}
	e.w.WriteHeader(http.StatusSwitchingProtocols)
	client, buffered, err := e.ctl.Hijack()
	if err != nil {
		e.outcome = engine.UpstreamGone
		return
	}
	defer client.Close()
	done := make(chan int64, 2)
	go func() {
		n, _ := io.Copy(client, backend)
		client.Close()
		done <- n
	}()
	go func() {
		io.Copy(backend, buffered)
		backend.Close()
		done <- 0
	}()
	e.sent += <-done + <-done
}
