package extproc

import (
	"bytes"
	"net/http"

	filter "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/envoy"
)

// most is how many times a backend is tried.
const most = 2

// peek bounds what of an error answer is read to decide on a retry.
const peek = 64 << 10

// try is one try of a request, as the filter of the cluster sees it.
type try struct {
	server *Server

	flow    *flow // whose lock guards what follows
	n       int   // of the attempt, from 1
	attempt *engine.Attempt
	status  int
	header  http.Header // of the answer
}

// answer implements peer.
func (t *try) answer(m *extproc.ProcessingRequest) *extproc.ProcessingResponse {
	if t.flow == nil {
		t.server.counts.tries.Add(1)
		id := m.GetMetadataContext().GetFilterMetadata()[envoy.Namespace].GetFields()[envoy.KeyID].GetStringValue()
		if t.flow = t.server.flows.find(id); t.flow == nil {
			return immediate(plain(http.StatusBadGateway, "no_flow"), "") // the request has ended meanwhile
		}
	}
	t.flow.mu.Lock()
	defer t.flow.mu.Unlock()
	if t.flow.ended {
		return immediate(plain(http.StatusBadGateway, "no_flow"), "")
	}
	switch r := m.Request.(type) {
	case *extproc.ProcessingRequest_RequestHeaders:
		return t.requestHeaders(r.RequestHeaders)
	case *extproc.ProcessingRequest_RequestBody:
		return t.requestBody()
	case *extproc.ProcessingRequest_ResponseHeaders:
		return t.responseHeaders(r.ResponseHeaders)
	case *extproc.ProcessingRequest_ResponseBody:
		return t.responseBody(r.ResponseBody)
	}
	return nil
}

// requestHeaders makes the head that of this try. All tries share one head, so
// that what is here may be what the try before has made of it.
func (t *try) requestHeaders(r *extproc.HttpHeaders) *extproc.ProcessingResponse {
	f := t.flow
	t.n, t.attempt = f.round, f.attempt
	if t.n > 1 {
		a, refusal := f.x.Attempt(t.n)
		if refusal != nil {
			return immediate(refusal, "")
		}
		t.attempt = a
	}
	p, h := read(r.GetHeaders())
	var c change
	if p.path != t.attempt.Path {
		c.set(":path", t.attempt.Path)
	}
	if p.authority != t.attempt.Host {
		c.set(":authority", t.attempt.Host)
	}
	c.towards(h, t.attempt.Header)
	out := toRequestHeaders(&extproc.CommonResponse{HeaderMutation: c.mutation()})
	if t.attempt.Replace && !bytes.Equal(t.attempt.Body, f.sent) {
		out.ModeOverride = &filter.ProcessingMode{RequestBodyMode: filter.ProcessingMode_BUFFERED}
	}
	return out
}

func (t *try) requestBody() *extproc.ProcessingResponse {
	var c change
	c.length(len(t.attempt.Body))
	return toRequestBody(&extproc.CommonResponse{HeaderMutation: c.mutation(), BodyMutation: body(t.attempt.Body)})
}

// responseHeaders asks whether the answer may be one to try again after. The
// router has not seen its head yet.
func (t *try) responseHeaders(r *extproc.HttpHeaders) *extproc.ProcessingResponse {
	p, h := read(r.GetHeaders())
	h.Del(envoy.HeaderRetry)
	t.status, t.header = p.status, h
	out := toResponseHeaders(&extproc.CommonResponse{HeaderMutation: &extproc.HeaderMutation{RemoveHeaders: []string{envoy.HeaderRetry}}})
	if t.n >= most || !t.flow.x.Response(engine.ResponseHead{Status: p.status, Header: h}).Peek {
		return out
	}
	if r.GetEndOfStream() {
		return toResponseHeaders(&extproc.CommonResponse{HeaderMutation: t.judge(nil)})
	}
	out.ModeOverride = &filter.ProcessingMode{ResponseBodyMode: filter.ProcessingMode_BUFFERED_PARTIAL}
	return out
}

func (t *try) responseBody(r *extproc.HttpBody) *extproc.ProcessingResponse {
	return toResponseBody(&extproc.CommonResponse{HeaderMutation: t.judge(r.GetBody())})
}

// judge lets the engine see the beginning of the answer's body, and marks the
// answer when it wants another try.
func (t *try) judge(b []byte) *extproc.HeaderMutation {
	t.flow.peeked = append([]byte{}, b[:min(len(b), peek)]...)
	var c change
	if t.flow.x.Response(engine.ResponseHead{Status: t.status, Header: t.header, Body: t.flow.peeked}).Retry {
		c.set(envoy.HeaderRetry, "1")
		t.flow.round = t.n + 1
	}
	return c.mutation()
}

// over implements peer: the request goes on without this try.
func (t *try) over() {}

// apologise implements peer.
func (t *try) apologise() *extproc.ProcessingResponse { return immediate(bug(), "") }
