package ident

import (
	"errors"
	"time"
)

// Identity is who a credential stands for. It is shared between requests:
// treat it as immutable.
type Identity struct {
	// Object is auth.identity: the review's status, the token's claims, or a
	// key's metadata; made of map[string]any, []any, string, bool and float64.
	Object any
	// Subject names the holder: the user name, the claim sub, the Secret's
	// name; "" when there is none.
	Subject string
	Expires time.Time // zero when the credential does not end
}

// ErrNoCredential says that the request carries no credential where the rule
// looks for one.
var ErrNoCredential = errors.New("credential not found")

// Rejected is the error about a credential that is not good. Reason is for the
// log; it never holds the credential.
type Rejected struct{ Reason string }

func (r *Rejected) Error() string { return "credential rejected: " + r.Reason }

func rejected(reason string) error { return &Rejected{Reason: reason} }

// object is the TokenReview status as expressions see it.
func (r *Review) object() map[string]any {
	user := map[string]any{"username": r.User.Username}
	if r.User.UID != "" {
		user["uid"] = r.User.UID
	}
	if len(r.User.Groups) > 0 {
		user["groups"] = list(r.User.Groups)
	}
	if len(r.User.Extra) > 0 {
		extra := make(map[string]any, len(r.User.Extra))
		for k, v := range r.User.Extra {
			extra[k] = list(v)
		}
		user["extra"] = extra
	}
	o := map[string]any{"authenticated": r.Authenticated, "user": user}
	if len(r.Audiences) > 0 {
		o["audiences"] = list(r.Audiences)
	}
	return o
}

func list(in []string) []any {
	out := make([]any, len(in))
	for i, s := range in {
		out[i] = s
	}
	return out
}

// size is about how many bytes r and its object take.
func (r *Review) size() int {
	n := 512 + len(r.User.Username) + len(r.User.UID) + len(r.ID)
	for _, s := range r.User.Groups {
		n += 2*len(s) + 48
	}
	for k, v := range r.User.Extra {
		n += len(k) + 64
		for _, s := range v {
			n += 2*len(s) + 48
		}
	}
	for _, s := range r.Audiences {
		n += 2*len(s) + 48
	}
	return n
}
