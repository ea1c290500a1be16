package extproc

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	logged "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	als "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/envoy"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/auth"
	"github.com/egret-gateway/egret/policy/quota"
)

// world is a server with a client that plays Envoy.
type world struct {
	*Server
	t       *testing.T
	records chan engine.Record
	entry   string
	digest  string
	client  extproc.ExternalProcessorClient
	logs    als.AccessLogServiceClient
	away    atomic.Bool  // the limiter panics: a bug
	later   atomic.Int64 // nanoseconds that the engine's clock is ahead
	stop    func()       // ends the server; may be called again
}

// newWorld serves one route to one backend, with a token limit.
func newWorld(t *testing.T, o Options) *world {
	w := &world{t: t, records: make(chan engine.Record, 100)}
	ids := atomic.Int64{}
	o.Engine = engine.New(engine.Deps{
		Auth: auth.Deps{Caches: auth.NewCaches(), Now: time.Now}, Limiter: w.limiter(quota.NewMemory(quota.Options{})),
		Record: func(r *engine.Record) { w.records <- *r }, Routed: true,
		Now:    func() time.Time { return time.Now().Add(time.Duration(w.later.Load())) },
		NewID:  func() string { return fmt.Sprintf("%032x", ids.Add(1)) },
		Random: func(int64) int64 { return 0 }, Log: slog.New(slog.DiscardHandler),
		BodyLimit: o.BodyLimit, BodyRoom: o.BodyLimit * 3 / 2,
	})
	w.Server = New(o)
	p := onePlan()
	for entry, digest := range p.Digests(&p.Ports[0]) {
		w.entry, w.digest = entry, digest
	}
	if err := w.Load(p); err != nil {
		t.Fatal(err)
	}
	l := bufconn.Listen(1 << 20)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.Run(ctx, l) }()
	conn, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	w.client, w.logs = extproc.NewExternalProcessorClient(conn), als.NewAccessLogServiceClient(conn)
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		conn.Close()
		w.stop()
	})
	return w
}

func onePlan() *plan.Plan {
	limit := plan.Policy{Token: []plan.Limit{{Name: "t", ID: "tokenlimit.t", Source: "n/p", Rates: []plan.Rate{{Limit: 1000, Window: time.Minute}}}}}
	limit.Name = plan.Digest(limit)
	return &plan.Plan{
		Ports: []plan.Port{{Gateway: "g/w", Number: 80, Listeners: []plan.Listener{{Name: "l", VHosts: []plan.VHost{{Domain: "*", Entries: []plan.Entry{
			{ID: "e", Rule: "r", Policy: limit.Name, Match: plan.Match{Path: plan.PathMatch{Kind: plan.PathPrefix, Value: "/"}}},
		}}}}}}},
		Rules: []plan.Rule{{
			Name: "r", Route: "n/route", Targets: []plan.Target{{Backend: "b", Weight: 1}},
			Timeouts: plan.Timeouts{Request: plan.DefaultRequestTimeout, Idle: plan.DefaultIdleTimeout},
		}},
		Policies: []plan.Policy{limit},
		Backends: []plan.Backend{{Name: "b", Host: "b.example.com", Port: 80, Authority: "b.example.com", AskUsage: true}},
	}
}

// buggy is a limiter that panics at will.
type buggy struct {
	quota.Limiter
	w *world
}

func (w *world) limiter(l quota.Limiter) quota.Limiter { return &buggy{l, w} }

func (b *buggy) Reserve(ctx context.Context, buckets []quota.Bucket) (quota.Verdict, error) {
	if b.w.away.Load() {
		panic("planted")
	}
	return b.Limiter.Reserve(ctx, buckets)
}

// record is the next record.
func (w *world) record() engine.Record {
	w.t.Helper()
	select {
	case r := <-w.records:
		return r
	case <-time.After(10 * time.Second):
		w.t.Fatal("no record came")
		return engine.Record{}
	}
}

// exchange is a stream of messages about one request.
type exchange struct {
	*world
	stream extproc.ExternalProcessor_ProcessClient
	leave  context.CancelFunc
	id     string // what was said about it
	try    bool
}

// begin opens the stream of a request, or of a try of it.
func (w *world) begin(meta ...string) *exchange {
	w.t.Helper()
	if meta == nil {
		meta = []string{envoy.MetaGateway, "g/w", envoy.MetaPort, "80", envoy.MetaEntry, w.entry, envoy.MetaDigest, w.digest, envoy.MetaTarget, "0"}
	}
	ctx, leave := context.WithCancel(metadata.AppendToOutgoingContext(context.Background(), meta...))
	w.t.Cleanup(leave)
	stream, err := w.client.Process(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	return &exchange{world: w, stream: stream, leave: leave}
}

// tell sends a message and returns the answer.
func (x *exchange) tell(m *extproc.ProcessingRequest) *extproc.ProcessingResponse {
	x.t.Helper()
	if x.id != "" {
		m.MetadataContext = &core.Metadata{FilterMetadata: map[string]*structpb.Struct{envoy.Namespace: said(x.id)}}
	}
	if err := x.stream.Send(m); err != nil {
		x.t.Fatal(err)
	}
	out, err := x.stream.Recv()
	if err != nil {
		x.t.Fatal(err)
	}
	if out.DynamicMetadata != nil {
		f := out.DynamicMetadata.GetFields()[envoy.Namespace].GetStructValue().GetFields()
		x.id = f[envoy.KeyID].GetStringValue()
		x.try = f[envoy.KeyTry].GetBoolValue()
	}
	return out
}

func said(id string) *structpb.Struct {
	return &structpb.Struct{Fields: map[string]*structpb.Value{envoy.KeyID: structpb.NewStringValue(id)}}
}

// headers makes a head of lines "name: value".
func headers(lines ...string) *core.HeaderMap {
	m := &core.HeaderMap{}
	for _, l := range lines {
		k, v, _ := strings.Cut(l, ": ")
		m.Headers = append(m.Headers, &core.HeaderValue{Key: k, RawValue: []byte(v)})
	}
	return m
}

func request(end bool, lines ...string) *extproc.ProcessingRequest {
	return &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_RequestHeaders{RequestHeaders: &extproc.HttpHeaders{Headers: headers(lines...), EndOfStream: end}}}
}

func requestBody(b string) *extproc.ProcessingRequest {
	return &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_RequestBody{RequestBody: &extproc.HttpBody{Body: []byte(b), EndOfStream: true}}}
}

func response(details string, lines ...string) *extproc.ProcessingRequest {
	m := &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_ResponseHeaders{ResponseHeaders: &extproc.HttpHeaders{Headers: headers(lines...)}}}
	m.Attributes = map[string]*structpb.Struct{"envoy.filters.http.ext_proc": {Fields: map[string]*structpb.Value{"response.code_details": structpb.NewStringValue(details)}}}
	return m
}

func responseBody(b string, end bool) *extproc.ProcessingRequest {
	return &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_ResponseBody{ResponseBody: &extproc.HttpBody{Body: []byte(b), EndOfStream: end}}}
}

// get and chat begin requests.
func (w *world) get(x *exchange, more ...string) *extproc.ProcessingResponse {
	return x.tell(request(true, append([]string{":method: GET", ":path: /x", ":authority: gw", ":scheme: http"}, more...)...))
}

func (w *world) chat(x *exchange, body string) *extproc.ProcessingResponse {
	x.tell(request(false, ":method: POST", ":path: /v1/chat/completions", ":authority: gw", ":scheme: http", "content-type: application/json"))
	return x.tell(requestBody(body))
}

// log tells how a request ended.
func (w *world) log(id string, e *logged.HTTPAccessLogEntry) {
	w.t.Helper()
	stream, err := w.logs.StreamAccessLogs(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	if e.CommonProperties == nil {
		e.CommonProperties = &logged.AccessLogCommon{}
	}
	e.CommonProperties.Metadata = &core.Metadata{FilterMetadata: map[string]*structpb.Struct{envoy.Namespace: said(id)}}
	m := &als.StreamAccessLogsMessage{LogEntries: &als.StreamAccessLogsMessage_HttpLogs{HttpLogs: &als.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: []*logged.HTTPAccessLogEntry{e}}}}
	if err := stream.Send(m); err != nil {
		w.t.Fatal(err)
	}
}

// refusal is the status of an immediate response, 0 for other answers.
func refusal(m *extproc.ProcessingResponse) int {
	return int(m.GetImmediateResponse().GetStatus().GetCode())
}

// changes lists what a head is made to be.
func changes(c *extproc.HeaderMutation) http.Header {
	out := http.Header{}
	for _, name := range c.GetRemoveHeaders() {
		out[name] = nil
	}
	for _, o := range c.GetSetHeaders() {
		//lint:ignore SA1019 the only way (docs/decisions/012-ext-proc.md)
		if !o.GetAppend().GetValue() {
			out[o.Header.Key] = nil
		}
		out[o.Header.Key] = append(out[o.Header.Key], string(o.Header.RawValue))
	}
	return out
}
