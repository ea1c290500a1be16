package engine

import (
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/egret-gateway/egret/plan"
)

// hopByHop are the fields that concern one connection only (RFC 9110 7.6.1).
var hopByHop = []string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// framing are the fields that whoever writes the request makes itself, out of
// the body and the host that are really sent.
var framing = []string{"Host", "Content-Length", "Transfer-Encoding"}

// fieldName is the name by which a field is known here: canonical, and with
// "_" read as "-", as servers do that turn fields into variables (CGI, WSGI).
// Without that a client could say X_MaaS_Username to those.
func fieldName(name string) string {
	if strings.IndexByte(name, '_') >= 0 {
		name = strings.ReplaceAll(name, "_", "-")
	}
	return textproto.CanonicalMIMEHeaderKey(name)
}

// steering begins the names of the fields by which an Envoy is told how long to
// wait, how often to try and what to call a request. They are nobody's to send:
// not a client's, and not a route's, whose Envoy may be this gateway's own. The
// one that is sent on (X-Envoy-Expected-Rq-Timeout-Ms) is made here.
const steering = "X-Envoy-"

// forwardedProto tells how a client reached the first proxy. The Envoy plane
// writes its own over what a client says, so that nobody can know that.
const forwardedProto = "X-Forwarded-Proto"

// distrust takes the trusted names (plan.Trusted) out of what the client sent,
// and those that steer.
func (x *Exchange) distrust() {
	for name := range x.header {
		if plan.Trusted(name) || strings.HasPrefix(name, steering) || name == forwardedProto {
			x.drop(name)
		}
	}
}

// withhold takes the trusted names out of what is sent to a backend that is not
// one of the platform's Services. Whoever may write a route can name the
// MaaS API's address in a destination and set headers; believed there, they
// would make them anybody. To providers they would give users away.
func withhold(h http.Header) {
	for name := range h {
		if plan.Trusted(name) {
			delete(h, name)
		}
	}
}

// claim takes the names that the policy sets out of what the client sent. A
// field that may hold a credential stays for the policy to read, and goes when
// the request is sent on.
func (x *Exchange) claim(p *policy) {
	if len(p.claimed) == 0 {
		return
	}
	for name := range x.header {
		if f := fieldName(name); p.claimed[f] && !(p.bearing[f] && f == name) {
			x.drop(name)
		}
	}
}

// drop takes a field out of the request; the body's own header stays as it is.
func (x *Exchange) drop(name string) {
	x.ownHeader()
	delete(x.header, name)
}

// ownHeader makes x.header a copy that may be changed.
func (x *Exchange) ownHeader() {
	if !x.owned {
		x.header, x.owned = x.header.Clone(), true
	}
}

// upstreamHeader builds the request header for one try, and the Host to send.
// The order is: what the client sent, less what must not travel; the policy's
// success headers; the rule's edits; the backend reference's edits.
func (x *Exchange) upstreamHeader(t *target, timeout time.Duration) (http.Header, string) {
	h := x.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	socket, trailers := wantsSocket(h), lists(h["Te"], "trailers")
	dropHopByHop(h)
	if trailers {
		h.Set("Te", "trailers") // said anew on this hop; gRPC servers insist on it
	}
	if socket {
		h.Set("Connection", "Upgrade")
		h.Set("Upgrade", "websocket")
	}
	delete(h, "Expect")
	if x.auth.Consumed != nil && !t.backend.KeepCredential {
		dropCredential(h, x.auth.Consumed)
	}
	if x.reads() {
		h.Set("Accept-Encoding", "identity") // usage cannot be read out of a compressed answer
	}
	if p := x.entry.policy; p != nil {
		for name := range p.claimed {
			delete(h, name) // also when the rule's value could not be computed
		}
	}
	x.tell(h, t)
	for _, f := range x.auth.Headers {
		h.Set(f.Name, f.Value)
	}
	host := x.head.Host
	if t.backend.Authority != "" {
		host = t.backend.Authority
	}
	for _, e := range []*plan.Edits{&x.entry.rule.Request, &t.plan.Request} {
		if v := edit(h, e); v != "" {
			host = v
		}
	}
	x.bare(h)
	if rw := x.entry.rule.Rewrite; rw != nil && rw.Host != "" {
		host = rw.Host
	}
	if t.bound() {
		host = t.backend.Authority
	}
	if !t.backend.Platform {
		withhold(h)
	}
	if (t.backend.Platform || t.backend.Fronts != "") && x.engine.deps.Proof != nil {
		if proof := x.engine.deps.Proof(t.backend); proof != "" {
			h.Set(plan.ProofHeader, proof)
		}
	}
	x.tag(h, t.backend)
	for _, name := range framing {
		delete(h, name)
	}
	if _, _, ok := incoming(h["Traceparent"]); !ok {
		delete(h, "Tracestate") // belongs to a trace that ends here (W3C Trace Context 3.3)
	}
	h.Set("X-Request-Id", x.Record.ID)
	h.Set("Traceparent", x.Record.Trace)
	for name := range h {
		if strings.HasPrefix(name, steering) {
			delete(h, name)
		}
	}
	if timeout > 0 {
		h.Set(steering+"Expected-Rq-Timeout-Ms", strconv.FormatInt(timeout.Milliseconds(), 10))
	}
	return h, host
}

// reads reports whether the engine will want to read the answer.
func (x *Exchange) reads() bool { return x.ai || x.metered() }

// wantsSocket reports whether a request asks to become a WebSocket, the only
// protocol that may be switched to: behind a switch to HTTP/2 in the clear, say,
// a client would speak to the backend past every policy.
func wantsSocket(h http.Header) bool {
	if len(h["Upgrade"]) != 1 || !strings.EqualFold(h["Upgrade"][0], "websocket") {
		return false
	}
	return lists(h["Connection"], "upgrade")
}

// lists reports whether a list of tokens has one, whatever its case.
func lists(values []string, token string) bool {
	for _, v := range values {
		for tok := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(textproto.TrimString(tok), token) {
				return true
			}
		}
	}
	return false
}

// dropHopByHop removes the connection's own fields and those it names.
func dropHopByHop(h http.Header) {
	for _, v := range h["Connection"] {
		for tok := range strings.SplitSeq(v, ",") {
			if tok = textproto.TrimString(tok); tok != "" {
				h.Del(tok)
			}
		}
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
}

// edit applies e and returns the value of a Host that it sets, which is not a
// header field but the request's authority (acceptance gateway 74).
func edit(h http.Header, e *plan.Edits) (host string) {
	for _, n := range e.Remove {
		h.Del(n)
	}
	for _, f := range e.Set {
		if strings.EqualFold(f.Name, "host") {
			host = f.Value
			continue
		}
		h.Set(f.Name, f.Value)
	}
	for _, f := range e.Add {
		h.Add(f.Name, f.Value)
	}
	return host
}

// dropCredential removes the credential that this hop consumed. One in the
// query is removed by upstreamPath.
func dropCredential(h http.Header, c *plan.Credential) {
	switch c.In {
	case plan.InHeader:
		h.Del(c.Name)
	case plan.InCookie:
		dropCookie(h, c.Name)
	case plan.InQuery:
	default:
		delete(h, "Authorization")
	}
}

func dropCookie(h http.Header, name string) {
	var kept []string
	for _, line := range h["Cookie"] {
		for part := range strings.SplitSeq(line, ";") {
			part = strings.TrimSpace(part)
			if k, _, _ := strings.Cut(part, "="); part != "" && k != name {
				kept = append(kept, part)
			}
		}
	}
	h.Del("Cookie")
	if len(kept) > 0 {
		h.Set("Cookie", strings.Join(kept, "; "))
	}
}

// upstreamPath is the path and query to send.
func (x *Exchange) upstreamPath() string {
	path, query := x.path, x.query
	if rw := x.entry.rule.Rewrite; rw != nil && rw.Path != nil {
		path = rewritePath(path, rw.Path)
	} else if to := x.target.backend.Path; to != "" {
		path = to
	}
	if c := x.auth.Consumed; c != nil && c.In == plan.InQuery && !x.target.backend.KeepCredential {
		query = keepParameters(query, func(name string) bool { return name != c.Name })
	}
	if query = x.bareQuery(query); query == "" {
		return path
	}
	return path + "?" + query
}

// rewritePath replaces the whole path or the matched prefix, without ever
// making a double slash (acceptance gateway 69, 70).
func rewritePath(path string, p *plan.PathRewrite) string {
	if p.Full {
		return rooted(p.Value)
	}
	rest := strings.TrimPrefix(path, strings.TrimRight(p.Prefix, "/"))
	value := strings.TrimRight(p.Value, "/")
	if rest == "" || rest[0] != '/' {
		rest = "/" + rest
	}
	if rest == "/" && value != "" && !strings.HasSuffix(path, "/") {
		return rooted(value)
	}
	return rooted(value + rest)
}

// rooted makes a path that a user wrote begin with a slash.
func rooted(path string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	return "/" + path
}

// clientHeader builds the header of the answer.
func (x *Exchange) clientHeader(r ResponseHead) http.Header {
	h := r.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	if r.Status != http.StatusSwitchingProtocols {
		dropHopByHop(h)
	}
	x.conceal(h)
	edit(h, &x.entry.rule.Response)
	if x.target != nil {
		edit(h, &x.target.plan.Response)
	}
	h.Set("X-Request-Id", x.Record.ID)
	setLimitHeaders(h, x.states)
	return h
}
