package engine

import (
	"net/http"
	"strings"
)

// requestID passes a client's id on when it is short and harmless, else makes
// one.
func requestID(h http.Header, next func() string) string {
	id := h.Get("X-Request-Id")
	if id == "" || len(id) > 128 || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
		return next()
	}
	return id
}

// traceparent continues a valid W3C trace with a new span, or starts one.
func traceparent(h http.Header, next func() string) string {
	span := next()[:16]
	if p := strings.Split(h.Get("Traceparent"), "-"); len(p) == 4 && p[0] == "00" && hexOf(p[1], 32) && hexOf(p[2], 16) && hexOf(p[3], 2) {
		return "00-" + p[1] + "-" + span + "-" + p[3]
	}
	return "00-" + next() + "-" + span + "-00"
}

// hexOf reports whether s is n lower-case hex digits, not all zero (W3C Trace
// Context 3.2.2), flags excepted.
func hexOf(s string, n int) bool {
	if len(s) != n || strings.Trim(s, "0123456789abcdef") != "" {
		return false
	}
	return n == 2 || strings.Trim(s, "0") != ""
}
