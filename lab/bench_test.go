package lab

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"testing"

	"github.com/egret-gateway/egret/policy/ident/local"
	"github.com/egret-gateway/egret/provider"
	"github.com/egret-gateway/egret/source/file"
	"github.com/egret-gateway/egret/standalone"
)

// The call of all measurements, its answer, and one event of a stream.
const (
	question = `{"model":"m","messages":[{"role":"user","content":"How much is the fish?"}]}`
	streamed = `{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Hello"}]}`
	answer   = `{"id":"chatcmpl-1","object":"chat.completion","model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hello there"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}`
	event    = `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}` + "\n\n"
)

// serve runs the gateway of testdata/path.yaml in this process, with ledger and
// metrics and without an access log, in front of upstream, and returns its
// address and a token.
func serve(b *testing.B, upstream string) (address, token string) {
	b.Helper()
	users := filepath.Join(b.TempDir(), "users.yaml")
	token, err := local.Enroll(users, "ann", nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	names := &provider.Mapping{}
	names.Set("provider.example.com", 8000, upstream)
	ctx, stop := context.WithCancel(b.Context())
	s, err := standalone.New(ctx, standalone.Options{
		Files: file.Options{Paths: []string{"testdata/path.yaml"}}, Users: users, Data: b.TempDir(), Resolve: names,
		Listen: map[string]standalone.Address{"default/path/http": {At: "127.0.0.1:0"}}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	started, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- s.Run(ctx, func(s *standalone.System) { started <- s.Bound()[0].Address.String() })
	}()
	b.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	select {
	case address = <-started:
		return address, token
	case err := <-ended:
		b.Fatal(err)
		return "", ""
	}
}

// listen serves each connection with the function; nothing is allocated for a
// request, so that what is measured is the gateway.
func listen(b *testing.B, serve func(c net.Conn)) (address string) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return l.Addr().String()
}

// expect reads until the text ends what has come.
func expect(c net.Conn, buf, end []byte) error {
	for n := 0; ; {
		if n == len(buf) {
			return fmt.Errorf("too long: %q", buf)
		}
		m, err := c.Read(buf[n:])
		if err != nil {
			return fmt.Errorf("%w after %q", err, buf[:n])
		}
		if n += m; bytes.HasSuffix(buf[:n], end) {
			return nil
		}
	}
}

func dial(b *testing.B, address string) net.Conn {
	b.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return c
}

func request(token, body string) []byte {
	return fmt.Appendf(nil, "POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nUser-Agent: lab\r\nAccept: */*\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", token, len(body), body)
}

// BenchmarkPathUnary is one call from socket to socket: the token known, two
// predicates, a limit, the model read, the usage charged, the record in metrics
// and ledger.
func BenchmarkPathUnary(b *testing.B) {
	reply := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
	address, token := serve(b, listen(b, func(c net.Conn) {
		buf := make([]byte, 16<<10)
		for expect(c, buf, []byte("}]}")) == nil {
			c.Write(reply)
		}
	}))
	c, call, buf, end := dial(b, address), request(token, question), make([]byte, 16<<10), []byte(answer)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(call); err != nil {
			b.Fatal(err)
		}
		if err := expect(c, buf, end); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPathEvent is one event of a stream from socket to socket.
func BenchmarkPathEvent(b *testing.B) {
	next := make(chan struct{})
	address, token := serve(b, listen(b, func(c net.Conn) {
		if expect(c, make([]byte, 16<<10), []byte("}]}")) != nil {
			return
		}
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
		chunk := fmt.Appendf(nil, "%x\r\n%s\r\n", len(event), event)
		for range next {
			c.Write(chunk)
		}
		fmt.Fprint(c, "0\r\n\r\n")
	}))
	c, buf := dial(b, address), make([]byte, 16<<10)
	if _, err := c.Write(request(token, streamed)); err != nil {
		b.Fatal(err)
	}
	if err := expect(c, buf, []byte("\r\n\r\n")); err != nil { // the head comes before the first event
		b.Fatal(err)
	}
	end := []byte(event + "\r\n")
	b.ReportAllocs()
	for b.Loop() {
		next <- struct{}{}
		if err := expect(c, buf, end); err != nil {
			b.Fatal(err)
		}
	}
	close(next)
	expect(c, buf, []byte("0\r\n\r\n"))
}
