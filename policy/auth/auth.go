package auth

import (
	"net/http"
	"time"

	"github.com/egret-gateway/egret/plan"
)

// Result is what a policy's authentication and authorization came to.
type Result struct {
	// Denied is set when the request must be refused.
	Denied *Denied
	// Passed is true when the policy's `when` did not apply: nobody was
	// identified and nothing consumed.
	Passed bool
	// Identity is the identity object, Filters what response.success.filters
	// produced by key; Filters["identity"] is what limits see.
	Identity any
	Filters  map[string]any
	// Headers are response.success.headers: they replace the request's own.
	Headers []plan.Header
	// Subject names the caller for log and ledger: the user name, "" if none.
	Subject string
	// Method is the name of the authentication rule that succeeded.
	Method string
	// Consumed says which credential the policy used, so that the hop can
	// remove it. nil when there was none (anonymous).
	Consumed *plan.Credential
	// Expires is when the credential ends; zero when it does not.
	Expires time.Time
}

// Denied is a refusal in Authorino's terms.
type Denied struct {
	Status int         // 401, 403 or the policy's own code; 500 when identity could not be told (fail closed)
	Header http.Header // WWW-Authenticate, X-Ext-Auth-Reason, or the policy's own
	Body   []byte
	Reason string // for the log
	Rule   string // the rule that refused, "" when several did
}
