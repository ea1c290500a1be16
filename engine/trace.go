package engine

import (
	"net/http"
	"strings"
)

// trace is the request id and the traceparent to send. What the client sent is
// passed on when it is sound: its id, and its trace with a span of our own.
// Otherwise both are made, and an id that was made names the trace too.
func trace(h http.Header, next func() string) (id, parent string) {
	id, made := h.Get("X-Request-Id"), false
	if !soundID(id) {
		id, made = next(), true
	}
	span := next()[:16]
	if trace, flags, ok := incoming(h["Traceparent"]); ok {
		return id, "00-" + trace + "-" + span + "-" + flags
	}
	fresh := id
	if !made {
		fresh = next()
	}
	return id, "00-" + fresh + "-" + span + "-00"
}

// soundID reports whether a client's request id is short and harmless in logs.
func soundID(id string) bool {
	return id != "" && len(id) <= 128 &&
		!strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
}

// incoming takes a client's traceparent apart (W3C Trace Context 3.2 and 4.3:
// later versions are read as far as they are known).
func incoming(values []string) (trace, flags string, ok bool) {
	if len(values) != 1 {
		return "", "", false
	}
	p := strings.SplitN(values[0], "-", 5)
	if len(p) < 4 || !hexOf(p[0], 2) || p[0] == "ff" || p[0] == "00" && len(p) > 4 {
		return "", "", false
	}
	return p[1], p[3], hexOf(p[1], 32) && hexOf(p[2], 16) && hexOf(p[3], 2)
}

// hexOf reports whether s is n lower-case hex digits; ids must not be all zero
// (W3C Trace Context 3.2.2).
func hexOf(s string, n int) bool {
	if len(s) != n || strings.Trim(s, "0123456789abcdef") != "" {
		return false
	}
	return n == 2 || strings.Trim(s, "0") != ""
}
