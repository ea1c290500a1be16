package engine

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/egret-gateway/egret/dialect"
	"github.com/egret-gateway/egret/plan"
)

// Head is a request as it arrived: what a body knows before it has read
// anything else. The engine does not change Header; its answers say what to
// change.
type Head struct {
	Gateway string // namespace/name
	Port    int32
	// Listener narrows the choice when the connection has made it (SNI, or
	// Envoy's filter chain). "" = by Host.
	Listener string
	// Entry names the entry that a foreign router has chosen (plan.EntryName);
	// NoEntry when it found none. "" = the engine matches.
	Entry string
	// Digest is what the foreign router knows of all that decides about the
	// entry (plan.Digests). When the plan in force has another, the entry of
	// an earlier plan serves that was kept (Engine.Load). "" = not known.
	Digest string
	// Target is the place among the rule's targets, from 1, that the foreign
	// router has chosen; 0 = the engine chooses.
	Target int

	Method   string
	Scheme   string      // http or https
	Host     string      // Host or :authority, port included if sent
	Path     string      // with query
	Protocol string      // "HTTP/1.1", "HTTP/2"
	Header   http.Header // canonical names, as net/http has them
	Length   int64       // of the body; 0 none, -1 unknown
	Remote   netip.AddrPort
	Inner    bool // arrived from one of our own gateways in this process
}

// NoEntry is the Entry of a request that a foreign router found no route for.
const NoEntry = "-"

// Step is what a body must do next.
type Step int

// Steps.
const (
	Forward  Step = iota // call Attempt(1)
	NeedBody             // read the whole body, at most Exchange.BodyLimit bytes and as Exchange.Keep has room, then call Body
	Refuse               // answer with Exchange.Refusal
)

// Refusal is an answer that the engine gives itself.
type Refusal struct {
	Status int
	Header http.Header // may be nil
	Body   []byte
	Code   string // short and stable, for metrics: "unauthenticated", "limited", "no_route", ...
	Reason string // for the log and the operator; never sent
}

// Attempt is one try at forwarding.
type Attempt struct {
	Target  *plan.Target
	Backend *plan.Backend
	Host    string // Host to send
	Path    string // path and query to send
	// Header is the complete set of request headers to send, hop-by-hop
	// fields excluded. It is the body's to use up.
	Header http.Header
	// Body replaces the request's body when Replace is set; otherwise the
	// body streams as it comes (or is the one that was given to Body).
	Body    []byte
	Replace bool
	Timeout time.Duration // of this attempt; negative = none
}

// ResponseHead is an upstream's answer before its body.
type ResponseHead struct {
	Status int
	Header http.Header
	// Ends is when the certificate does that the server showed on the connection;
	// zero without TLS, or where that is not known.
	Ends time.Time
	Body []byte // only after a plan said Peek: the body's first 64 KiB, never nil
}

// ResponsePlan says how to pass an answer on.
type ResponsePlan struct {
	Retry  bool        // drop this answer and call Attempt(n+1)
	Peek   bool        // read the body's first 64 KiB and call Response again with them
	Header http.Header // complete headers for the client, hop-by-hop excluded
	// Watch: pass every piece of the body through Chunk. Otherwise copy it.
	Watch bool
	// Hold: the answer is not a stream; keep the last piece back until the
	// end of the body is known, so that it can be passed to Chunk with last.
	Hold bool
	// DropLength: Content-Length no longer holds.
	DropLength bool
}

// Outcome is how an exchange ended on the wire.
type Outcome string

// Outcomes.
const (
	Done         Outcome = "done"
	Refused      Outcome = "refused"
	ClientGone   Outcome = "client_gone"   // the client left early
	UpstreamGone Outcome = "upstream_gone" // no answer, or it broke off
	TimedOut     Outcome = "timed_out"
)

// Record is the one account of an exchange; everything that reports reads it.
type Record struct {
	ID        string // request id
	Trace     string // traceparent sent upstream
	Time      time.Time
	Inner     bool // hop behind another gateway of this process: not in the ledger
	Gateway   string
	Listener  string
	Route     string // namespace/name; "" = none matched
	Rule      string
	Backend   string
	Account   string // of the backend, whose credential was shown last; "" = none
	Remote    netip.AddrPort
	Method    string
	Host      string
	Path      string // without query
	Status    int
	Outcome   Outcome
	Code      string // of the Refusal, "" otherwise
	Reason    string
	User      string // identity for limits and ledger (auth.identity.userid, else the subject)
	Subject   string // the credential's user name
	Tier      string
	Policy    string // the AuthPolicy that was asked, "namespace/name"
	Limit     string // name of the limit that refused
	Checked   bool   // at least one limit applied
	Charged   bool   // tokens were charged to at least one limit
	Dialect   dialect.Dialect
	Asked     string // model in the request
	Served    string // model in the answer
	Stream    bool
	Usage     dialect.Usage
	Attempts  int
	Sent      int64 // body bytes to the client
	Auth      time.Duration
	FirstByte time.Duration // from arrival to the first byte of the answer
	Duration  time.Duration
}
