package account

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/egret-gateway/egret/plan"
)

// Request is what is about to be sent to a backend. Apply changes Header and
// Path.
type Request struct {
	Method string
	Host   string
	Path   string // with query, as it goes on the wire
	Header http.Header
	Body   []byte // whole, for accounts that read it
}

// ErrUnavailable says that a credential cannot be had just now; asking again
// later may help.
var ErrUnavailable = errors.New("the credential is not available")

// Use is an account with what it shows, made ready once for many requests.
type Use struct {
	Account *plan.Account
	Secret  *plan.Secret // that the account names; nil when it names none, or there is none
	key     string       // of its ticket; "" when it needs none
}

// NewUse makes an account ready.
func NewUse(a *plan.Account, secret *plan.Secret) *Use {
	u := &Use{Account: a, Secret: secret}
	if a.Token != nil || a.AWS != nil {
		u.key = keyOf(a, secret)
	}
	return u
}

// Apply puts the account's credential into r. Errors hold nothing secret.
func (o *Office) Apply(u *Use, r *Request) error {
	if err := o.place(u, r); err != nil {
		return fmt.Errorf("account %s: %w", u.Account.Name, err)
	}
	return nil
}

func (o *Office) place(u *Use, r *Request) error {
	a, secret := u.Account, u.Secret
	if a.Secret != "" && secret == nil {
		return fmt.Errorf("%w: %s is not there", ErrUnavailable, a.Secret)
	}
	for _, h := range a.Headers {
		r.Header.Set(h.Name, h.Value)
	}
	var value string
	switch a.Scheme {
	case plan.SchemeNone:
		return nil
	case plan.SchemeHeader, plan.SchemeQuery:
		if value = string(secret.Item(a.Key)); value == "" {
			return fmt.Errorf("%w: %s has no item %s", ErrUnavailable, a.Secret, a.Key)
		}
	case plan.SchemeAWS:
		keys, err := o.keys(u)
		if err != nil {
			return err
		}
		sign(r, keys, a.AWS.Region, a.AWS.Service, o.opts.Now())
		return nil
	default:
		t, err := o.token(u)
		if err != nil {
			return err
		}
		value = t.Value
	}
	if a.Scheme == plan.SchemeQuery {
		r.Path = withParameter(r.Path, a.Field, value)
		return nil
	}
	r.Header[http.CanonicalHeaderKey(a.Field)] = []string{a.Prefix + value}
	return nil
}

// withParameter adds a query parameter. What the client called so has been
// taken out by then.
func withParameter(path, name, value string) string {
	glue := "?"
	if strings.Contains(path, "?") {
		glue = "&"
	}
	return path + glue + name + "=" + url.QueryEscape(value)
}
