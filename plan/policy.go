package plan

import (
	"encoding/json"
	"time"
)

// Policy is what an Entry asks of a request before and after it is forwarded.
// Name is the Digest of the rest.
type Policy struct {
	Name string `json:"name"`
	// Fault refuses every request: the policy could not be built whole and
	// fails closed (for example an authorization kind that is not supported).
	Fault *Fault  `json:"fault,omitempty"`
	Auth  *Auth   `json:"auth,omitempty"`
	Calls []Limit `json:"calls,omitempty"`  // RateLimitPolicy: one per call, taken at once
	Token []Limit `json:"tokens,omitempty"` // TokenRateLimitPolicy: checked first, charged by usage
}

// Auth is the effective AuthPolicy (Authorino's pipeline: when →
// authentication → metadata → authorization → response). Slices are sorted by
// Priority, then Name.
type Auth struct {
	Source          string           `json:"source"`         // "ns/name" of the policy, joined by "+" when merged
	When            []string         `json:"when,omitempty"` // CEL; one false = no authentication at all
	Authentication  []Authentication `json:"authentication,omitempty"`
	Metadata        []Metadata       `json:"metadata,omitempty"`
	Authorization   []Authorization  `json:"authorization,omitempty"`
	Headers         []Success        `json:"headers,omitempty"` // request headers for the backend
	Filters         []Success        `json:"filters,omitempty"` // data for limits; "identity" is what they see as auth.identity
	Unauthenticated *Denial          `json:"unauthenticated,omitempty"`
	Unauthorized    *Denial          `json:"unauthorized,omitempty"`
}

// Step is what all evaluators of a phase share.
type Step struct {
	Name     string    `json:"name"`
	Priority int       `json:"priority,omitempty"`
	When     []Pattern `json:"when,omitempty"` // all must hold, else the step is passed over
	Cache    *Cache    `json:"cache,omitempty"`
}

// Cache keeps successful results of a step under Key for TTL.
type Cache struct {
	Key Value         `json:"key"`
	TTL time.Duration `json:"ttl"`
}

// Authentication is one way to prove who one is. Exactly one of the methods is
// set. The first step that succeeds decides.
type Authentication struct {
	Step
	Credential  Credential   `json:"credential"`
	TokenReview *TokenReview `json:"tokenReview,omitempty"`
	JWT         *JWT         `json:"jwt,omitempty"`
	APIKey      *APIKey      `json:"apiKey,omitempty"`
	Anonymous   bool         `json:"anonymous,omitempty"`
	Plain       *Value       `json:"plain,omitempty"`     // the identity is this value
	Defaults    []Property   `json:"defaults,omitempty"`  // added when absent
	Overrides   []Property   `json:"overrides,omitempty"` // replace
}

// Credential says where in the request a credential is.
type Credential struct {
	In   CredentialPlace `json:"in"`
	Name string          `json:"name,omitempty"` // the prefix for InAuthorization ("Bearer"), else the field's name
}

// CredentialPlace is a part of a request.
type CredentialPlace string

// Places of credentials.
const (
	InAuthorization CredentialPlace = "authorizationHeader"
	InHeader        CredentialPlace = "customHeader"
	InCookie        CredentialPlace = "cookie"
	InQuery         CredentialPlace = "queryString"
)

// TokenReview asks the cluster, or the embedded realm, who holds a token.
type TokenReview struct {
	Audiences []string `json:"audiences,omitempty"` // none = the request's host, where route or listener name one
}

// JWT verifies signed tokens locally with keys from Issuer's discovery
// document or from JWKS.
type JWT struct {
	Issuer string        `json:"issuer,omitempty"` // must equal iss when set
	JWKS   string        `json:"jwks,omitempty"`
	TTL    time.Duration `json:"ttl,omitempty"` // refresh of the keys; 0 = 5 min
}

// APIKey compares with keys held in Secrets (item "api_key").
type APIKey struct {
	Keys []APIKeyRef `json:"keys,omitempty"` // sorted by Secret
}

// APIKeyRef is one Secret that holds an API key, with the metadata that
// becomes the identity object.
type APIKeyRef struct {
	Secret   string          `json:"secret"`   // name of a plan Secret
	Identity json.RawMessage `json:"identity"` // {"metadata":{name, namespace, labels, annotations}}
}

// Metadata is one source of facts about a request.
type Metadata struct {
	Step
	HTTP HTTPCall `json:"http"`
}

// HTTPCall is an HTTP request made to learn something.
type HTTPCall struct {
	URL           string     `json:"url,omitempty"` // may hold {selector} placeholders
	URLExpression string     `json:"urlExpression,omitempty"`
	Method        string     `json:"method"`
	ContentType   string     `json:"contentType,omitempty"`
	Body          *Value     `json:"body,omitempty"`
	Parameters    []Property `json:"parameters,omitempty"`
	Headers       []Property `json:"headers,omitempty"`
	Secret        string     `json:"secret,omitempty"`    // plan Secret with the shared secret
	SecretKey     string     `json:"secretKey,omitempty"` // its item
	Credential    Credential `json:"credential,omitzero"`
}

// Authorization is one check; all must pass. Exactly one kind is set.
type Authorization struct {
	Step
	Patterns []Pattern     `json:"patterns,omitempty"`
	Access   *AccessReview `json:"access,omitempty"`
}

// AccessReview is a SubjectAccessReview with computed parts.
type AccessReview struct {
	User                *Value   `json:"user,omitempty"`
	Groups              []string `json:"groups,omitempty"`
	AuthorizationGroups *Value   `json:"authorizationGroups,omitempty"`
	Group               *Value   `json:"group,omitempty"`
	Resource            *Value   `json:"resource,omitempty"`
	Subresource         *Value   `json:"subresource,omitempty"`
	Namespace           *Value   `json:"namespace,omitempty"`
	Name                *Value   `json:"name,omitempty"`
	Verb                *Value   `json:"verb,omitempty"`
	// ResourceAttributes is false for a review of the request's path and method.
	ResourceAttributes bool `json:"resourceAttributes,omitempty"`
}

// Pattern is one condition: exactly one of Predicate, Selector, All and Any is
// used. References to named patterns are resolved already.
type Pattern struct {
	Predicate string    `json:"predicate,omitempty"` // CEL
	Selector  string    `json:"selector,omitempty"`  // gjson path over the authorization JSON
	Operator  string    `json:"operator,omitempty"`  // eq, neq, incl, excl, matches
	Value     string    `json:"value,omitempty"`
	All       []Pattern `json:"all,omitempty"`
	Any       []Pattern `json:"any,omitempty"`
}

// Success is one item of response.success: Key is the header's name (lower
// case) or the filter's; exactly one of Plain and JSON is set.
type Success struct {
	Step
	Key   string     `json:"key"`
	Plain *Value     `json:"plain,omitempty"`
	JSON  []Property `json:"json,omitempty"`
}

// Denial customises a refusal.
type Denial struct {
	Code    int        `json:"code,omitempty"` // 0 = 401 or 403
	Message *Value     `json:"message,omitempty"`
	Headers []Property `json:"headers,omitempty"`
	Body    *Value     `json:"body,omitempty"`
}

// Property is a named value.
type Property struct {
	Name  string `json:"name"`
	Value Value  `json:"value"`
}

// Value is static JSON, a gjson selector or a CEL expression; exactly one.
type Value struct {
	Static     json.RawMessage `json:"static,omitempty"`
	Selector   string          `json:"selector,omitempty"`
	Expression string          `json:"expression,omitempty"`
}

// Limit is one named limit of a rate-limit policy with all its rates.
type Limit struct {
	Name     string       `json:"name"`   // as in the policy
	ID       string       `json:"id"`     // "limit.<name>__<8 hex>" or "tokenlimit.<name>__<8 hex>"
	Source   string       `json:"source"` // "ns/name" of the policy
	Rates    []Rate       `json:"rates"`
	When     []string     `json:"when,omitempty"`     // CEL; the policy's own `when` comes first
	Counters []string     `json:"counters,omitempty"` // CEL; each value has a counter of its own
	Reserve  *Reservation `json:"reserve,omitempty"`
	Closed   bool         `json:"closed,omitempty"` // refuse when the counter store is away (annotation egret.dev/limit-failure-mode: closed)
}

// Rate is so much per window.
type Rate struct {
	Limit  int64         `json:"limit"`
	Window time.Duration `json:"window"`
}

// Reservation holds Amount back until the usage is known, at most for TTL.
type Reservation struct {
	Amount string        `json:"amount"` // CEL, tokens
	TTL    time.Duration `json:"ttl"`
}
