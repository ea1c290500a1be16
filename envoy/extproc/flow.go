package extproc

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	filter "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/envoy"
	"github.com/egret-gateway/egret/plan"
)

// decide bounds how long a decision may take, so that the answer is ours and
// not that of Envoy's message_timeout, which is longer.
const decide = 25 * time.Second

// flow is one request, as the filter of the listener sees it.
type flow struct {
	server *Server
	ctx    context.Context // of the stream
	meta   metadata.MD
	say    func(*extproc.ProcessingResponse) error // at any time

	mu     sync.Mutex
	x      *engine.Exchange
	method string
	has    http.Header // of the request, as Envoy has it
	id     string      // under which the access log and the cluster's filter know it; "" = they are not told
	due    time.Time   // when nobody waits for its log entry any more

	attempt *engine.Attempt
	sent    []byte // the body that was given to Envoy, where it was read
	round   int    // of attempts, from 1; a try that got no answer is repeated as it was
	peeked  []byte // of the answer, by the filter of the cluster

	reply reply
	quiet silence
	ended bool
}

// answer implements peer.
func (f *flow) answer(m *extproc.ProcessingRequest) *extproc.ProcessingResponse {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch r := m.Request.(type) {
	case *extproc.ProcessingRequest_RequestHeaders:
		return f.requestHeaders(m, r.RequestHeaders)
	case *extproc.ProcessingRequest_RequestBody:
		return f.requestBody(r.RequestBody)
	case *extproc.ProcessingRequest_ResponseHeaders:
		return f.responseHeaders(m, r.ResponseHeaders)
	case *extproc.ProcessingRequest_ResponseBody:
		return f.responseBody(r.ResponseBody)
	case *extproc.ProcessingRequest_ResponseTrailers:
		f.calm()
		f.whole(nil)
		return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_ResponseTrailers{ResponseTrailers: &extproc.TrailersResponse{}}}
	case *extproc.ProcessingRequest_RequestTrailers:
		if !f.reply.begun {
			f.calm()
		}
		if f.attempt == nil {
			return f.bodiless()
		}
		return trailers(r.RequestTrailers)
	}
	return nil
}

func (f *flow) requestHeaders(m *extproc.ProcessingRequest, r *extproc.HttpHeaders) *extproc.ProcessingResponse {
	p, h := read(r.GetHeaders())
	f.method, f.has = p.method, h
	ctx, cancel := context.WithTimeout(f.ctx, decide)
	defer cancel()
	var step engine.Step
	asked := f.head(m, p, h)
	f.x, step = f.server.opts.Engine.Begin(ctx, asked)
	if p.method == http.MethodConnect {
		step = f.x.Refuse(noTunnels())
	}
	if step == engine.NeedBody {
		if !r.GetEndOfStream() && h["Upgrade"] == nil { // what follows an upgrade is no body
			f.expect(f.wholly(asked.Length), f.slow)
			out := toRequestHeaders(&extproc.CommonResponse{})
			out.ModeOverride = &filter.ProcessingMode{RequestBodyMode: filter.ProcessingMode_BUFFERED, RequestTrailerMode: filter.ProcessingMode_SEND}
			return out
		}
		step = f.x.Body(ctx, []byte{})
	}
	out := f.forward(step, nil, toRequestHeaders)
	if f.attempt != nil && asked.Length != 0 && f.x.Timeouts().Request < 0 { // of all others Envoy bounds the whole
		out.ModeOverride = &filter.ProcessingMode{RequestBodyMode: filter.ProcessingMode_STREAMED, RequestTrailerMode: filter.ProcessingMode_SEND}
		f.expect(f.x.Upload(), f.slow)
	}
	if out.GetImmediateResponse() != nil && !r.GetEndOfStream() {
		f.linger(attribute(m, "request.protocol"), h)
	}
	return out
}

// linger gives the small body of a request that is refused by its head the
// time to arrive. Envoy resets a stream of HTTP/2 whose answer is complete
// before the request is; that is allowed (RFC 9113, 8.1), but curl 7.88, for
// one, loses the answer when both come at once.
func (f *flow) linger(protocol string, h http.Header) {
	n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	if protocol != "HTTP/2" || err != nil || n > small {
		return
	}
	wait := time.NewTimer(f.server.opts.Linger)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-f.ctx.Done():
	}
}

func (f *flow) requestBody(r *extproc.HttpBody) *extproc.ProcessingResponse {
	if f.attempt != nil { // it streams
		if f.moved(); r.GetEndOfStream() {
			f.calm()
		}
		return toRequestBody(&extproc.CommonResponse{})
	}
	f.calm()
	b := r.GetBody()
	if int64(len(b)) > f.x.BodyLimit() {
		return f.forward(f.x.Refuse(f.x.TooLarge()), b, toRequestBody)
	}
	if busy := f.x.Keep(len(b)); busy != nil {
		return f.forward(f.x.Refuse(busy), b, toRequestBody)
	}
	ctx, cancel := context.WithTimeout(f.ctx, decide)
	defer cancel()
	return f.forward(f.x.Body(ctx, b), b, toRequestBody)
}

// bodiless refuses a request that has trailers and no body: Envoy asks about
// the trailers alone then, when it is too late to say what is to be sent.
func (f *flow) bodiless() *extproc.ProcessingResponse {
	r := incomplete("it has trailers and no body")
	f.x.Refuse(r)
	return f.refuse(r, engine.Done)
}

// trailers passes those of a request on, without the names that mean trust or
// hold credentials.
func trailers(t *extproc.HttpTrailers) *extproc.ProcessingResponse {
	var c change
	_, has := read(t.GetTrailers())
	for _, name := range slices.Sorted(maps.Keys(has)) {
		if plan.Trusted(name) || plan.Confidential(name) { // no place for either (RFC 9110 6.5.1)
			c.remove(name)
		}
	}
	return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_RequestTrailers{RequestTrailers: &extproc.TrailersResponse{HeaderMutation: c.mutation()}}}
}

// forward lets the request go on, as the engine wants it sent. b is its body
// where that was read.
func (f *flow) forward(step engine.Step, b []byte, to func(*extproc.CommonResponse) *extproc.ProcessingResponse) *extproc.ProcessingResponse {
	if step == engine.Refuse {
		return f.refuse(f.x.Refusal, engine.Done)
	}
	a, refusal := f.x.Attempt(1)
	if refusal != nil {
		return f.refuse(refusal, engine.Done)
	}
	f.attempt, f.round = a, 1
	var c change
	out := &extproc.CommonResponse{}
	chooses := first(f.meta, envoy.MetaChoose) != ""
	if chooses { // the route is looked for again; the filter of the cluster changes the rest
		c.set(envoy.HeaderCluster, a.Backend.Name)
		out.ClearRouteCache = true
	} else {
		c.set(":path", a.Path)
		c.set(":authority", a.Host)
		c.towards(f.has, a.Header)
	}
	differs := a.Replace && !bytes.Equal(a.Body, b)
	if a.Replace {
		f.sent = a.Body
		if len(b) > 0 {
			c.length(len(a.Body)) // also of a body that came in chunks
		}
	}
	if differs {
		out.BodyMutation = body(a.Body)
	}
	out.HeaderMutation = c.mutation()
	res := to(out)
	f.server.flows.add(f)
	res.DynamicMetadata = f.known(differs || chooses)
	return res
}

// known is what other parts of Envoy are told: who this is, and that a second
// try would differ from the first.
func (f *flow) known(try bool) *structpb.Struct {
	said := map[string]*structpb.Value{envoy.KeyID: structpb.NewStringValue(f.id)}
	if try {
		said[envoy.KeyTry] = structpb.NewBoolValue(true)
	}
	return &structpb.Struct{Fields: map[string]*structpb.Value{envoy.Namespace: structpb.NewStructValue(&structpb.Struct{Fields: said})}}
}

// refuse answers in the place of a backend, and ends the exchange.
func (f *flow) refuse(r *engine.Refusal, outcome engine.Outcome) *extproc.ProcessingResponse {
	n := len(r.Body)
	if f.method == http.MethodHead {
		n = 0
	}
	out := immediate(r, f.x.Record.ID)
	f.end(outcome, int64(n))
	out.DynamicMetadata = f.known(false)
	return out
}

// noTunnels refuses CONNECT: a gateway to named backends is nobody's proxy.
func noTunnels() *engine.Refusal {
	return &engine.Refusal{
		Status: http.StatusMethodNotAllowed, Code: "connect", Reason: "CONNECT asks for a tunnel, which this gateway does not give",
		Header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, Body: []byte("CONNECT is not allowed here\n"),
	}
}

// end closes the exchange. What is left of it is a bare flow that the filter
// of the cluster or the access log may still find.
func (f *flow) end(outcome engine.Outcome, sent int64) {
	if f.ended || f.x == nil {
		return
	}
	f.ended = true
	f.calm()
	f.server.flows.drop(f)
	f.x.End(context.WithoutCancel(f.ctx), outcome, sent)
}

// over implements peer. The stream of a request that has not ended was cut:
// the access log knows by whom.
func (f *flow) over() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calm()
	switch {
	case f.ended || f.x == nil:
	case f.id == "": // it never went to a backend: nobody but the client can have left
		f.x.Refuse(incomplete("the client left"))
		f.end(engine.ClientGone, 0)
	default:
		f.due = time.Now().Add(f.server.opts.Late)
	}
}

// apologise implements peer.
func (f *flow) apologise() *extproc.ProcessingResponse {
	r := bug()
	if f.mu.TryLock() { // the panic may have left it locked; defers unlock it
		defer f.mu.Unlock()
		if f.x != nil && !f.reply.begun {
			f.x.Refuse(r)
			f.end(engine.Done, int64(len(r.Body)))
		}
		f.end(engine.UpstreamGone, f.reply.sent)
	}
	return immediate(r, "")
}

func bug() *engine.Refusal {
	r := plain(http.StatusInternalServerError, "bug")
	r.Reason = "a bug of the gateway; its log has the stack"
	return r
}

// busy refuses requests beyond the bound.
type busy struct{}

func (busy) answer(*extproc.ProcessingRequest) *extproc.ProcessingResponse {
	r := plain(http.StatusServiceUnavailable, "busy")
	r.Header.Set("Retry-After", "1")
	return immediate(r, "")
}
func (busy) over()                                  {}
func (busy) apologise() *extproc.ProcessingResponse { return immediate(bug(), "") }
