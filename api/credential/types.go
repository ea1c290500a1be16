package credential

// Type is the extension's type.
const Type = "gateway.networking.k8s.io/CredentialInjector:v1"

// Injector is a rawConfig.
type Injector struct {
	// Phase in which it works; only "request-headers", the default.
	Phase string `json:"phase,omitempty"`
	// Priority orders the injectors of a backend: the lowest is asked first,
	// equals in the order in which they stand. Default 0.
	Priority int32 `json:"priority,omitempty"`
	// FailOpen lets a request go on without any credential where this one is
	// not to be had. The default refuses it.
	FailOpen bool `json:"failOpen,omitempty"`
	// AllowCleartext lets the credential travel without TLS.
	AllowCleartext bool `json:"allowCleartext,omitempty"`
	// When is a CEL predicate over the request and who makes it; the injector
	// is passed over where it does not hold. Default: it always holds.
	When string `json:"when,omitempty"`
	// Scheme says how the credential is made and shown. Default: that of the
	// block that is there (header, query, aws, gcp, azure, oauth2), else Bearer.
	Scheme Scheme `json:"scheme,omitempty"`
	// SecretRef names the Secret. It stands here or in Config.
	SecretRef *SecretRef `json:"secretRef,omitempty"`
	Config    *Config    `json:"config,omitempty"`

	Header *Header `json:"header,omitempty"`
	Query  *Query  `json:"query,omitempty"`
	AWS    *AWS    `json:"aws,omitempty"`
	GCP    *GCP    `json:"gcp,omitempty"`
	Azure  *Azure  `json:"azure,omitempty"`
	OAuth2 *OAuth2 `json:"oauth2,omitempty"`

	// Headers are set beside the credential, such as anthropic-version. They
	// are no secrets. At most 16.
	Headers []StaticHeader `json:"headers,omitempty"`
}

// Scheme is how a credential is made and shown.
type Scheme string

// Schemes.
const (
	Bearer Scheme = "Bearer" // Authorization: Bearer <value of the Secret>
	Named  Scheme = "Header" // another header, with or without a prefix
	Basic  Scheme = "Basic"  // Authorization: Basic <base64 of user:password>
	ByURL  Scheme = "Query"  // a query parameter
	SigV4  Scheme = "AWSSigV4"
	Google Scheme = "GCP"
	Entra  Scheme = "AzureEntraID"
	OAuth  Scheme = "OAuth2"
)

// Config is the place of SecretRef in the proposal's first sketch.
type Config struct {
	SecretRef *SecretRef `json:"secretRef,omitempty"`
}

// SecretRef names a Secret and its items.
type SecretRef struct {
	Name string `json:"name"`
	// Namespace defaults to the backend's; another one needs a ReferenceGrant.
	Namespace string `json:"namespace,omitempty"`
	// Key of the secret half. Default: password with Basic, secretAccessKey
	// with AWSSigV4, else the only key that the Secret has.
	Key string `json:"key,omitempty"`
	// IDKey is the key of the public half. Default: username with Basic,
	// accessKeyID with AWSSigV4; with OAuth2 and AzureEntraID clientID takes
	// its place.
	IDKey string `json:"idKey,omitempty"`
	// SessionKey is the key of an AWS session token. Default sessionToken; it
	// may be missing.
	SessionKey string `json:"sessionKey,omitempty"`
}

// Header is where scheme Header puts the value.
type Header struct {
	Name   string `json:"name"`
	Prefix string `json:"prefix,omitempty"` // before the value, its space included
}

// Query is where scheme Query puts the value.
type Query struct {
	Name string `json:"name"`
}

// Identity says who asks for a token.
type Identity string

// Identities.
const (
	FromSecret Identity = "Secret" // what the Secret holds; the default
	FromPod    Identity = "Pod"    // the gateway's own workload identity, lent to backends of its namespace only
)

// AWS is what scheme AWSSigV4 needs to know.
type AWS struct {
	Region string `json:"region"`
	// Service that is signed for. Default bedrock.
	Service  string   `json:"service,omitempty"`
	Identity Identity `json:"identity,omitempty"`
	// RoleARN is a role to assume. With identity Pod it defaults to that of the
	// pod (AWS_ROLE_ARN).
	RoleARN     string `json:"roleARN,omitempty"`
	ExternalID  string `json:"externalID,omitempty"`
	SessionName string `json:"sessionName,omitempty"` // default egret
}

// GCP is what scheme GCP needs to know. With identity Secret, the Secret's
// value is a service account's key in JSON.
type GCP struct {
	Identity Identity `json:"identity,omitempty"`
	Scopes   []string `json:"scopes,omitempty"` // default https://www.googleapis.com/auth/cloud-platform
}

// Azure is what scheme AzureEntraID needs to know. With identity Secret, the
// Secret's value is a client secret; with Pod, AZURE_CLIENT_ID and
// AZURE_TENANT_ID of the pod are the defaults.
type Azure struct {
	Identity Identity `json:"identity,omitempty"`
	TenantID string   `json:"tenantID,omitempty"`
	ClientID string   `json:"clientID,omitempty"`
	// Cloud is Public (the default), USGovernment or China.
	Cloud string `json:"cloud,omitempty"`
	// Scope of the token. Default: that of Cognitive Services in the cloud.
	Scope string `json:"scope,omitempty"`
}

// OAuth2 is what scheme OAuth2 needs to know (RFC 6749 4.4).
type OAuth2 struct {
	TokenURL string   `json:"tokenURL"` // https
	ClientID string   `json:"clientID,omitempty"`
	Scopes   []string `json:"scopes,omitempty"`
	Audience string   `json:"audience,omitempty"`
	// Authentication is Basic (the default) or Body: where client id and
	// secret stand.
	Authentication string `json:"authentication,omitempty"`
}

// StaticHeader is a header field that is no secret.
type StaticHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}
