package proxy

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/plan"
)

// readBody reads the whole body within its bounds of size and time.
func (e *exchange) readBody() engine.Step {
	limit := e.x.BodyLimit()
	buf := make([]byte, 0, bufferSize(e.r.ContentLength, limit))
	for began := time.Now(); ; {
		allowed := grace + time.Duration(len(buf))*time.Second/floor
		e.watch.begin(forBody, max(allowed-time.Since(began), 1))
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		if busy := e.x.Keep(cap(buf)); busy != nil {
			e.w.Header().Set("Connection", "close")
			return e.x.Refuse(busy)
		}
		n, err := e.r.Body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > limit:
			e.w.Header().Set("Connection", "close") // the rest is not worth reading
			return e.x.Refuse(e.x.TooLarge())
		case err == io.EOF:
			e.received = true
			e.watch.begin(forAnswer, 0)
			return e.x.Body(e.ctx, buf)
		case err != nil:
			return e.x.Refuse(e.badBody(err))
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

// badBody answers a request whose body did not arrive: 408 when it was too
// slow, 400 when it was not framed as announced. Either way nothing that
// follows on the connection can be trusted.
func (e *exchange) badBody(err error) *engine.Refusal {
	e.w.Header().Set("Connection", "close")
	e.outcome = engine.ClientGone
	f := &engine.Refusal{
		Status: http.StatusBadRequest, Code: "broken_body", Reason: "the request body could not be read: " + err.Error(),
		Header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, Body: []byte("the request body is not complete\n"),
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		f.Status, f.Code, f.Reason = http.StatusRequestTimeout, "slow_body", errSlowBody.Error()
		f.Body = []byte(errSlowBody.Error() + "\n")
	}
	return f
}

// upload is a request body on its way upstream, read by the transport.
type upload struct {
	e       *exchange
	trailer http.Header // of the request that is sent; filled at the end
	limit   time.Duration

	mu       sync.Mutex
	answered bool  // the answer has begun, and its own idle time counts, or nobody waits for it any more
	err      error // why the client's body ended; io.EOF when well
}

// startUpload streams the request's body. limit is how long the client may
// send nothing before the answer begins.
func (e *exchange) startUpload(limit time.Duration) *upload {
	e.ctl.EnableFullDuplex() // HTTP/1.1: an answer may begin before the body has ended
	e.upload = &upload{e: e, limit: limit, trailer: trailerNames(e.r.Trailer)}
	e.watch.streams(e.upload.abandon)
	return e.upload
}

// trailerNames are the fields that the client announced and may send. Trailers
// that it did not announce are dropped, and so are names that mean trust or hold
// credentials.
func trailerNames(announced http.Header) http.Header {
	var out http.Header
	for name := range announced {
		if plan.Trusted(name) || plan.Confidential(name) { // no place for either (RFC 9110 6.5.1)
			continue
		}
		if out == nil {
			out = http.Header{}
		}
		out[name] = nil
	}
	return out
}

func (u *upload) Read(b []byte) (int, error) {
	if err := u.arm(); err != nil {
		return 0, err
	}
	n, err := u.e.r.Body.Read(b)
	if err != nil {
		if err == io.EOF {
			for name := range u.trailer {
				u.trailer[name] = u.e.r.Trailer[name]
			}
		}
		u.mu.Lock()
		u.err = err
		u.mu.Unlock()
	}
	return n, err
}

// arm sets the time for the next piece, unless the body has ended: from then
// on the server reads ahead on the connection to notice that the client leaves,
// and a deadline would look like that.
func (u *upload) arm() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err == nil && !u.answered {
		u.e.ctl.SetReadDeadline(time.Now().Add(u.limit))
	}
	return u.err
}

// Close does nothing: the server closes the client's body itself, and closing
// it here would read it to its end.
func (u *upload) Close() error { return nil }

// ended is why the body ended, nil while it has not.
func (u *upload) ended() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

// leave ends what the upload may do to the client's connection. The transport
// of HTTP/2 may read on behind a call that has ended, in a goroutine of its
// own, when the handler has returned and its connection is no longer there.
func (u *upload) leave() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answered = true
}

// abandon makes a read that waits for the client return, unless the body has
// ended: then there is none, and a deadline would look like the client's end.
func (u *upload) abandon() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err == nil && !u.answered {
		u.answered = true // or the next read would be given time again
		u.e.ctl.SetReadDeadline(past)
	}
}

// release lifts the bound on the client's silence.
func (u *upload) release() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.answered = true; u.err == nil {
		u.e.ctl.SetReadDeadline(time.Time{})
	}
}

// finishUpload bounds what is read of a body that nobody wants any more, after
// the answer has been written.
func (e *exchange) finishUpload() {
	if e.upload != nil && e.r.ProtoMajor == 1 && e.upload.ended() != io.EOF {
		e.ctl.SetReadDeadline(time.Now().Add(linger))
	}
}
