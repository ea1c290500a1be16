package proxy

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/egret-gateway/egret/plan"
)

var update = flag.Bool("update", false, "rewrite docs/bad-input-plane.md")

// badInput is a row of the table of what bad input gets: the documentation and
// the test are made of the same rows.
type badInput struct {
	input  string
	send   string                        // what the client writes; "" = nothing
	answer func(net.Conn, *bufio.Reader) // what the backend does; nil = echoes
	tweak  func(*plan.Rule)

	status int    // 0 = the connection is closed without an answer
	body   string // a part of it
	cut    bool   // the answer is not ended properly
	reason string // "code: part of the reason" in the access log; "" = no line
	within time.Duration
}

const aiCall = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

// call is an AI call with a body.
func call(body string) string {
	return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", aiCall, len(body), body)
}

// says is a backend that writes an answer and closes.
func says(answer string) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, b *bufio.Reader) {
		readRequest(b)
		io.WriteString(c, answer)
	}
}

func silent(_ net.Conn, b *bufio.Reader) { io.Copy(io.Discard, b) }

var badInputs = []badInput{
	{input: "a body of 17 MiB, announced", send: aiCall + "Content-Length: 17825792\r\nExpect: 100-continue\r\n\r\n", status: 413, body: "larger than this gateway reads", reason: "body_too_large: larger than"},
	{input: "a body of 17 MiB, in chunks", send: aiCall + "Transfer-Encoding: chunked\r\n\r\n1100000\r\n" + strings.Repeat(" ", 17<<20), status: 413, body: "larger than this gateway reads", reason: "body_too_large: larger than", within: linger},
	{input: "10,000 header fields", send: "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-A: b\r\n", 10_000) + "\r\n", status: 431, reason: "too_many_headers: 10000 header fields"},
	{input: "a head of 300 KiB", send: "GET / HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 300<<10) + "\r\n\r\n", status: 431},
	{input: "a head that does not end", send: "GET / HTTP/1.1\r\nHost: x\r\n", status: 0, within: headerTimeout},
	{input: "a body that stops", send: aiCall + "Content-Length: 100\r\n\r\n{", status: 408, body: "too slowly", reason: "slow_body: too slowly", within: grace + time.Second},
	{input: "a body that is not JSON", send: call("model=m"), status: 400, body: `"error"`, reason: "bad_body: "},
	{input: "`model` twice", send: call(`{"model":"a","model":"b"}`), status: 400, body: `"error"`, reason: "bad_body: model"},
	{input: "`model` twice, once escaped", send: call(`{"model":"a","\u006dodel":"b"}`), status: 400, body: `"error"`, reason: "bad_body: model"},
	{input: "client-sent `X-MaaS-*`", send: "GET / HTTP/1.1\r\nHost: x\r\nX-MaaS-Username: root\r\n\r\n", status: 200, body: "GET /", reason: ": ",
		answer: func(c net.Conn, b *bufio.Reader) {
			req, _ := readRequest(b)
			body := fmt.Sprintf("%s %s %s", req.Method, req.URL, req.Header.Get("X-MaaS-Username"))
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}},
	{input: "`CONNECT`", send: "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", status: 405, body: "not allowed", reason: "connect: tunnel"},
	{input: "the backend closes without an answer", send: call(`{"model":"m"}`), answer: says(""), status: 502, body: "without a valid answer", reason: "no_answer: EOF"},
	{input: "the backend sends garbage", send: call(`{"model":"m"}`), answer: says("garbage\r\n\r\n"), status: 502, body: "without a valid answer", reason: "no_answer: malformed HTTP"},
	{input: "the backend closes within a short answer", send: call(`{"model":"m"}`), answer: says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"), status: 502, body: "without a valid answer", reason: "no_answer: unexpected EOF"},
	{input: "the backend never answers, `timeouts.request: 2s`", send: call(`{"model":"m"}`), answer: silent, tweak: timeout(2 * time.Second), status: 504, body: "did not answer in time", reason: "upstream_timeout: time is over", within: 2 * time.Second},
	{input: "the backend never answers", send: call(`{"model":"m"}`), answer: silent, status: 504, body: "did not answer in time", reason: "upstream_timeout: time is over", within: time.Hour},
	{input: "the backend breaks a stream of events", send: call(`{"model":"m","stream":true}`), answer: says("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n8\r\ndata: {\""), status: 200, body: "data: {\"error\":", cut: true, reason: ": unexpected EOF"},
	{input: "the backend falls silent in a stream of events", send: call(`{"model":"m","stream":true}`), answer: func(c net.Conn, b *bufio.Reader) {
		readRequest(b)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
		io.Copy(io.Discard, b)
	}, status: 200, body: "was silent for too long", cut: true, reason: ": ", within: plan.DefaultIdleTimeout},
	{input: "a client that takes nothing of its answer", send: "", within: stall},
}

func TestBadInput(t *testing.T) {
	for _, row := range badInputs {
		if row.send == "" {
			continue // TestSlowClients
		}
		inBubble(t, row.input, func(t *testing.T, r *rig) { row.check(t, r) })
	}
}

func (row *badInput) check(t *testing.T, r *rig) {
	if row.answer == nil {
		row.answer = says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
	if row.tweak == nil {
		row.tweak = func(*plan.Rule) {}
	}
	r.apply(simple(r.raw("b", row.answer), row.tweak))
	c := r.dial()
	go io.WriteString(c, row.send)
	began := time.Now()
	b := bufio.NewReader(c)
	res, err := http.ReadResponse(b, nil)
	if took := time.Since(began); took > max(row.within, time.Second) {
		t.Errorf("the answer took %v", took)
	}
	if row.status == 0 {
		if err == nil {
			t.Errorf("answer %v", res)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if took := time.Since(began); took > max(row.within, time.Second) {
		t.Errorf("the answer's body took %v", took)
	}
	if res.StatusCode != row.status || !strings.Contains(string(body), row.body) || (err != nil) != row.cut {
		t.Errorf("%d %q, %v", res.StatusCode, body, err)
	}
	if strings.Contains(string(body), "root") {
		t.Errorf("what the client said of itself passed: %q", body)
	}
	c.Close()
	synctest.Wait()
	code, reason, logged := strings.Cut(row.reason, ": ")
	if len(r.records) == 0 {
		if logged {
			t.Error("no record")
		}
		return
	}
	if got := r.record(); got.Code != code || !strings.Contains(got.Reason, reason) {
		t.Errorf("record %q %q, want %q %q", got.Code, got.Reason, code, reason)
	}
}

// TestBadInputPage keeps the page and the table one.
func TestBadInputPage(t *testing.T) {
	const file = "../docs/bad-input-plane.md"
	var want bytes.Buffer
	fmt.Fprint(&want, `# What bad input gets on the data plane

Made from the table in proxy/input_test.go, each row of which is a test; rewrite it with `+"`go test ./proxy -run Page -update`"+`.
The access log's line has the code and the reason; "within" is a second unless it says otherwise.
Answers to AI calls are JSON errors in the caller's dialect.

| input | status | body says | access log: code, reason | within |
| --- | --- | --- | --- | --- |
`)
	for _, row := range badInputs {
		status, within := fmt.Sprint(row.status), row.within.String()
		switch {
		case row.status == 0:
			status = "none, closed"
		case row.cut:
			status += ", then cut"
		}
		if row.within == 0 {
			within = "1s"
		}
		code, reason, _ := strings.Cut(row.reason, ": ")
		fmt.Fprintf(&want, "| %s | %s | %s | %s %s | %s |\n", row.input, status, literal(row.body), literal(code), reason, within)
	}
	want.WriteString(`
Configuration:

| input | what happens |
| --- | --- |
| a port that is in use | the old plan serves on; the error names gateway and port |
| an unreadable certificate | logged; its last good version stays in use, without one the handshakes of that listener fail |
| a backend whose CA or client certificate is missing | its own requests: 502, ` + "`no_connection`" + ` with the name of the secret |
| a backend without a ready endpoint | its own requests: 503, ` + "`no_endpoint`" + ` |
`)
	if *update {
		if err := os.WriteFile(file, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s differs from the table: %v", file, err)
	}
}

// literal is text as code, if there is any.
func literal(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}
