package engine

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/egret-gateway/egret/plan"
)

// note has it seen that a backend answers, and what it says to the platform's
// credential. Of a caller's own it says nothing about the backend.
func (x *Exchange) note(h ResponseHead, now time.Time) {
	if x.target == nil {
		return
	}
	x.target.seen.Answered(now, h.Ends)
	if x.payer == nil {
		return
	}
	switch s := h.Status; {
	case s == http.StatusUnauthorized, s == http.StatusForbidden && x.payer.Account.Scheme == plan.SchemeAWS && unsigned(h.Header):
		x.target.seen.Refused(now, "The provider answers "+strconv.Itoa(s)+" to credential "+x.payer.Account.Name+".")
	case s >= 200 && s <= 299, s == http.StatusTooManyRequests: // other errors may come before anybody looks at a credential
		x.target.seen.Took(now)
	}
}

// unsigned reports whether AWS says of a call that its signature, key or token
// does not hold, which are 403 there as are models and regions that a caller may
// not have ("Common errors" of its APIs; "UnrecognizedClientException:http://…").
func unsigned(h http.Header) bool {
	kind, _, _ := strings.Cut(h.Get("X-Amzn-Errortype"), ":")
	switch strings.TrimSuffix(strings.TrimSpace(kind), "Exception") {
	case "UnrecognizedClient", "InvalidClientTokenId", "MissingAuthenticationToken", "IncompleteSignature",
		"InvalidSignature", "SignatureDoesNotMatch", "ExpiredToken":
		return true
	}
	return false
}

// unreached has it seen that no connection to the backend came about.
func (x *Exchange) unreached(f Failure, detail string) {
	if x.target != nil && (f == NoConnect || f == NoEndpoint) {
		x.target.seen.Unreached(x.engine.deps.Now(), detail)
	}
}
