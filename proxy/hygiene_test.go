package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestFraming: what a client writes is taken apart and written anew.
func TestFraming(t *testing.T) {
	f := func(name, request string, wantStatus int, wantLine string, want ...string) {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, false)
			seen := make(chan string, 9)
			r.apply(simple(r.raw("b", func(c net.Conn, b *bufio.Reader) {
				for {
					var head strings.Builder
					req, err := http.ReadRequest(bufio.NewReader(io.TeeReader(b, &head)))
					if err != nil {
						return
					}
					io.Copy(io.Discard, req.Body)
					seen <- head.String()
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				}
			})))
			c := r.dial()
			io.WriteString(c, request)
			b := bufio.NewReader(c)
			res, err := http.ReadResponse(b, nil)
			if err != nil || res.StatusCode != wantStatus {
				t.Fatalf("%v, %v; want %d", res, err, wantStatus)
			}
			if wantStatus != 200 {
				if len(seen) > 0 {
					t.Errorf("the backend saw %q", <-seen)
				}
				return
			}
			got := strings.Split(<-seen, "\r\n")
			if got[0] != wantLine {
				t.Errorf("request line %q, want %q", got[0], wantLine)
			}
			for _, line := range want {
				no, absent := strings.CutPrefix(line, "!")
				if has := slices.ContainsFunc(got, func(s string) bool {
					return strings.HasPrefix(strings.ToLower(s), strings.ToLower(no))
				}); has == absent {
					t.Errorf("%q in %q", line, got)
				}
			}
		})
	}
	const get = "GET / HTTP/1.1"
	f("an absolute target names host and path", "GET http://other.example.com/a?b=c HTTP/1.1\r\nHost: x\r\n\r\n", 200, "GET /a?b=c HTTP/1.1", "Host: other.example.com", "!Host: x")
	f("fields that Connection names stay here", "GET / HTTP/1.1\r\nHost: x\r\nConnection: X-Secret, keep-alive\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nProxy-Authorization: p\r\nTE: trailers, gzip\r\nX-Kept: 1\r\n\r\n",
		200, get, "!X-Secret", "!Keep-Alive", "!Proxy-Authorization", "!Connection", "TE: trailers", "X-Kept: 1")
	f("nothing of ours is added", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 200, get, "!User-Agent", "!Accept-Encoding", "!Content-Length", "X-Request-Id:", "Traceparent:")
	f("client-sent X-MaaS fields are dropped", "GET / HTTP/1.1\r\nHost: x\r\nX-MaaS-Username: root\r\nx-maas-group: [\"a\"]\r\n\r\n", 200, get, "!X-Maas")
	f("chunks are chunked anew", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;ext=1\r\nab\r\n1\r\nc\r\n0\r\n\r\n", 200, "POST / HTTP/1.1", "Transfer-Encoding: chunked", "!Content-Length", "!2;ext")
	f("chunked with a length: the length is dropped", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", 200, "POST / HTTP/1.1", "Transfer-Encoding: chunked", "!Content-Length")
	f("Content-Length twice", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", 400, "")
	f("an unknown transfer encoding", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, "")
	f("a broken chunk", "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "")
	f("no Host", "GET / HTTP/1.1\r\n\r\n", 400, "")
	f("two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "")
	f("a space before the colon", "GET / HTTP/1.1\r\nHost: x\r\nX-A : 1\r\n\r\n", 400, "")
	f("CONNECT", "CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n", 405, "")
	f("OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404, "")
	f("HTTP/1.0", "GET /old HTTP/1.0\r\n\r\n", 200, "GET /old HTTP/1.1")
	f("an unknown expectation", "POST / HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\nContent-Length: 1\r\n\r\na", 417, "")
	f("dot segments", "GET /a/%2e%2e/b HTTP/1.1\r\nHost: x\r\n\r\n", 400, "")
}

// TestAnswers: heads and bodies of answers that are special in HTTP.
func TestAnswers(t *testing.T) {
	f := func(name, request, answer, want string) {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, false)
			r.apply(simple(r.raw("b", func(c net.Conn, b *bufio.Reader) {
				readRequest(b)
				io.WriteString(c, answer)
			})))
			c := r.dial()
			io.WriteString(c, request)
			got, err := io.ReadAll(c)
			if err != nil {
				t.Fatal(err)
			}
			head, body, _ := strings.Cut(string(got), "\r\n\r\n")
			lines := strings.Split(head, "\r\n")
			lines = slices.DeleteFunc(lines, func(s string) bool { return strings.HasPrefix(s, "Date:") || strings.HasPrefix(s, "X-Request-Id:") })
			if got := strings.Join(lines, "|") + "||" + body; got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
	const get, head = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	f("HEAD keeps the length", head, "HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n", "HTTP/1.1 200 OK|Content-Length: 42|Connection: close||")
	f("204", get, "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content|Connection: close||")
	f("304", get, "HTTP/1.1 304 Not Modified\r\nEtag: \"1\"\r\n\r\n", "HTTP/1.1 304 Not Modified|Etag: \"1\"|Connection: close||")
	f("an empty body", get, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK|Content-Length: 0|Connection: close||")
	f("no type is no type", get, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", "HTTP/1.1 200 OK|Content-Length: 6|Connection: close||<html>")
	f("more than its length", get, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK", "HTTP/1.1 200 OK|Content-Length: 2|Connection: close||ok")
	f("103 and 100 end here", get, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK|Content-Length: 2|Connection: close||ok")
	f("hop-by-hop fields end here", get, "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK|Content-Length: 2|Connection: close||ok")
	f("HTTP/1.0 gets no chunks", "GET / HTTP/1.0\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "HTTP/1.0 200 OK|Content-Length: 2||ok")
	f("chunks and trailers", get, "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n",
		"HTTP/1.1 200 OK|Trailer: X-Sum|Connection: close|Transfer-Encoding: chunked||2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n")
}
