//lint:file-ignore SA1008 names are in lower case on Envoy's side

package extproc

import (
	"net/http"
	"strings"
	"testing"
	"time"

	logged "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	filter "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/envoy"
	"github.com/egret-gateway/egret/plan"
)

// TestForward: what leaves is what the engine says and nothing else, whatever
// Envoy or the client added.
func TestForward(t *testing.T) {
	w := newWorld(t, Options{})
	x := w.begin()
	out := w.get(x, "x-many: 1", "x-many: 2", "x-forwarded-proto: http", "x-envoy-external-address: 192.0.2.1",
		"x-maas-username: root", "proxy-authorization: Basic x", "x-request-id: mine")
	c := out.GetRequestHeaders().GetResponse()
	got := changes(c.GetHeaderMutation())
	delete(got, "traceparent")
	want := http.Header{
		":path": {"/x"}, ":authority": {"b.example.com"}, "accept-encoding": {"identity"}, "x-envoy-expected-rq-timeout-ms": {"3600000"},
		"x-forwarded-proto": nil, "x-envoy-external-address": nil, "x-maas-username": nil, "proxy-authorization": nil,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if c.GetBodyMutation() != nil || x.id == "" || x.try {
		t.Errorf("body %v, id %q, try %v", c.GetBodyMutation(), x.id, x.try)
	}
	out = x.tell(response("via_upstream", ":status: 200", "content-type: text/plain", "content-length: 2", "transfer-encoding: x", "x-egret-peer-ends: 4102444800"))
	if out.GetModeOverride() != nil {
		t.Errorf("the body of an answer that nobody reads is asked for: %v", out.GetModeOverride())
	}
	got = changes(out.GetResponseHeaders().GetResponse().GetHeaderMutation())
	if diff := cmp.Diff([]string{"mine"}, got["x-request-id"]); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if v, ok := got["x-egret-peer-ends"]; !ok || v != nil {
		t.Errorf("what a backend in the clear says of a certificate is passed on: %q", v)
	}
	for _, name := range []string{"content-length", "transfer-encoding", "content-type"} {
		if v, ok := got[name]; ok {
			t.Errorf("%s becomes %q", name, v)
		}
	}
	x.leave()
	w.log(x.id, &logged.HTTPAccessLogEntry{Response: &logged.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(200), ResponseBodyBytes: 2}})
	if r := w.record(); r.Outcome != engine.Done || r.Sent != 2 || r.Status != 200 || r.Route != "n/route" {
		t.Errorf("%+v", r)
	}
}

// TestWatched: a stream passes piece by piece, and its end is known without a
// log entry.
func TestWatched(t *testing.T) {
	t.Run("maas-109 B-28 the first event leaves before the second is there, and the last one settled", func(t *testing.T) {
		w := newWorld(t, Options{})
		x := w.begin()
		out := w.chat(x, `{"model":"m","stream":true,"messages":[]}`)
		c := out.GetRequestBody().GetResponse()
		if b := string(c.GetBodyMutation().GetBody()); !strings.Contains(b, `"include_usage":true`) || changes(c.HeaderMutation)["content-length"] == nil || !x.try {
			t.Fatalf("body %s, head %v, try %v", b, c.HeaderMutation, x.try)
		}
		out = x.tell(response("via_upstream", ":status: 200", "content-type: text/event-stream", "transfer-encoding: chunked"))
		if m := out.GetModeOverride(); m.GetResponseBodyMode() != filter.ProcessingMode_STREAMED || m.GetResponseTrailerMode() != filter.ProcessingMode_SEND {
			t.Fatalf("mode %v", m)
		}
		pass := func(piece, want string, end bool) {
			t.Helper()
			c := x.tell(responseBody(piece, end)).GetResponseBody().GetResponse()
			got := piece
			if c.GetBodyMutation() != nil {
				got = string(c.GetBodyMutation().GetBody())
			}
			if got != want {
				t.Errorf("%q became %q, want %q", piece, got, want)
			}
		}
		const first = `data: {"choices":[{"delta":{"content":"a"}}]}` + "\n\n"
		pass(first, first, false)
		const hidden = `data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}` + "\n\n"
		pass(hidden, "", false)
		pass("data: [DONE]\n\n", "data: [DONE]\n\n", false)
		pass("", "", true)
		if r := w.record(); r.Outcome != engine.Done || r.Usage.Total != 7 || !r.Charged || r.Sent != int64(len(first)+len("data: [DONE]\n\n")) {
			t.Errorf("%+v", r)
		}
		if x.id != "" {
			t.Errorf("the request would be logged as %q, which nobody waits for", x.id)
		}
	})
}

// TestEnds: whoever ends a request early, there is one record, which says so.
func TestEnds(t *testing.T) {
	common := func(f *logged.ResponseFlags) *logged.AccessLogCommon {
		return &logged.AccessLogCommon{ResponseFlags: f}
	}
	entry := func(f *logged.ResponseFlags, code uint32, details string) *logged.HTTPAccessLogEntry {
		return &logged.HTTPAccessLogEntry{CommonProperties: common(f), Response: &logged.HTTPResponseProperties{
			ResponseCode: wrapperspb.UInt32(code), ResponseCodeDetails: details, ResponseBodyBytes: 5,
		}}
	}
	type want struct {
		Outcome engine.Outcome
		Status  int
		Charged bool
		Code    string
	}
	f := func(title, contentType, piece string, e *logged.HTTPAccessLogEntry, wanted want) {
		t.Helper()
		t.Run(title, func(t *testing.T) {
			w := newWorld(t, Options{Late: 20 * time.Millisecond})
			x := w.begin()
			w.chat(x, `{"model":"m","stream":true,"messages":[{"role":"user","content":"Hello"}]}`)
			if contentType != "" {
				x.tell(response("via_upstream", ":status: 200", "content-type: "+contentType, "transfer-encoding: chunked"))
				x.tell(responseBody(piece, false))
			}
			if e == nil {
				x.leave() // nobody tells: the sweep ends it
			} else {
				w.log(x.id, e)
			}
			r := w.record()
			if diff := cmp.Diff(wanted, want{r.Outcome, r.Status, r.Charged, r.Code}); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			x.leave()
		})
	}
	const event = `data: {"choices":[{"delta":{"content":"12345678"}}]}` + "\n\n"
	f("maas-100 a client that leaves a stream is charged", "text/event-stream", event,
		entry(&logged.ResponseFlags{DownstreamConnectionTermination: true}, 200, "downstream_remote_disconnect"), want{engine.ClientGone, 200, true, ""})
	f("maas-100 a backend that breaks a stream off is told apart from it", "text/event-stream", event,
		entry(&logged.ResponseFlags{UpstreamProtocolError: true}, 200, "upstream_reset_after_response_started{protocol_error}"), want{engine.UpstreamGone, 200, true, ""})
	f("silence for too long", "text/event-stream", event,
		entry(&logged.ResponseFlags{StreamIdleTimeout: true}, 200, "stream_idle_timeout"), want{engine.TimedOut, 200, true, ""})
	f("half an answer that is no stream is free", "application/json", `{"choices":`,
		entry(&logged.ResponseFlags{UpstreamConnectionTermination: true}, 200, "upstream_reset_after_response_started{connection_termination}"), want{engine.UpstreamGone, 200, false, ""})
	f("Envoy answered in the place of half an answer", "application/json", `{"choices":`,
		entry(&logged.ResponseFlags{UpstreamProtocolError: true}, 502, "upstream_reset_before_response_started{protocol_error}"), want{engine.UpstreamGone, 502, false, "no_answer"})
	f("maas-100 a client that leaves before an answer pays for the question", "", "",
		entry(&logged.ResponseFlags{DownstreamConnectionTermination: true}, 0, "downstream_remote_disconnect"), want{engine.ClientGone, 0, true, ""})
	f("maas-100 and so does one of whom no log entry came", "", "", nil, want{engine.ClientGone, 0, true, ""})
}

// TestLocal: answers that Envoy makes itself become those of the native plane.
func TestLocal(t *testing.T) {
	f := func(details, status string, wantStatus int, wantCode string, wantOutcome engine.Outcome) {
		t.Helper()
		t.Run(details, func(t *testing.T) {
			w := newWorld(t, Options{})
			x := w.begin()
			w.chat(x, `{"model":"m","messages":[]}`)
			out := x.tell(response(details, ":status: "+status, "content-type: text/plain"))
			r := w.record()
			if !carries(out.GetImmediateResponse().GetBody(), wantCode) {
				t.Errorf("answer %v", out)
			}
			if r.Status != wantStatus || r.Code != wantCode || r.Outcome != wantOutcome || r.Charged {
				t.Errorf("%+v", r)
			}
		})
	}
	f("upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}", "503", 502, "no_connection", engine.UpstreamGone)
	f("upstream_reset_before_response_started{connection_timeout}", "503", 502, "no_connection", engine.UpstreamGone)
	f("upstream_reset_before_response_started{connection_termination}", "503", 502, "no_answer", engine.UpstreamGone)
	f("upstream_reset_before_response_started{protocol_error}", "502", 502, "no_answer", engine.UpstreamGone)
	f("no_healthy_upstream", "503", 502, "no_connection", engine.UpstreamGone) // a name that led nowhere
	f("response_timeout", "504", 504, "upstream_timeout", engine.TimedOut)
	f("upstream_per_try_timeout", "504", 504, "upstream_timeout", engine.TimedOut)
	f("stream_idle_timeout", "504", 504, "upstream_timeout", engine.TimedOut)
}

// carries reports whether an error body carries a code.
func carries(body []byte, code string) bool { return strings.Contains(string(body), `"`+code+`"`) }

// TestRefused: requests that no backend sees.
func TestRefused(t *testing.T) {
	w := newWorld(t, Options{BodyLimit: 0})
	if got := refusal(w.get(w.begin(envoy.MetaGateway, "g/w", envoy.MetaPort, "80"))); got != 404 {
		t.Errorf("without a route: %d", got)
	}
	w.record()
	if got := refusal(w.get(w.begin(envoy.MetaGateway, "g/w", envoy.MetaPort, "80", envoy.MetaEntry, w.entry, envoy.MetaDigest, "other"))); got != 503 {
		t.Errorf("with an entry that no plan has: %d", got)
	}
	w.record()
	if got := refusal(w.begin().tell(request(false, ":method: CONNECT", ":authority: gw:443"))); got != 405 {
		t.Errorf("a tunnel: %d", got)
	}
	w.record()
	x := w.begin()
	x.tell(request(false, ":method: POST", ":path: /v1/chat/completions", ":authority: gw", "content-type: application/json"))
	if got := refusal(x.tell(response("request_payload_too_large", ":status: 413"))); got != 413 {
		t.Errorf("a body beyond Envoy's own limit: %d", got)
	}
	if r := w.record(); r.Code != "body_too_large" {
		t.Errorf("%+v", r)
	}
	x = w.begin()
	x.tell(request(false, ":method: POST", ":path: /v1/chat/completions", ":authority: gw", "content-type: application/json"))
	x.leave()
	if r := w.record(); r.Code != "broken_body" || r.Outcome != engine.ClientGone || r.Status != 400 {
		t.Errorf("%+v", r)
	}
	x = w.begin()
	x.tell(request(false, ":method: POST", ":path: /v1/chat/completions", ":authority: gw", "content-type: application/json"))
	if got := refusal(x.tell(response("request_overall_timeout", ":status: 408"))); got != 408 {
		t.Errorf("a body that is too slow: %d", got)
	}
	if r := w.record(); r.Code != "slow_body" {
		t.Errorf("%+v", r)
	}
	if got := refusal(w.begin().tell(response("upgrade_failed", ":status: 403"))); got != 403 {
		t.Errorf("what Envoy refused itself: %d", got)
	}
	if r := w.record(); r.Code != "refused" || r.Gateway != "g/w" {
		t.Errorf("%+v", r)
	}
}

// TestLinger: a refusal does not overtake the small body of a request over
// HTTP/2, and waits for no other.
func TestLinger(t *testing.T) {
	w := newWorld(t, Options{Linger: time.Hour})
	refused := func(protocol string, end bool, length string) *exchange {
		x := w.begin(envoy.MetaGateway, "g/w", envoy.MetaPort, "80")
		m := request(end, ":method: POST", ":path: /x", ":authority: gw", "content-length: "+length)
		m.Attributes = map[string]*structpb.Struct{"envoy.filters.http.ext_proc": {Fields: map[string]*structpb.Value{"request.protocol": structpb.NewStringValue(protocol)}}}
		if err := x.stream.Send(m); err != nil {
			t.Fatal(err)
		}
		return x
	}
	answer := func(x *exchange) {
		t.Helper()
		if out, err := x.stream.Recv(); err != nil || refusal(out) != 404 {
			t.Errorf("%v %v", out, err)
		}
		w.record()
	}
	answer(refused("HTTP/1.1", false, "2"))
	answer(refused("HTTP/2", true, "0"))
	answer(refused("HTTP/2", false, "1000000"))
	x := refused("HTTP/2", false, "2")
	w.record() // it is decided
	x.leave()
	if out, err := x.stream.Recv(); err == nil {
		t.Errorf("answered at once: %v", out)
	}
	w = newWorld(t, Options{})
	answer(refused("HTTP/2", false, "2"))
}

// TestTry: the filter of the cluster has Envoy try again without the field
// that a backend did not know, and only then.
func TestTry(t *testing.T) {
	w := newWorld(t, Options{})
	x := w.begin()
	const sent = `{"model":"m","stream":true,"messages":[]}`
	w.chat(x, sent)
	lost := w.begin(envoy.MetaTry, "1") // it gets no connection, and the next is as it was
	lost.id = x.id
	lost.tell(request(false, ":method: POST", ":path: /v1/chat/completions", ":authority: b.example.com"))
	first := w.begin(envoy.MetaTry, "1")
	first.id = x.id
	head := []string{":method: POST", ":path: /v1/chat/completions", ":authority: b.example.com", "content-type: application/json", "content-length: 90"}
	first.tell(request(false, head...))
	out := first.tell(response("", ":status: 400", "content-type: application/json", envoy.HeaderRetry+": 1"))
	if out.GetModeOverride().GetResponseBodyMode() != filter.ProcessingMode_BUFFERED_PARTIAL {
		t.Fatalf("the body of a 400 is not looked at: %v", out)
	}
	got := changes(first.tell(responseBody(`{"error":{"message":"Unrecognized request argument supplied: stream_options"}}`, true)).GetResponseBody().GetResponse().GetHeaderMutation())
	if diff := cmp.Diff(http.Header{envoy.HeaderRetry: {"1"}}, got); diff != "" {
		t.Fatalf("(-want +got)\n%s", diff)
	}
	second := w.begin(envoy.MetaTry, "1")
	second.id = x.id
	out = second.tell(request(false, append(head, "x-added-by-the-first: 1")...))
	if out.GetModeOverride().GetRequestBodyMode() != filter.ProcessingMode_BUFFERED {
		t.Fatalf("the body is not changed: %v", out)
	}
	if v, ok := changes(out.GetRequestHeaders().GetResponse().GetHeaderMutation())["x-added-by-the-first"]; !ok || v != nil {
		t.Errorf("what the first try added stays: %v", out)
	}
	if b := second.tell(requestBody("patched")).GetRequestBody().GetResponse().GetBodyMutation().GetBody(); string(b) != sent {
		t.Errorf("sent %q", b)
	}
	second.tell(response("", ":status: 200", "content-type: application/json"))
	x.tell(response("via_upstream", ":status: 200", "content-type: application/json", "content-length: 2"))
	x.tell(responseBody("{}", true))
	if r := w.record(); r.Attempts != 2 || r.Status != 200 {
		t.Errorf("%+v", r)
	}
	if got := refusal(second.tell(request(false, head...))); got != 502 {
		t.Errorf("a try of a request that has ended: %d", got)
	}
}

// TestRetryThatEnvoyDidNot: an answer that should have been tried again but was
// not is the client's, without our mark.
func TestRetryThatEnvoyDidNot(t *testing.T) {
	w := newWorld(t, Options{})
	x := w.begin()
	w.chat(x, `{"model":"m","stream":true,"messages":[]}`)
	first := w.begin(envoy.MetaTry, "1")
	first.id = x.id
	first.tell(request(false, ":method: POST", ":path: /v1/chat/completions", ":authority: b.example.com"))
	first.tell(response("", ":status: 400"))
	first.tell(responseBody("stream_options", true))
	out := x.tell(response("via_upstream", ":status: 400", "x-up: 1", envoy.HeaderRetry+": 1"))
	got := changes(out.GetResponseHeaders().GetResponse().GetHeaderMutation())
	if v, ok := got[envoy.HeaderRetry]; !ok || v != nil {
		t.Errorf("the mark stays: %v", got)
	}
	if _, ok := got["x-up"]; ok {
		t.Errorf("the backend's fields go: %v", got)
	}
	w.log(x.id, &logged.HTTPAccessLogEntry{Response: &logged.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(400)}})
	if r := w.record(); r.Attempts != 1 || r.Status != 400 || r.Outcome != engine.Done {
		t.Errorf("%+v", r)
	}
}

// TestPanic: a bug costs the request that met it.
func TestPanic(t *testing.T) {
	w := newWorld(t, Options{})
	w.away.Store(true)
	if got := refusal(w.get(w.begin())); got != 500 {
		t.Errorf("a request that met a bug at once: %d", got)
	}
	if got := refusal(w.chat(w.begin(), `{"model":"m","messages":[]}`)); got != 500 {
		t.Errorf("a request that met a bug with its body: %d", got)
	}
	if r := w.record(); r.Status != 500 || r.Code != "bug" {
		t.Errorf("%+v", r)
	}
	w.away.Store(false)
	if got := refusal(w.get(w.begin())); got != 0 {
		t.Errorf("the request after: %d", got)
	}
	if s := w.Stats(); s.Panics != 2 || s.Requests != 3 {
		t.Errorf("%+v", s)
	}
}

// TestBusy: requests beyond the bound are told to come again.
func TestBusy(t *testing.T) {
	w := newWorld(t, Options{Flows: 1})
	first := w.begin()
	if got := refusal(w.get(first)); got != 0 {
		t.Errorf("the first: %d", got)
	}
	if got := refusal(w.get(w.begin())); got != 503 {
		t.Errorf("the second: %d", got)
	}
	if s := w.Stats(); s.Refused != 1 || s.Requests != 1 {
		t.Errorf("%+v", s)
	}
}

// TestEarlierPlan: Envoy may name an entry as an earlier plan has it for a
// while, and is served as that plan says.
func TestEarlierPlan(t *testing.T) {
	w := newWorld(t, Options{})
	old, next := w.opts.Engine.Plan(), onePlan()
	next.Rules[0].Request.Set = []plan.Header{{Name: "x-new", Value: "1"}}
	f := func(want string, keep ...string) {
		t.Helper()
		if err := w.Load(next, keep...); err != nil {
			t.Fatal(err)
		}
		got := "forwarded"
		if out := w.get(w.begin()); out.GetImmediateResponse() != nil {
			got = "refused"
		} else if changes(out.GetRequestHeaders().GetResponse().GetHeaderMutation())["x-new"] != nil {
			got = "forwarded as the new plan says"
		}
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	f("forwarded", old.Hash())
	f("forwarded") // an Envoy that has lost the controller is known to nobody
	w.later.Store(int64(time.Minute))
	f("refused")
}

// TestStop: a server that ends waits for requests under way, and leaves no
// exchange without a record.
func TestStop(t *testing.T) {
	w := newWorld(t, Options{Drain: 50 * time.Millisecond})
	x := w.begin()
	w.get(x)
	stream, err := w.logs.StreamAccessLogs(t.Context()) // stays open
	if err != nil {
		t.Fatal(err)
	}
	w.stop()
	if r := w.record(); r.Outcome != engine.ClientGone || r.Attempts != 1 {
		t.Errorf("%+v", r)
	}
	if err := stream.RecvMsg(nil); err == nil {
		t.Error("the server still serves")
	}
}

// TestReady: there is nothing to serve before the first plan.
func TestReady(t *testing.T) {
	if New(Options{}).Ready() == nil {
		t.Error("ready without a plan")
	}
	if err := newWorld(t, Options{}).Ready(); err != nil {
		t.Error(err)
	}
}

// TestBodyRoom: bodies take room that they leave with their requests.
func TestBodyRoom(t *testing.T) {
	w := newWorld(t, Options{BodyLimit: 100})
	const call = `{"model":"m","messages":[{"role":"user","content":"a body of more than half the room"}]}`
	first := w.begin()
	if got := refusal(w.chat(first, call)); got != 0 {
		t.Fatalf("the first: %d", got)
	}
	out := w.chat(w.begin(), call)
	if got := changes(out.GetImmediateResponse().GetHeaders()); refusal(out) != 503 || !cmp.Equal(got["retry-after"], []string{"1"}) {
		t.Errorf("beside it: %v", out)
	}
	if r := w.record(); r.Code != "busy" || !strings.HasPrefix(r.Reason, "busy: ") {
		t.Errorf("%+v", r)
	}
	w.log(first.id, &logged.HTTPAccessLogEntry{})
	w.record()
	if got := refusal(w.chat(w.begin(), call)); got != 0 {
		t.Errorf("after it: %d", got)
	}
}

// TestRequestTrailers: trailers pass without the names that mean trust, or that
// hold credentials.
func TestRequestTrailers(t *testing.T) {
	w := newWorld(t, Options{})
	x := w.begin()
	w.get(x)
	out := x.tell(&extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_RequestTrailers{
		RequestTrailers: &extproc.HttpTrailers{Trailers: headers("x-maas-username: root", "x-sum: 1", "x_maas_group: admins", "x-maasy: free", "authorization: Bearer mine", "x_api_key: mine")},
	}})
	got := out.GetRequestTrailers().GetHeaderMutation()
	if diff := cmp.Diff([]string{"authorization", "x-maas-username", "x_api_key", "x_maas_group"}, got.GetRemoveHeaders()); diff != "" || len(got.GetSetHeaders()) > 0 {
		t.Errorf("%v (-want +got)\n%s", out, diff)
	}
}
