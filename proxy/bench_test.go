package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/egret-gateway/egret/plan"
)

const chatCall = `{"model":"m","messages":[{"role":"user","content":"hello"}]}`

// answering is a backend that costs next to nothing: it reads a request's head
// and body by length and writes a fixed answer.
func answering(answer string) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, b *bufio.Reader) {
		for {
			length := 0
			for {
				line, err := b.ReadSlice('\n')
				if err != nil {
					return
				}
				if len(line) <= 2 {
					break
				}
				if n, ok := strings.CutPrefix(string(line), "Content-Length: "); ok {
					for _, d := range strings.TrimSpace(n) {
						length = 10*length + int(d-'0')
					}
				}
			}
			b.Discard(length)
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	}
}

// caller writes the same request again and again on one connection.
func caller(b *testing.B, r *rig) (net.Conn, *bufio.Reader, []byte) {
	c := r.dial()
	return c, bufio.NewReader(c), []byte(call(chatCall))
}

func benchUnary(b *testing.B, r *rig, backend plan.Backend) {
	r.apply(simple(backend))
	c, in, request := caller(b, r)
	b.ReportAllocs()
	for b.Loop() {
		c.Write(request)
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != 200 {
			b.Fatal(res, err)
		}
		io.Copy(io.Discard, res.Body)
	}
}

const unaryAnswer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 70\r\n\r\n" +
	`{"id":"1","usage":{"prompt_tokens":5,"completion_tokens":7} ,"m":"m" }`

// BenchmarkUnary is a whole call over loopback, client and backend included.
func BenchmarkUnary(b *testing.B) {
	r := newRig(b, false)
	benchUnary(b, r, r.raw("b", answering(unaryAnswer)))
}

// BenchmarkUnaryInMemory is the same between gateways of one process.
func BenchmarkUnaryInMemory(b *testing.B) {
	r := newRig(b, true)
	benchUnary(b, r, r.raw("b", answering(unaryAnswer)))
}

// BenchmarkEvent is one event that travels alone: the backend sends the next
// one when the client has it.
func BenchmarkEvent(b *testing.B) {
	r := newRig(b, false)
	next := make(chan struct{})
	r.apply(simple(r.raw("b", func(c net.Conn, in *bufio.Reader) {
		readRequest(in)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
		for range next {
			io.WriteString(c, "30\r\n"+benchEvent+"\r\n")
		}
		io.WriteString(c, "0\r\n\r\n")
	})))
	c := r.dial()
	io.WriteString(c, call(`{"model":"m","stream":true,"stream_options":{"include_usage":true}}`))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		b.Fatal(err)
	}
	got := make([]byte, len(benchEvent))
	b.ReportAllocs()
	for b.Loop() {
		next <- struct{}{}
		if _, err := io.ReadFull(res.Body, got); err != nil {
			b.Fatal(err)
		}
	}
	close(next)
}

const benchEvent = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n"

// BenchmarkPipe is a piece that goes there and back in memory; net.Pipe is
// what it replaced.
func BenchmarkPipe(b *testing.B) {
	for _, kind := range []struct {
		name string
		open func() (net.Conn, net.Conn)
	}{{"own", func() (net.Conn, net.Conn) { return pipe("x") }}, {"net.Pipe", net.Pipe}} {
		b.Run(kind.name, func(b *testing.B) {
			here, there := kind.open()
			go func() {
				defer there.Close()
				io.CopyBuffer(struct{ io.Writer }{there}, struct{ io.Reader }{there}, make([]byte, 4096))
			}()
			defer here.Close()
			piece, got := make([]byte, 200), make([]byte, 200)
			b.ReportAllocs()
			for b.Loop() {
				here.Write(piece)
				if _, err := io.ReadFull(here, got); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
