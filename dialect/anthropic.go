package dialect

import "net/http"

// anthropicUsage adds up Anthropic's counts, in which input_tokens are only those that no cache had to do with. Without
// output_tokens they are no usage yet.
func anthropicUsage(c counts) (Usage, bool) {
	if c.output == absent {
		return Usage{}, false
	}
	u := Usage{Output: c.output, Cached: max(c.cached, 0), CacheWrite: max(c.cacheWrite, 0), Exact: true}
	u.Input = max(c.input, 0) + u.Cached + u.CacheWrite
	u.Total = u.Input + u.Output
	return u, true
}

// merge adds what a later event of a stream says. Each count is cumulative and some servers send 0 for what they said before,
// so the largest holds.
func (c *counts) merge(later counts) {
	c.input = max(c.input, later.input)
	c.output = max(c.output, later.output)
	c.cached = max(c.cached, later.cached)
	c.cacheWrite = max(c.cacheWrite, later.cacheWrite)
}

// anthropicEnd reports whether an event of this type is the last of a stream.
func anthropicEnd(kind string) bool { return kind == "message_stop" || kind == "error" }

// anthropicError is {"type":"error","error":{…}}. It has no field for a code; the type is what clients look at.
func anthropicError(dst []byte, kind, message string) []byte {
	dst = append(dst, `{"type":"error","error":{"type":"`...)
	dst = append(dst, kind...)
	dst = append(dst, `","message":`...)
	dst = quote(dst, message)
	return append(dst, "}}"...)
}

func anthropicErrorType(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusPaymentRequired:
		return "billing_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case http.StatusGatewayTimeout:
		return "timeout_error"
	case http.StatusServiceUnavailable, 529:
		return "overloaded_error"
	}
	if status >= 500 {
		return "api_error"
	}
	return "invalid_request_error"
}
