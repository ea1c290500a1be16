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
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/provider"
)

const (
	// peekSize bounds what of an error answer is read to decide on a retry.
	peekSize = 64 << 10
	// tries bounds the attempts at one request.
	tries = 2
	// turns bounds how often the body of a request is opened for backends of
	// HTTP/2 that turn the request away before they begin it (GOAWAY,
	// REFUSED_STREAM: RFC 9113 8.7), as one does on connection after connection
	// that is about to leave. net/http opens it twice for a turn whose
	// connection has gone: once for the stream and once for a new connection.
	turns = 20
)

// forward sends the request upstream and relays the answer.
func (e *exchange) forward() {
	for n := 1; ; n++ {
		a, refusal := e.x.Attempt(n)
		if refusal != nil {
			e.refuse(refusal)
			return
		}
		res, refusal := e.send(a)
		if refusal != nil {
			if e.outcome == engine.Done {
				e.outcome = outcome(e.ctx, e.r.Context())
			}
			e.refuse(refusal)
			return
		}
		p := e.response(res)
		if p.Retry && n < tries {
			res.Body.Close()
			continue
		}
		defer res.Body.Close()
		e.relay(res, p)
		return
	}
}

// send makes one upstream call.
func (e *exchange) send(a *engine.Attempt) (*http.Response, *engine.Refusal) {
	transport, scheme, address, err := e.links.Target(a.Backend)
	if err != nil {
		return nil, e.fail(err)
	}
	req := e.request(a, scheme, address)
	if a.Timeout > 0 && a.Timeout != e.x.Timeouts().Request {
		e.watch.until(earlier(e.deadline, time.Now().Add(a.Timeout)))
	}
	e.watch.begin(forAnswer, 0)
	res, err := transport.RoundTrip(req)
	if err != nil {
		return nil, e.fail(err)
	}
	if res.StatusCode == http.StatusSwitchingProtocols && !switched(a.Header, res.Header) {
		res.Body.Close()
		return nil, e.fail(errors.New("the backend switched to a protocol that nobody asked for"))
	}
	if e.upload != nil {
		e.upload.release()
	}
	return res, nil
}

// earlier is the earlier of two ends, of which a may be none.
func earlier(a, b time.Time) time.Time {
	if !a.IsZero() && a.Before(b) {
		return a
	}
	return b
}

// request builds what is sent for an attempt.
func (e *exchange) request(a *engine.Attempt, scheme, address string) *http.Request {
	req := &http.Request{
		Method: e.r.Method, URL: target(scheme, address, a.Path), Host: a.Host,
		Header: a.Header, ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody,
	}
	if _, sent := a.Header["User-Agent"]; !sent {
		a.Header["User-Agent"] = []string{""} // or net/http would send its own
	}
	switch {
	case a.Replace:
		times := tries
		if a.Backend.Protocol == plan.HTTP2 {
			times = turns
		}
		replay(req, a.Body, times)
		if a.Backend.Parent { // which tries again itself: here only what was never written
			delete(req.Header, "X-Idempotency-Key")
		}
	case !e.received:
		if e.upload == nil {
			e.startUpload(e.x.Upload())
		}
		req.Body, req.ContentLength, req.Trailer = e.upload, e.r.ContentLength, e.upload.trailer
	}
	return req.WithContext(e.ctx)
}

// target writes a URL that leaves as it came: with its escapes, not decoded
// and encoded again, so that the backend reads what was matched.
func target(scheme, address, raw string) *url.URL {
	path, query, _ := strings.Cut(raw, "?")
	u := &url.URL{Scheme: scheme, Host: address, Opaque: path, RawQuery: query}
	if strings.HasPrefix(path, "//") { // would be taken for a host
		u.Opaque = ""
		if p, err := url.PathUnescape(path); err == nil {
			u.Path, u.RawPath = p, path
		}
	}
	return u
}

// replay gives a request a body that can be sent again. A kept connection may
// turn out to have been closed by the backend just when the request was
// written; the transport then tries once more on another connection, provided
// that no byte of an answer came and the request says that it may be repeated.
// It may be said of ours, since such a backend has begun no answer; the header
// that says it is empty and does not travel. Bodies that stream are not kept
// and cannot be sent again. In all its body is opened so many times.
func replay(req *http.Request, body []byte, times int) {
	if len(body) == 0 {
		return
	}
	again := 0
	open := func() io.ReadCloser { return io.NopCloser(bytes.NewReader(body)) } // a type that net/http sends in one write with the head
	req.Body, req.ContentLength = open(), int64(len(body))
	req.GetBody = func() (io.ReadCloser, error) {
		if again++; again >= times {
			return nil, errors.New("the backend closed its connections again and again")
		}
		return open(), nil
	}
	if _, sent := req.Header["Idempotency-Key"]; !sent {
		req.Header["X-Idempotency-Key"] = nil
	}
}

// switched reports whether a 101 is to the protocol that was asked for.
func switched(asked, got http.Header) bool {
	return asked.Get("Upgrade") != "" && strings.EqualFold(asked.Get("Upgrade"), got.Get("Upgrade"))
}

// fail turns an upstream call that came to nothing into an answer. The cause
// may have been the client's own body.
func (e *exchange) fail(err error) *engine.Refusal {
	if e.upload != nil {
		if cause := e.upload.ended(); cause != nil && cause != io.EOF && !errors.Is(context.Cause(e.ctx), errRequestTimeout) {
			f := e.badBody(cause)
			e.x.Refuse(f)
			return f
		}
	}
	var timeout interface{ Timeout() bool }
	f := engine.NoAnswer
	alert := provider.TurnedAway(err)
	switch cause := context.Cause(e.ctx); {
	case errors.Is(cause, errRequestTimeout), errors.Is(cause, errIdle):
		f, err = engine.NoTime, cause
	case errors.Is(err, provider.ErrNoEndpoint):
		f = engine.NoEndpoint
	case errors.Is(err, provider.ErrUnusable), provider.Connecting(err):
		f = engine.NoConnect
	case alert != nil:
		f, err = engine.NoConnect, alert
	case errors.As(err, &timeout) && timeout.Timeout():
		f = engine.NoTime
	}
	return e.x.Fail(f, err.Error())
}

// response asks the engine what to do with an answer.
func (e *exchange) response(res *http.Response) engine.ResponsePlan {
	head := engine.ResponseHead{Status: res.StatusCode, Header: res.Header}
	if t := res.TLS; t != nil && len(t.PeerCertificates) > 0 {
		head.Ends = t.PeerCertificates[0].NotAfter
	}
	p := e.x.Response(head)
	if !p.Peek {
		return p
	}
	e.watch.begin(forPiece, e.x.Idle())
	head.Body = make([]byte, 0, 512)
	head.Body, _ = io.ReadAll(io.LimitReader(res.Body, peekSize)) // what broke it off shows again below
	if p = e.x.Response(head); !p.Retry {
		res.Body = rewound{io.MultiReader(bytes.NewReader(head.Body), res.Body), res.Body}
	}
	return p
}

// rewound is a body of which the beginning has been read before.
type rewound struct {
	io.Reader
	io.Closer
}
