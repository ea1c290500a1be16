package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// Plan is one complete configuration of a data plane.
type Plan struct {
	Ports    []Port    `json:"ports"`              // sorted by Gateway, then Number
	Rules    []Rule    `json:"rules,omitempty"`    // sorted by Name
	Policies []Policy  `json:"policies,omitempty"` // sorted by Name
	Backends []Backend `json:"backends,omitempty"` // sorted by Name
	Secrets  []Secret  `json:"secrets,omitempty"`  // sorted by Name
}

// Hash is the plan's revision: 16 hex digits over its printed form. Equal
// hashes mean equal behaviour, since secrets are in it by digest.
func (p *Plan) Hash() string { return Digest(p) }

// Digest names a value by its content: the first 16 hex digits of SHA-256 over
// its JSON. The types of this package have a fixed field order and no maps.
func Digest(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: plan holds a value that JSON cannot express: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// Port is one address a gateway listens on: what is bound. Several listeners
// may share it, told apart by host name (and by SNI before that).
type Port struct {
	Gateway   string     `json:"gateway"` // namespace/name
	Number    int32      `json:"number"`  // 1-65535, as in the Gateway
	TLS       bool       `json:"tls,omitempty"`
	Listeners []Listener `json:"listeners"` // most specific Host first; then by Name
}

// Listener is one listener of a Gateway that was accepted.
type Listener struct {
	Name   string     `json:"name"`
	Host   string     `json:"host,omitempty"` // "", "a.example.com" or "*.example.com", lower case
	TLS    *ServerTLS `json:"tls,omitempty"`
	VHosts []VHost    `json:"vhosts,omitempty"` // exact before wildcard, longer wildcard first, "*" last
}

// ServerTLS is how a listener terminates TLS.
type ServerTLS struct {
	Certificates []string `json:"certificates"` // names of Secrets of kind tls; SNI chooses among them
}

// VHost is one host name of a listener with its ordered matches.
type VHost struct {
	Domain  string  `json:"domain"`  // "*", "a.example.com", "*.example.com"
	Entries []Entry `json:"entries"` // by precedence: the first that matches wins (Gateway API HTTPRouteRule precedence)
}

// Entry ties one match to its rule and its policy.
type Entry struct {
	ID     string `json:"id"` // "<route ns>-<route>-rule<i>-match<j>", unique within the vhost
	Match  Match  `json:"match"`
	Rule   string `json:"rule"`
	Policy string `json:"policy,omitempty"` // "" = no policy: open, unmetered
}

// Match is one HTTPRouteMatch: all parts must hold.
type Match struct {
	Path    PathMatch    `json:"path"`
	Method  string       `json:"method,omitempty"`  // "" = any
	Headers []ValueMatch `json:"headers,omitempty"` // names in lower case
	Query   []ValueMatch `json:"query,omitempty"`
}

// PathKind says how PathMatch.Value is compared.
type PathKind string

// Kinds of path matches. Prefix compares whole segments and ignores a trailing
// slash of the value; Regex is RE2 over the whole path.
const (
	PathExact  PathKind = "exact"
	PathPrefix PathKind = "prefix"
	PathRegex  PathKind = "regex"
)

// PathMatch compares the request's path without its query.
type PathMatch struct {
	Kind  PathKind `json:"kind"`
	Value string   `json:"value"`
}

// ValueMatch compares one header or query parameter.
type ValueMatch struct {
	Name  string `json:"name"`
	Regex bool   `json:"regex,omitempty"` // RE2 over the whole value; otherwise equality
	Value string `json:"value"`
}

// Rule is one rule of a route: what happens to a request that matched it.
type Rule struct {
	Name     string    `json:"name"`            // "<ns>/<route>/<index>"
	Route    string    `json:"route"`           // "<ns>/<route>": the limits' name space
	Label    string    `json:"label,omitempty"` // the rule's own name, if it has one
	Redirect *Redirect `json:"redirect,omitempty"`
	Fault    *Fault    `json:"fault,omitempty"` // answered instead of forwarding
	Request  Edits     `json:"request,omitzero"`
	Response Edits     `json:"response,omitzero"`
	Rewrite  *Rewrite  `json:"rewrite,omitempty"`
	Targets  []Target  `json:"targets,omitempty"` // in the order of the backendRefs; weights above 0 only
	Models   *Models   `json:"models,omitempty"`  // nil = the body decides nothing
	Timeouts Timeouts  `json:"timeouts"`
}

// Fault is an answer that the plan itself gives, for a rule or a share of its
// weight that cannot be served.
type Fault struct {
	Status int    `json:"status"`
	Reason string `json:"reason"` // for the log and the operator, not for the caller
}

// Edits changes headers: Set replaces, Add appends, Remove deletes; applied in
// the order remove, set, add.
type Edits struct {
	Set    []Header `json:"set,omitempty"`
	Add    []Header `json:"add,omitempty"`
	Remove []string `json:"remove,omitempty"`
}

// Empty reports whether e changes nothing.
func (e Edits) Empty() bool { return len(e.Set)+len(e.Add)+len(e.Remove) == 0 }

// Header is one header field; names are in lower case.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Rewrite is a URLRewrite filter. Host, when set, also wins over a backend's
// automatic host.
type Rewrite struct {
	Host string       `json:"host,omitempty"`
	Path *PathRewrite `json:"path,omitempty"`
}

// PathRewrite replaces the whole path, or the prefix that matched. The query
// stays. Prefix replacement never makes a double slash ("/" and "" are equal).
type PathRewrite struct {
	Full   bool   `json:"full,omitempty"`
	Prefix string `json:"prefix,omitempty"` // the matched prefix, without trailing slash; "" when Full
	Value  string `json:"value"`
}

// Redirect is a RequestRedirect filter. Empty parts keep the request's own.
type Redirect struct {
	Scheme string       `json:"scheme,omitempty"`
	Host   string       `json:"host,omitempty"`
	Port   int32        `json:"port,omitempty"` // 0 = by scheme or listener, default ports dropped
	Path   *PathRewrite `json:"path,omitempty"`
	Status int          `json:"status"` // 301, 302, 303, 307, 308
}

// Target is one weighted backend of a rule.
type Target struct {
	Backend  string `json:"backend,omitempty"` // name of a Backend; "" when Fault is set
	Weight   int32  `json:"weight"`            // above 0
	Fault    *Fault `json:"fault,omitempty"`   // this share is answered with it
	Request  Edits  `json:"request,omitzero"`
	Response Edits  `json:"response,omitzero"`
}

// Timeouts of a rule. A negative value means no limit.
type Timeouts struct {
	Request  time.Duration `json:"request"`            // whole request; default 1 h
	Backend  time.Duration `json:"backend,omitempty"`  // one attempt; 0 = as Request
	Idle     time.Duration `json:"idle"`               // between bytes, counted from the first byte of the answer on; default 300 s
	Explicit bool          `json:"explicit,omitempty"` // Request was written by the user and decides alone: Idle does not apply
}

// Defaults that apply when a route says nothing.
const (
	DefaultRequestTimeout = time.Hour
	DefaultIdleTimeout    = 300 * time.Second
	DefaultConnectTimeout = 10 * time.Second
	NoLimit               = time.Duration(-1)
)
