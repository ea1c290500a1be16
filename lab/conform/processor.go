package conform

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/provider"
)

// processor drives the engine in the order of messages that Envoy's external
// processing filters send: once per request request_headers and perhaps
// request_body; per upstream try, from the upstream filter, headers again, and
// response_headers; then response_body until the end of the stream. It starts
// no goroutine: a body that is read pulls the next message.
type processor struct {
	world     *World
	transport *http.Transport
	pool      *provider.Pool // for backends with TLS
}

// newProcessor serves the world's plan.
func newProcessor(_ context.Context, w *World) (Body, error) {
	p := &processor{world: w}
	p.transport = &http.Transport{
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			host, _, _ := net.SplitHostPort(address)
			c, err := w.upstream.dial(ctx, host)
			if err != nil {
				return nil, unreachable{err}
			}
			return c, nil
		},
	}
	p.pool = provider.NewPool(&provider.Dialer{Memory: func(ctx context.Context, host string, _ int32) (net.Conn, bool, error) {
		c, err := w.upstream.dial(ctx, host)
		return c, true, err
	}})
	p.pool.Load(w.Plan)
	return p, w.Engine.Load(w.Plan)
}

// unreachable marks errors of dialling.
type unreachable struct{ error }

// Close implements Body.
func (p *processor) Close() {
	p.transport.CloseIdleConnections()
	p.pool.Close()
}

// Call implements Body.
func (p *processor) Call(ctx context.Context, r *Request) (*Response, error) {
	return p.serve(ctx, r, false), nil
}

// flow is one request under way.
type flow struct {
	*processor
	r      *Request
	head   pseudo
	x      *engine.Exchange
	ctx    context.Context
	client context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	due    time.Time // of the whole request; zero = never
	ends   time.Time // the certificate of whoever answered
}

var errTime = errors.New("the time is over")

func (p *processor) serve(ctx context.Context, r *Request, inside bool) *Response {
	f := &flow{processor: p, r: r, head: pseudoOf(r), client: ctx}
	f.ctx, f.cancel = context.WithCancelCause(ctx)
	f.timer = time.AfterFunc(patience, func() { f.cancel(errTime) })
	var step engine.Step
	f.x, step = p.world.Engine.Begin(f.ctx, f.head.head(r, entryOf(p.world.Plan, r), inside)) // request_headers
	if limit := f.x.Timeouts().Request; limit > 0 {
		f.due = time.Now().Add(limit)
	}
	if step == engine.NeedBody {
		step = f.requestBody()
	}
	if step == engine.Refuse {
		return f.immediate(f.x.Refusal, engine.Done)
	}
	for n := 1; ; n++ {
		a, refusal := f.x.Attempt(n) // the upstream filter's request_headers
		if refusal != nil {
			return f.immediate(refusal, engine.Done)
		}
		f.bound(a.Timeout)
		status, header, body, err := f.try(a)
		if err != nil {
			return f.failed(err)
		}
		if out, retry := f.responseHeaders(status, header, body); !retry {
			return out
		}
	}
}

// requestBody delivers the body, whole and with end_of_stream.
func (f *flow) requestBody() engine.Step {
	if int64(len(f.r.Body)) > f.x.BodyLimit() {
		return f.x.Refuse(f.x.TooLarge())
	}
	return f.x.Body(f.ctx, f.r.Body)
}

// bound makes what follows take at most limit, negative is for ever, and the
// request as a whole its own time.
func (f *flow) bound(limit time.Duration) {
	if limit < 0 {
		limit = patience
	}
	if !f.due.IsZero() {
		limit = min(limit, time.Until(f.due))
	}
	f.timer.Reset(limit)
}

// try makes the upstream call: to one of our own gateways, or to a backend.
func (f *flow) try(a *engine.Attempt) (status int, header http.Header, body io.ReadCloser, err error) {
	sent := f.head.apply(f.head.towards(a))
	out := f.r.Body
	if a.Replace {
		out = a.Body
	}
	b := a.Backend
	if b.Host == "" && len(b.Endpoints) > 0 && b.Endpoints[0].Gateway != "" {
		e := b.Endpoints[0]
		inner := f.serve(f.ctx, &Request{
			Gateway: e.Gateway, Port: e.Port, Method: sent.get(":method"), Target: sent.get(":path"), Host: sent.get(":authority"),
			Header: sent.header(), Body: out,
		}, true)
		return inner.Status, inner.Header, inner.Body, nil
	}
	req := upstreamRequest(sent, b, out).WithContext(f.ctx)
	via := f.transport
	if b.TLS != nil {
		if via, req.URL.Scheme, req.URL.Host, err = f.pool.Links().Target(b); err != nil {
			return 0, nil, nil, err
		}
	}
	res, err := via.RoundTrip(req)
	if err != nil && (provider.Connecting(err) || provider.TurnedAway(err) != nil) {
		err = unreachable{err}
	}
	if err != nil {
		return 0, nil, nil, err
	}
	if res.TLS != nil {
		f.ends = res.TLS.PeerCertificates[0].NotAfter
	}
	return res.StatusCode, res.Header, res.Body, nil
}

func upstreamRequest(sent pseudo, b *plan.Backend, body []byte) *http.Request {
	path, query, _ := strings.Cut(sent.get(":path"), "?")
	address := b.Host
	if address == "" && len(b.Endpoints) > 0 {
		address = b.Endpoints[0].Address
	}
	to := &url.URL{Scheme: "http", Host: net.JoinHostPort(address, "80"), Opaque: path, RawQuery: query}
	if strings.HasPrefix(path, "//") { // net/http would take it for a host
		to.Opaque, to.Path = "", path
	}
	req := &http.Request{
		Method: sent.get(":method"), URL: to,
		Host: sent.get(":authority"), Header: sent.header(), ProtoMajor: 1, ProtoMinor: 1,
	}
	if req.Header["User-Agent"] == nil {
		req.Header["User-Agent"] = []string{""}
	}
	if len(body) > 0 {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	return req
}

// immediate answers in the place of the upstream.
func (f *flow) immediate(r *engine.Refusal, outcome engine.Outcome) *Response {
	h := r.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set("X-Request-Id", f.x.Record.ID)
	body := r.Body
	if f.r.Method == http.MethodHead {
		body = nil
	}
	f.end(outcome, int64(len(body)))
	return &Response{Status: r.Status, Header: h, Body: io.NopCloser(bytes.NewReader(body))}
}

// failed answers for an upstream that gave no answer.
func (f *flow) failed(err error) *Response {
	why := engine.NoAnswer
	var refused unreachable
	switch {
	case context.Cause(f.ctx) == errTime:
		why = engine.NoTime
	case errors.As(err, &refused):
		why = engine.NoConnect
	}
	return f.immediate(f.x.Fail(why, err.Error()), f.outcome())
}

// outcome is why an exchange ended early.
func (f *flow) outcome() engine.Outcome {
	switch {
	case context.Cause(f.ctx) == errTime:
		return engine.TimedOut
	case f.client.Err() != nil:
		return engine.ClientGone
	}
	return engine.UpstreamGone
}

// responseHeaders passes an answer's head on.
func (f *flow) responseHeaders(status int, header http.Header, body io.ReadCloser) (out *Response, retry bool) {
	p := f.x.Response(engine.ResponseHead{Status: status, Header: header, Ends: f.ends})
	if p.Peek {
		first, _ := io.ReadAll(io.LimitReader(body, 64<<10))
		p = f.x.Response(engine.ResponseHead{Status: status, Header: header, Ends: f.ends, Body: append([]byte{}, first...)})
		body = &rewound{io.MultiReader(bytes.NewReader(first), body), body}
	}
	if p.Retry {
		body.Close()
		return nil, true
	}
	answer := &stream{flow: f, plan: p, from: body}
	if p.Hold { // Envoy's buffered mode: nothing leaves before all of it is there
		for answer.err == nil {
			answer.pull()
		}
		if answer.err != io.EOF {
			body.Close()
			return f.failed(answer.err), false
		}
	}
	return &Response{Status: status, Header: p.Header, Body: answer}, false
}

type rewound struct {
	io.Reader
	io.Closer
}

// end is the end of the stream to the processor.
func (f *flow) end(outcome engine.Outcome, sent int64) {
	f.timer.Stop()
	f.x.End(context.WithoutCancel(f.client), outcome, sent)
	f.cancel(nil)
}

// stream is an answer's body: each Read is one response_body message.
type stream struct {
	*flow
	plan  engine.ResponsePlan
	from  io.ReadCloser
	ready []byte // passed by the engine, not yet taken
	held  []byte // of an answer that is buffered
	sent  int64
	err   error
	over  bool
}

// Read implements io.Reader.
func (s *stream) Read(b []byte) (int, error) {
	for len(s.ready) == 0 && s.err == nil {
		s.pull()
	}
	n := copy(b, s.ready)
	s.ready = s.ready[n:]
	s.sent += int64(n)
	if n > 0 || len(b) == 0 {
		return n, nil
	}
	s.finish()
	return 0, s.err
}

// pull takes the next piece from the upstream.
func (s *stream) pull() {
	s.bound(s.x.Idle())
	buf := make([]byte, 32<<10)
	n, err := s.from.Read(buf)
	last := err == io.EOF
	if err != nil && !last {
		s.broken(err)
		return
	}
	s.err = err
	if !s.plan.Watch {
		s.ready = buf[:n]
		return
	}
	if s.plan.Hold && !last {
		s.held = append(s.held, buf[:n]...)
		return
	}
	s.ready = bytes.Clone(s.x.Chunk(s.ctx, append(s.held, buf[:n]...), last))
}

// broken ends an answer that the upstream did not finish.
func (s *stream) broken(err error) {
	s.err = io.ErrUnexpectedEOF
	if s.client.Err() != nil || s.plan.Hold {
		return
	}
	s.x.Record.Reason = err.Error()
	s.ready = s.x.BreakOff("the model backend broke off its answer")
}

func (s *stream) finish() {
	if s.over {
		return
	}
	s.over = true
	s.from.Close()
	outcome := engine.Done
	if s.err != io.EOF {
		outcome = s.outcome()
	}
	s.end(outcome, s.sent)
}

// Close implements io.Closer: before the end, the client has left.
func (s *stream) Close() error {
	if !s.over {
		s.over = true
		s.from.Close()
		s.end(engine.ClientGone, s.sent)
	}
	return nil
}
