package conform

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/egret-gateway/egret/lab/envoybin"
)

// TestEmptyBodies: a request of which the body is asked for must not pass
// undecided when it has none, however it says so. Each of these must be
// refused as a call that is no JSON.
func TestEmptyBodies(t *testing.T) {
	for _, version := range envoybin.Versions {
		t.Run("envoy "+version, func(t *testing.T) {
			_, b := wire(t, version, func(_ http.ResponseWriter, r *http.Request) {
				t.Errorf("a request passed: %s %s, host %s", r.Method, r.RequestURI, r.Host)
			})
			one := func(rest string) {
				t.Helper()
				c, r := b.dial(t)
				io.WriteString(c, "POST /v1/chat/completions HTTP/1.1\r\nHost: gw.example.com\r\n"+rest)
				res, err := http.ReadResponse(r, nil)
				if err != nil || res.StatusCode != http.StatusBadRequest {
					t.Errorf("%q: %+v, error %v", rest, res, err)
				}
			}
			one("\r\n")
			one("Content-Length: 0\r\n\r\n")
			one("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
			one("Transfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n0\r\nX-T: 1\r\n\r\n")
			one("Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			two := func(title string, frames func(f *http2.Framer) error) {
				t.Helper()
				if got, err := b.http2(t, frames); err != nil || got != "400" {
					t.Errorf("%s: status %q, error %v", title, got, err)
				}
			}
			two("a head that ends", func(f *http2.Framer) error { return begin(f, true) })
			two("a body of no bytes", func(f *http2.Framer) error {
				begin(f, false)
				return f.WriteData(1, true, nil)
			})
			two("trailers alone", func(f *http2.Framer) error {
				begin(f, false)
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block("x-t", "1"), EndHeaders: true, EndStream: true})
			})
		})
	}
}

// http2 sends the frames of one request and returns the status of its answer.
func (b *pair) http2(t *testing.T, frames func(f *http2.Framer) error) (string, error) {
	c, r := b.dial(t)
	io.WriteString(c, http2.ClientPreface)
	f := http2.NewFramer(c, r)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.WriteSettings()
	if err := frames(f); err != nil {
		return "", err
	}
	for {
		m, err := f.ReadFrame()
		if err != nil {
			return "", fmt.Errorf("read an answer: %w", err)
		}
		if h, ok := m.(*http2.MetaHeadersFrame); ok {
			return h.PseudoValue("status"), nil
		}
	}
}

// begin sends the head of a call.
func begin(f *http2.Framer, end bool) error {
	head := block(":method", "POST", ":scheme", "http", ":path", "/v1/chat/completions", ":authority", "gw.example.com")
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head, EndHeaders: true, EndStream: end})
}

// block writes names and values.
func block(fields ...string) []byte {
	var out bytes.Buffer
	e := hpack.NewEncoder(&out)
	for i := 0; i < len(fields); i += 2 {
		e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return out.Bytes()
}
