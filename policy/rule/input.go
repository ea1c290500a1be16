package rule

import (
	"net/netip"
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
	Path     string // with query: /external/v1/chat/completions?x=1
	Protocol string // HTTP/1.1, HTTP/2
	// Header is keyed in Go's canonical form, as net/http has it. Expressions
	// see lower-case names, and several values of one name joined by commas.
	Header map[string][]string
	Size   int64 // of the body; -1 when unknown
	Time   time.Time

	bare bool // request.path is shown without the query
}

// memo keeps what is worked out once per request.
type memo struct {
	request, response body
}

// Bare returns the input as it reads when request.path comes without the query
// (request.query stays), nil when there is none. A condition about a path that
// switches a check off is asked both ways: a client that puts "?/v1/models"
// behind any path must not be the one who decides what it ends in.
func (in *Input) Bare() *Input {
	if !strings.Contains(in.Request.Path, "?") {
		return nil
	}
	out := &Input{
		Request: in.Request, Source: in.Source, Identity: in.Identity, Metadata: in.Metadata, Authorization: in.Authorization,
		Response: in.Response, RequestBody: in.RequestBody, ResponseBody: in.ResponseBody,
	}
	out.Request.bare = true
	return out
}

// shown returns the path as request.path has it.
func (r *Request) shown() string {
	if r.bare {
		return r.path()
	}
	return r.Path
}

// path returns the path without its query.
func (r *Request) path() string {
	p, _, _ := strings.Cut(r.Path, "?")
	return p
}

// query returns what follows the question mark.
func (r *Request) query() string {
	_, q, _ := strings.Cut(r.Path, "?")
	return q
}
