package rule

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Input is what an expression, selector or template sees: the variables of
// Kuadrant's well-known attributes and of Authorino's authorization JSON. One
// Input lives as long as one request; later phases fill in more of it. Several
// evaluations may read it at once, but none while it is being filled.
//
// Values under Identity, Metadata, Authorization and Response are plain: nil,
// string, bool, int64, float64, []any, map[string]any and what else
// encoding/json makes or takes.
type Input struct {
	Request Request
	Source  netip.AddrPort // the trusted client address

	// Identity is auth.identity: the identity object while the AuthPolicy
	// runs, and what filter "identity" exported afterwards (limits see only
	// that). nil until known.
	Identity any
	// Metadata, Authorization and Response are auth.metadata.*,
	// auth.authorization.* and auth.response.*; AuthPolicy only.
	Metadata      map[string]any
	Authorization map[string]any
	Response      map[string]any

	RequestBody  []byte // for requestBodyJSON; nil while unread
	ResponseBody []byte // for responseBodyJSON; nil before the report phase

	memo memo
}

// Request is the request as it arrived, before any rewrite.
type Request struct {
	ID       string
	Method   string
	Scheme   string // http or https
	Host     string
	Named    bool   // the route or its listener names that host; otherwise the client has chosen it freely
	Path     string // with query: /external/v1/chat/completions?x=1
	Protocol string // HTTP/1.1, HTTP/2
	// Header is keyed in Go's canonical form, as net/http has it. Expressions
	// see lower-case names, and several values of one name joined by commas.
	Header map[string][]string
	Size   int64 // of the body; -1 when unknown
	Time   time.Time

	asked *string // request.query of a bare input, whose path has none
}

// memo keeps what is worked out once per request.
type memo struct {
	request, response body
}

// Bare returns the input as a server may read it: request.path without its
// query, decoded, without doubled slashes and parameters of segments;
// request.host in lower case, without its port and a last dot. It is nil when
// that changes nothing. request.query stays.
//
// A condition that switches a check off is asked both ways, because routes are
// matched regardless of those spellings: a client that writes "?/v1/models"
// behind a path, "%61" for "a" or a port behind a host must not decide whether
// it is checked.
func (in *Input) Bare() *Input {
	path, host := barePath(in.Request.path()), bareHost(in.Request.Host)
	if path == in.Request.Path && host == in.Request.Host {
		return nil
	}
	out := &Input{
		Request: in.Request, Source: in.Source, Identity: in.Identity, Metadata: in.Metadata, Authorization: in.Authorization,
		Response: in.Response, RequestBody: in.RequestBody, ResponseBody: in.ResponseBody,
	}
	out.Request.Path, out.Request.Host = path, host
	if query := in.Request.query(); query != "" {
		out.Request.asked = &query
	}
	return out
}

func barePath(path string) string {
	if !strings.ContainsAny(path, "%;") && !strings.Contains(path, "//") {
		return path
	}
	if plain, err := url.PathUnescape(path); err == nil {
		path = plain
	}
	var b strings.Builder
	for segment := range strings.SplitSeq(path, "/") {
		if segment, _, _ = strings.Cut(segment, ";"); segment != "" {
			b.WriteByte('/')
			b.WriteString(segment)
		}
	}
	if strings.HasSuffix(path, "/") || b.Len() == 0 {
		b.WriteByte('/')
	}
	return b.String()
}

func bareHost(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// path returns the path without its query.
func (r *Request) path() string {
	p, _, _ := strings.Cut(r.Path, "?")
	return p
}

// query returns what follows the question mark.
func (r *Request) query() string {
	if r.asked != nil {
		return *r.asked
	}
	_, q, _ := strings.Cut(r.Path, "?")
	return q
}
