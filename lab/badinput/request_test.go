package badinput

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// request is a row about what a client or a backend does.
type request struct {
	input  string
	send   string                          // to gateway lab/edge
	more   func(context.Context, net.Conn) // what the client does then
	answer string
	body   string // a part of it
	told   string // in X-Ext-Auth-Reason, all that a policy tells the caller
	code   string // in the access log; "" = none
	reason string // a part of it
	unseen bool   // the access log has no line: the request was never whole
	within time.Duration
}

const (
	atOnce = 5 * time.Second
	twice  = "request body: model: it is there more than once, and servers disagree about which one counts; send it once"
	model  = `{"model":"m","messages":[{"role":"user","content":"Hi"}]}`
)

var requests = []request{
	{input: "a body that is not JSON", send: post("/echo", "model=m"), answer: "400", body: "request body: it is not valid JSON; the mistake is at or after byte 0", code: "bad_body", reason: "request body: it is not valid JSON; the mistake is at or after byte 0", within: atOnce},
	{input: "a body that ends within JSON", send: post("/echo", `{"model":"m",`), answer: "400", body: "request body: it is not valid JSON; the mistake is at or after byte 12", code: "bad_body", reason: "request body: it is not valid JSON; the mistake is at or after byte 12", within: atOnce},
	{input: "`model` twice", send: post("/echo", `{"model":"cheap","model":"dear"}`), answer: "400", body: twice, code: "bad_body", reason: twice, within: atOnce},
	{input: "`model` twice, once escaped", send: post("/echo", `{"model":"cheap","mode\u006c":"dear"}`), answer: "400", body: twice, code: "bad_body", reason: twice, within: atOnce},
	{input: "`model` twice, once as `Model`", send: post("/echo", `{"model":"cheap","Model":"dear"}`), answer: "400", body: "which some servers read and others do not; spell it", code: "bad_body", reason: "which some servers read and others do not; spell it", within: atOnce},
	{input: "a body of 17 MiB", send: post("/echo", `{"model":"m","x":"`+strings.Repeat("x", 17<<20)+`"}`), answer: "413", body: "the request body is larger than this gateway reads for an AI call", code: "body_too_large", reason: "the request body is larger than this gateway reads for an AI call", within: atOnce},
	{input: "10,000 headers", send: get("/echo", strings.Split(strings.TrimSuffix(strings.Repeat("X-A: b\n", 10_000), "\n"), "\n")...), answer: "431", body: "Request Header Fields Too Large", code: "too_many_headers", reason: "header fields; at most 256 are taken", within: atOnce},
	{input: "headers of 300 KiB", send: get("/echo", "X-A: "+strings.Repeat("b", 300<<10)), answer: "431", unseen: true, within: atOnce},
	{input: "a client that sends its head a byte at a time", send: "GET /echo HTTP/1.1\r\nX-A: ", more: dribble, answer: "none, closed", unseen: true, within: 15 * time.Second},
	{input: "a client that sends its body a byte at a time", send: strings.Replace(post("/echo", ""), "Content-Length: 0", "Content-Length: 1000", 1), more: dribble, answer: "408", body: "the request body came too slowly", code: "slow_body", reason: "the request body came too slowly", within: 40 * time.Second},
	{input: "client-sent `X-MaaS-*`: the backend, which tells what it got of them, got none", send: get("/echo", "X-MaaS-Username: root", "x-maas-group: system:masters", "X-MAAS-Tier: enterprise"), answer: "200", body: "{}", within: atOnce},
	{input: "the backend closes without an answer", send: post("/closing", model), answer: "502", body: "the model backend closed the connection without a valid answer", code: "no_answer", reason: "EOF", within: atOnce},
	{input: "the backend closes within its answer", send: post("/short", model), answer: "502", body: "the model backend closed the connection without a valid answer", code: "no_answer", reason: "unexpected EOF", within: atOnce},
	{input: "the backend sends garbage", send: post("/garbage", model), answer: "502", body: "the model backend closed the connection without a valid answer", code: "no_answer", reason: "malformed HTTP", within: atOnce},
	{input: "the backend never answers (`timeouts.request: 1s`)", send: post("/silent", model), answer: "504", body: "the model backend did not answer in time", code: "upstream_timeout", reason: "the request's time is over", within: 6 * time.Second},
	{input: "the backend breaks off a stream of events", send: post("/breaking", strings.Replace(model, "{", `{"stream":true,`, 1)), answer: "200, then cut", body: `data: {"error":{"message":"the model backend broke off its answer"`, reason: "unexpected EOF", within: atOnce},
}

// dribble is a client that keeps its connection busy and gets nowhere.
func dribble(ctx context.Context, c net.Conn) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := c.Write([]byte{'a'}); err != nil {
			return
		}
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "edge.yaml", gateway+backends())
	w := start(t, dir, nil)
	for i, row := range requests {
		t.Run(row.input, func(t *testing.T) {
			t.Parallel()
			row.check(t, w, w.address["lab/edge"], fmt.Sprintf("row-%d", i))
		})
	}
}

// check sends the row's request under an id by which the log knows it.
func (row *request) check(t *testing.T, w *world, address, id string) {
	ctx, cancel := context.WithTimeout(t.Context(), row.within)
	defer cancel()
	got := send(ctx, address, strings.Replace(row.send, " HTTP/1.1\r\n", " HTTP/1.1\r\nX-Request-Id: "+id+"\r\n", 1), row.more)
	if got.answer != row.answer || !strings.Contains(got.body, row.body) {
		t.Errorf("answer %s %.300q, want %s %q", got.answer, got.body, row.answer, row.body)
	}
	if reason := got.header.Get("X-Ext-Auth-Reason"); reason != row.told || reason != "" && got.body != "" {
		t.Errorf("the caller is told %q %q, want %q", reason, got.body, row.told)
	}
	parts := []string{`"request_id":"` + id + `"`}
	if row.unseen {
		if log := w.access.since(0); strings.Contains(log, parts[0]) {
			t.Errorf("there is an access log line")
		}
		return
	}
	if row.code != "" {
		parts = append(parts, `"code":"`+row.code+`"`)
	}
	if row.reason != "" {
		parts = append(parts, row.reason)
	}
	if !w.access.find(ctx, 0, parts...) {
		t.Errorf("the access log has no line with %q:\n%s", parts, grep(w.access.since(0), parts[0]))
	}
}

func grep(log, part string) (found string) {
	for line := range strings.Lines(log) {
		if strings.Contains(line, part) {
			found += line
		}
	}
	return found
}
