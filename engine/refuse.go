package engine

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/egret-gateway/egret/dialect"
	"github.com/egret-gateway/egret/plan"
)

// plain is a refusal in plain text that tells the caller no more than the
// status; the reason is for the operator.
func plain(status int, code, reason string) *Refusal {
	return &Refusal{
		Status: status, Code: code, Reason: reason,
		Header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}},
		Body:   []byte(http.StatusText(status) + "\n"),
	}
}

// shape is a refusal in the dialect that the request's path speaks, or in
// plain text. message is sent to the caller.
func (x *Exchange) shape(status int, code, message string) *Refusal {
	if x.spoken == dialect.None {
		r := plain(status, code, message)
		r.Body = []byte(message + "\n")
		return r
	}
	contentType, body := dialect.Error(x.spoken, status, code, message)
	return &Refusal{Status: status, Code: code, Reason: message, Body: body, Header: http.Header{"Content-Type": {contentType}}}
}

// Failure is why an upstream call came to nothing.
type Failure string

// Failures of an upstream call and the statuses they become.
const (
	NoEndpoint Failure = "no_endpoint"      // 503: nothing ready behind the backend
	NoConnect  Failure = "no_connection"    // 502: refused, unreachable, name unknown, TLS not verified
	NoAnswer   Failure = "no_answer"        // 502: closed before an answer, or not HTTP
	NoTime     Failure = "upstream_timeout" // 504
)

// Fail turns a failed upstream call into the answer for the client. detail is
// for the log; it never reaches the client. Whatever came of another answer
// does not reach the client either, and is not charged.
func (x *Exchange) Fail(f Failure, detail string) *Refusal {
	x.reply = nil
	status, message := http.StatusBadGateway, "the model backend could not be reached"
	switch f {
	case NoEndpoint:
		status, message = http.StatusServiceUnavailable, "the model backend has no ready endpoint"
	case NoAnswer:
		message = "the model backend closed the connection without a valid answer"
	case NoTime:
		status, message = http.StatusGatewayTimeout, "the model backend did not answer in time"
	}
	x.unreached(f, detail)
	r := x.shape(status, string(f), message)
	r.Reason = detail
	x.refuse(r)
	return r
}

// checkHead refuses what no route should see.
func checkHead(h *Head, path string) *Refusal {
	fields := 0
	for _, v := range h.Header {
		fields += len(v)
	}
	if fields > MaxHeaders && !h.Inner { // the hop before has counted, and added its own
		return plain(http.StatusRequestHeaderFieldsTooLarge, "too_many_headers",
			"the request has "+strconv.Itoa(fields)+" header fields; at most "+strconv.Itoa(MaxHeaders)+" are taken")
	}
	if !strings.HasPrefix(path, "/") && !(h.Path == "*" && h.Method == http.MethodOptions) { // RFC 9112 3.2.4
		return plain(http.StatusBadRequest, "bad_path", "the path does not begin with a slash")
	}
	if strings.IndexByte(path, '#') >= 0 {
		return plain(http.StatusBadRequest, "bad_path", "the path holds a fragment, which some servers cut off")
	}
	if dotted(path) {
		return plain(http.StatusBadRequest, "bad_path", "the path has dot segments, which servers read differently")
	}
	if disguised(path) {
		return plain(http.StatusBadRequest, "bad_path", "the path has an escape for a letter or digit, which servers decode")
	}
	return nil
}

// disguised reports whether a path has an escape for an ASCII letter or digit.
// No client writes that (RFC 3986 2.3), but "/%61dmin" would be served by the
// route of "/" and mean "/admin" to the server behind.
func disguised(path string) bool {
	for rest := path; ; {
		at := strings.IndexByte(rest, '%')
		if at < 0 || len(rest) < at+3 {
			return false
		}
		n, err := strconv.ParseUint(rest[at+1:at+3], 16, 8)
		if c := byte(n); err == nil && ('0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z') {
			return true
		}
		rest = rest[at+1:]
	}
}

// dotted reports whether a path has "." or ".." segments, plain or escaped, or
// a backslash that some servers take for a slash. Such a path could match one
// route here and mean another behind it.
func dotted(path string) bool {
	if !strings.ContainsAny(path, ".%\\") {
		return false
	}
	p := strings.ToLower(path)
	if strings.Contains(p, "\\") || strings.Contains(p, "%5c") || strings.Contains(p, "%00") {
		return true
	}
	p = strings.ReplaceAll(strings.ReplaceAll(p, "%2e", "."), "%2f", "/")
	for seg := range strings.SplitSeq(p, "/") {
		if seg, _, _ = strings.Cut(seg, ";"); seg == "." || seg == ".." {
			return true
		}
	}
	return false
}

// redirect answers a RequestRedirect filter (Gateway API
// HTTPRequestRedirectFilter: ports default by scheme, else the listener's, and
// a scheme's own port is not written).
func redirect(r *plan.Redirect, h *Head, path, query string) *Refusal {
	scheme, host, port := h.Scheme, hostname(h.Host), r.Port
	if r.Scheme != "" {
		scheme = r.Scheme
	}
	if r.Host != "" {
		host = r.Host
	}
	if port == 0 && r.Scheme == "" {
		port = h.Port
	}
	if r.Path != nil {
		path = rewritePath(path, r.Path)
	}
	location := scheme + "://" + host
	if strings.Contains(host, ":") {
		location = scheme + "://[" + host + "]"
	}
	if port != 0 && !(scheme == "http" && port == 80) && !(scheme == "https" && port == 443) {
		location += ":" + strconv.Itoa(int(port))
	}
	location += path
	if query != "" {
		location += "?" + query
	}
	return &Refusal{Status: r.Status, Code: "redirect", Header: http.Header{"Location": {location}}}
}
