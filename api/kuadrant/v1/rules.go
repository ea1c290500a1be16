package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Authentication establishes who calls. The first rule that succeeds decides.
type Authentication struct {
	Rule `json:",inline"`

	// Credentials says where the credential is read from; nil means the
	// Authorization header with prefix Bearer.
	Credentials *Credentials `json:"credentials,omitempty"`
	// Defaults are set on the identity where it has no such property.
	Defaults map[string]ValueOrSelector `json:"defaults,omitempty"`
	// Overrides are set on the identity whatever it has.
	Overrides map[string]ValueOrSelector `json:"overrides,omitempty"`

	APIKey                *APIKey       `json:"apiKey,omitempty"`
	JWT                   *JWT          `json:"jwt,omitempty"`
	KubernetesTokenReview *TokenReview  `json:"kubernetesTokenReview,omitempty"`
	Plain                 *PlainRef     `json:"plain,omitempty"`
	Anonymous             *AnonymousRef `json:"anonymous,omitempty"`

	// OAuth2Introspection and X509 are not enforced.
	OAuth2Introspection *runtime.RawExtension `json:"oauth2Introspection,omitempty"`
	X509                *runtime.RawExtension `json:"x509,omitempty"`
}

// Credentials is the place of a credential in the request: one of the four.
type Credentials struct {
	AuthorizationHeader *Prefixed `json:"authorizationHeader,omitempty"`
	CustomHeader        *Named    `json:"customHeader,omitempty"`
	QueryString         *Named    `json:"queryString,omitempty"`
	Cookie              *Named    `json:"cookie,omitempty"`
}

// Prefixed is the Authorization header with a scheme; empty means Bearer.
type Prefixed struct {
	Prefix string `json:"prefix,omitempty"`
}

// Named is a header, query parameter or cookie.
type Named struct {
	Name string `json:"name"`
}

// APIKey accepts keys held in labelled Secrets, in field api_key.
type APIKey struct {
	Selector metav1.LabelSelector `json:"selector"`
	// AllNamespaces looks beyond the policy's own namespace.
	AllNamespaces bool `json:"allNamespaces,omitempty"`
}

// JWT verifies signed tokens against an issuer's keys: one of the two URLs.
type JWT struct {
	// IssuerURL is the OpenID Connect issuer, whose discovery names the keys.
	IssuerURL string `json:"issuerUrl,omitempty"`
	// JwksURL is the key set itself.
	JwksURL string `json:"jwksUrl,omitempty"`
	// TTL is the seconds between refreshes of the issuer's configuration.
	TTL int `json:"ttl,omitempty"`
}

// TokenReview asks the Kubernetes API server who a token belongs to.
type TokenReview struct {
	// Audiences the token must be for; empty means the API server's own.
	Audiences []string `json:"audiences,omitempty"`
}

// PlainRef takes the identity from the authorization JSON as it stands.
type PlainRef struct {
	Selector   string `json:"selector,omitempty"`
	Expression string `json:"expression,omitempty"`
}

// AnonymousRef accepts every caller.
type AnonymousRef struct{}

// Metadata fetches facts about the caller or the request.
type Metadata struct {
	Rule `json:",inline"`

	HTTP *HTTPCall `json:"http,omitempty"`

	// UserInfo and UMA are not enforced.
	UserInfo *runtime.RawExtension `json:"userInfo,omitempty"`
	UMA      *runtime.RawExtension `json:"uma,omitempty"`
}

// HTTPCall is a request to a service of the operator's.
type HTTPCall struct {
	// URL may hold {selectors}; URLExpression is CEL. One of the two.
	URL           string `json:"url,omitempty"`
	URLExpression string `json:"urlExpression,omitempty"`
	// Method defaults to GET.
	Method string `json:"method,omitempty"`
	// ContentType defaults to application/x-www-form-urlencoded.
	ContentType    string                     `json:"contentType,omitempty"`
	Body           *ValueOrSelector           `json:"body,omitempty"`
	BodyParameters map[string]ValueOrSelector `json:"bodyParameters,omitempty"`
	Headers        map[string]ValueOrSelector `json:"headers,omitempty"`
	// SharedSecretRef is a secret sent in the place that Credentials names.
	SharedSecretRef *SecretKeyRef `json:"sharedSecretRef,omitempty"`
	Credentials     *Credentials  `json:"credentials,omitempty"`
	// OAuth2 is not enforced.
	OAuth2 *runtime.RawExtension `json:"oauth2,omitempty"`
}

// SecretKeyRef is one key of a Secret in the policy's namespace.
type SecretKeyRef struct {
	Name string `json:"name"`
	Key  string `json:"key"`
}

// Authorization decides whether the caller may. Every rule must agree.
type Authorization struct {
	Rule `json:",inline"`

	PatternMatching               *PatternMatching     `json:"patternMatching,omitempty"`
	KubernetesSubjectAccessReview *SubjectAccessReview `json:"kubernetesSubjectAccessReview,omitempty"`

	// OPA and SpiceDB are not enforced.
	OPA     *runtime.RawExtension `json:"opa,omitempty"`
	SpiceDB *runtime.RawExtension `json:"spicedb,omitempty"`
}

// PatternMatching holds when all its patterns do.
type PatternMatching struct {
	Patterns []Pattern `json:"patterns"`
}

// SubjectAccessReview asks the Kubernetes API server whether the user may.
type SubjectAccessReview struct {
	User *ValueOrSelector `json:"user,omitempty"`
	// AuthorizationGroups yields a list of groups; Groups is the same, literal.
	AuthorizationGroups *ValueOrSelector `json:"authorizationGroups,omitempty"`
	Groups              []string         `json:"groups,omitempty"`
	// ResourceAttributes makes it a question about a resource; nil asks about
	// the request's path and method.
	ResourceAttributes *ResourceAttributes `json:"resourceAttributes,omitempty"`
}

// ResourceAttributes names the action that is asked about.
type ResourceAttributes struct {
	Namespace   *ValueOrSelector `json:"namespace,omitempty"`
	Group       *ValueOrSelector `json:"group,omitempty"`
	Resource    *ValueOrSelector `json:"resource,omitempty"`
	Name        *ValueOrSelector `json:"name,omitempty"`
	SubResource *ValueOrSelector `json:"subresource,omitempty"`
	Verb        *ValueOrSelector `json:"verb,omitempty"`
}

// Response is what the backend, the caller and later filters are told.
type Response struct {
	Unauthenticated *Denial  `json:"unauthenticated,omitempty"`
	Unauthorized    *Denial  `json:"unauthorized,omitempty"`
	Success         *Success `json:"success,omitempty"`
}

// Denial shapes a refusal.
type Denial struct {
	// Code is the status, 300 to 599; 0 means 401 or 403.
	Code    int64                      `json:"code,omitempty"`
	Message *ValueOrSelector           `json:"message,omitempty"`
	Headers map[string]ValueOrSelector `json:"headers,omitempty"`
	Body    *ValueOrSelector           `json:"body,omitempty"`
}

// Success is what an allowed request carries on.
type Success struct {
	// Headers are set on the request to the backend.
	Headers map[string]SuccessRule `json:"headers,omitempty"`
	// Filters are data for later policies, such as auth.identity of rate limits.
	Filters map[string]SuccessRule `json:"filters,omitempty"`
}

// SuccessRule builds one header or one piece of filter data.
type SuccessRule struct {
	Rule `json:",inline"`

	// Key is the header's or the datum's name; empty means the rule's name.
	Key   string           `json:"key,omitempty"`
	Plain *ValueOrSelector `json:"plain,omitempty"`
	JSON  *JSONObject      `json:"json,omitempty"`
	// Wristband is not enforced.
	Wristband *runtime.RawExtension `json:"wristband,omitempty"`
}

// JSONObject builds an object property by property.
type JSONObject struct {
	Properties map[string]ValueOrSelector `json:"properties"`
}
