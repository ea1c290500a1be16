package maas

// Token answers POST /v1/tokens.
type Token struct {
	Token string `json:"token"`
	// Expiration is the lifetime that was asked for, as a Go duration: "10m0s".
	Expiration string `json:"expiration"`
	// ExpiresAt is when the token really ends, in Unix seconds; it may be
	// earlier than the lifetime asked for, never later.
	ExpiresAt int64 `json:"expiresAt"`
	// IssuedAt is the token's iat claim.
	IssuedAt int64 `json:"issuedAt,omitempty"`
	// JTI is the token's jti claim.
	JTI string `json:"jti"`
}

// NewKey answers POST /v1/api-keys. The token is shown this once.
type NewKey struct {
	Token       string `json:"token"`
	Expiration  string `json:"expiration"`
	ExpiresAt   int64  `json:"expiresAt"`
	JTI         string `json:"jti"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}

// Key is one API key as GET /v1/api-keys and GET /v1/api-keys/{id} show it.
// Dates are RFC 3339, UTC, whole seconds.
type Key struct {
	ID             string `json:"id"`
	Name           string `json:"name"`
	Description    string `json:"description,omitempty"`
	CreationDate   string `json:"creationDate"`
	ExpirationDate string `json:"expirationDate"`
	Status         string `json:"status"` // KeyActive or KeyExpired, as of the question
}

// Values of Key.Status.
const (
	KeyActive  = "active"
	KeyExpired = "expired"
)
