package plan

import (
	"fmt"
	"slices"
	"strings"
)

// Account is one way to be known to a backend: which credential is put into a
// request, where, and for whom. It holds references only; the secret parts are
// items of a plan Secret.
type Account struct {
	Name      string `json:"name,omitempty"`      // "<backend>/<extension>"
	Namespace string `json:"namespace,omitempty"` // of the backend
	When      string `json:"when,omitempty"`      // CEL over what limits see; "" = always
	FailOpen  bool   `json:"failOpen,omitempty"`  // without the credential the request goes on bare instead of being refused
	Scheme    Scheme `json:"scheme,omitempty"`

	Secret  string `json:"secret,omitempty"`  // name of a Secret of kind opaque
	ID      string `json:"id,omitempty"`      // its item with the public half: access key id, client id
	Key     string `json:"key,omitempty"`     // its item with the secret half, or all of it
	Session string `json:"session,omitempty"` // its item with the session token; the item may be missing

	Field   string   `json:"field,omitempty"`   // name of the header or query parameter, as it is sent
	Prefix  string   `json:"prefix,omitempty"`  // before the value, such as "Bearer "
	Headers []Header `json:"headers,omitempty"` // set beside the credential; nothing secret

	AWS   *AWS   `json:"aws,omitempty"`
	Token *Token `json:"token,omitempty"` // of schemes gcp, azure, oauth2
}

// Scheme is how a credential is made and shown.
type Scheme string

// Schemes.
const (
	SchemeNone   Scheme = "none"   // nothing: the credential is not to be had, and the account fails open
	SchemeHeader Scheme = "header" // Prefix and item Key in header Field
	SchemeQuery  Scheme = "query"  // item Key in query parameter Field
	SchemeAWS    Scheme = "aws"    // signature version 4
	SchemeGCP    Scheme = "gcp"    // token for a service account
	SchemeAzure  Scheme = "azure"  // token of Entra ID
	SchemeOAuth2 Scheme = "oauth2" // token by client credentials (RFC 6749 4.4)
)

// AWS is what a signature is made for, and with whose keys.
type AWS struct {
	Region     string `json:"region,omitempty"`
	Service    string `json:"service,omitempty"`
	Role       string `json:"role,omitempty"` // ARN to assume; "" with Pod = the pod's own
	ExternalID string `json:"externalID,omitempty"`
	Session    string `json:"session,omitempty"` // name of the role's session
	Pod        bool   `json:"pod,omitempty"`     // the role is assumed with the pod's web identity instead of keys
}

// Token is where a token is asked for.
type Token struct {
	URL      string   `json:"url,omitempty"`    // of the token endpoint; "" = as the key or the metadata service has it
	Client   string   `json:"client,omitempty"` // client id, where no item holds it
	Scopes   []string `json:"scopes,omitempty"`
	Audience string   `json:"audience,omitempty"`
	InBody   bool     `json:"inBody,omitempty"` // client id and secret in the form instead of the Authorization header
	Pod      bool     `json:"pod,omitempty"`    // proved by the pod's own identity
}

// Pod reports whether the account is the pod's own identity, which is lent to
// backends of its own namespace only.
func (a *Account) Pod() bool { return a.AWS != nil && a.AWS.Pod || a.Token != nil && a.Token.Pod }

// ReadsBody reports whether the credential depends on the request's body.
func (a *Account) ReadsBody() bool { return a.Scheme == SchemeAWS }

// check refuses what this program could not do for the account.
func (a *Account) check() error {
	if !known(a.Scheme, SchemeNone, SchemeHeader, SchemeQuery, SchemeAWS, SchemeGCP, SchemeAzure, SchemeOAuth2) {
		return fmt.Errorf("account %s: this program knows no scheme %q", a.Name, a.Scheme)
	}
	if (a.AWS != nil) != (a.Scheme == SchemeAWS) || (a.Token != nil) != known(a.Scheme, SchemeGCP, SchemeAzure, SchemeOAuth2) {
		return fmt.Errorf("account %s lacks what scheme %q needs, or has more", a.Name, a.Scheme)
	}
	return nil
}

// Secrets names the plan Secrets that speaking to the backend takes.
func (b *Backend) Secrets() (names []string) {
	names = append(names, b.TLS.Secrets()...)
	if b.Proxy != nil {
		names = append(names, b.Proxy.Secret)
	}
	for i := range b.Accounts {
		names = append(names, b.Accounts[i].Secret)
	}
	return names
}

// bearing are the words in the name of a field that holds a credential; some
// are two words of it.
var bearing = []string{
	"authorization", "cookie", "token", "secret", "password", "credential", "credentials", "signature", "apikey",
	"api-key", "access-key", "auth-email", "client-cert", "dpop",
}

// spared are the words with which a field that ends in "key" holds no
// credential.
var spared = []string{"idempotency", "websocket", "cache"}

// whose are fields that say on whose account a provider is to work. They are
// no secrets, and nothing for a client to say about an account that is not its
// own.
var whose = []string{
	"openai-organization", "openai-project", "x-goog-user-project", "x-amz-date", "x-amz-content-sha256",
	"x-ms-client-principal", "x-ms-client-principal-id", "x-ms-client-principal-name", "x-ms-client-principal-idp",
	"x-auth", "x-auth-user",
}

// Bears reports whether a header field of that name holds a credential, or says
// whose it is: Authorization and Proxy-Authorization, Cookie, x-api-key, api-key
// and all others named like them, also with "_" for "-". No client's field of
// such a name gets to a backend that has accounts (acceptance gateway 108).
func Bears(field string) bool {
	name := hyphened(field)
	return known(name, whose...) || confidential(name)
}

// Confidential reports whether a header field of that name holds a credential.
func Confidential(field string) bool { return confidential(hyphened(field)) }

func confidential(name string) bool {
	stands := func(w string) bool { return worded(name, w) }
	if name[strings.LastIndexByte(name, '-')+1:] == "key" && !slices.ContainsFunc(spared, stands) {
		return true
	}
	return slices.ContainsFunc(bearing, stands)
}

// worded reports whether w stands in name, between hyphens or at its ends.
func worded(name, w string) bool {
	for at := 0; ; at++ {
		i := strings.Index(name[at:], w)
		if i < 0 {
			return false
		}
		at += i
		if end := at + len(w); (at == 0 || name[at-1] == '-') && (end == len(name) || name[end] == '-') {
			return true
		}
	}
}

// hyphened is a name in lower case and with "_" read as "-".
func hyphened(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "-")) }

// parameters are the query parameters that hold credentials, in lower case and
// with "-" for "_".
var parameters = []string{
	"key", "api-key", "apikey", "x-api-key", "access-key", "subscription-key", "access-token", "auth-token", "oauth-token", "id-token", "token",
	"bearer", "auth", "authorization", "client-id", "client-secret", "password", "secret", "sig", "signature",
	"x-amz-signature", "x-amz-credential", "x-amz-security-token", "x-amz-algorithm", "x-amz-date", "x-amz-expires", "x-amz-signedheaders",
	"x-goog-signature", "x-goog-credential", "x-goog-api-key",
}

// BearsQuery reports whether a query parameter of that name, decoded, holds a
// credential. No client's parameter of such a name gets to a backend that has
// accounts.
func BearsQuery(name string) bool {
	return known(hyphened(name), parameters...)
}
