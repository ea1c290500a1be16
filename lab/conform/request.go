package conform

import (
	"fmt"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// Request is what a client sends.
type Request struct {
	Gateway string
	Port    int32
	Method  string
	Target  string
	Host    string
	Header  http.Header
	Body    []byte
}

// request makes the step's request.
func (s *Step) request() *Request {
	method, target, _ := strings.Cut(s.Send, " ")
	r := &Request{
		Gateway: or(s.Gateway, "default/gw"), Port: or(s.Port, 80), Host: or(s.Host, "gw.example.com"),
		Method: method, Target: target, Header: fields(s.With), Body: []byte(s.Body),
	}
	if s.Chat != "" {
		r.Body = fmt.Appendf(nil, `{"model":%q,"messages":[{"role":"user","content":"Hello"}]}`, s.Chat)
		r.Header.Set("Content-Type", "application/json")
	}
	for i := range s.Fields {
		r.Header.Add("X-Many", strconv.Itoa(i))
	}
	if len(r.Body) > 0 {
		r.Header.Set("Content-Length", strconv.Itoa(len(r.Body)))
	}
	return r
}

// fields reads lines "Name: value".
func fields(lines []string) http.Header {
	h := http.Header{}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ":")
		name = textproto.CanonicalMIMEHeaderKey(name)
		h[name] = append(h[name], strings.TrimSpace(value))
	}
	return h
}

func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}
