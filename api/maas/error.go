package maas

// Error is the plain error body of the token and key endpoints.
type Error struct {
	Error string `json:"error"`
	// ProvidedExpiration repeats a lifetime that is too short, as a Go duration.
	ProvidedExpiration string `json:"provided_expiration,omitempty"`
}

// HeaderError answers a request that came without the caller's identity: the
// gateway in front is not set up, so its status is 500 and not 401.
type HeaderError struct {
	Error         string `json:"error"`
	ExceptionCode string `json:"exceptionCode"`
	RefID         string `json:"refId"`
}

// ModelsError is the error body of GET /v1/models.
type ModelsError struct {
	Error ModelsErrorDetail `json:"error"`
}

// ModelsErrorDetail says what went wrong in OpenAI's terms.
type ModelsErrorDetail struct {
	Message string `json:"message"`
	Type    string `json:"type"` // authentication_error or server_error
}
