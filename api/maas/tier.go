package maas

// TierLookup is the body of POST /v1/tiers/lookup.
type TierLookup struct {
	Groups []string `json:"groups"`
}

// Tier answers it.
type Tier struct {
	Tier        string `json:"tier"`
	DisplayName string `json:"displayName"`
}

// TierError answers it when there is no tier to tell: Code is bad_request,
// not_found or internal_error.
type TierError struct {
	Code    string `json:"error"`
	Message string `json:"message"`
}
