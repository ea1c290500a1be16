package sim

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
)

// failure is a request that gets an error instead of a reply. With an empty kind its message is the plain-text body.
type failure struct {
	status  int
	kind    string // the error's type on the wire
	message string
	param   string // the request field at fault, "" for null
}

func (f *failure) Error() string { return f.message }

// refuse is a failure in vLLM's JSON shape; its type follows from the status.
func refuse(status int, format string, args ...any) *failure {
	return &failure{status: status, kind: kindOf(status), message: fmt.Sprintf(format, args...)}
}

// refusePlain is a failure that v0.6.1 answers as plain text.
func refusePlain(status int, format string, args ...any) *failure {
	return &failure{status: status, message: fmt.Sprintf(format, args...)}
}

// unreadable refuses a request that does not have the shape it should.
func unreadable(format string, args ...any) *failure {
	return refusePlain(http.StatusBadRequest, "Failed to read and parse request body, "+format, args...)
}

func kindOf(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "BadRequestError"
	case http.StatusUnauthorized:
		return "AuthenticationError"
	case http.StatusForbidden:
		return "PermissionDeniedError"
	case http.StatusNotFound:
		return "NotFoundError"
	case http.StatusUnprocessableEntity:
		return "UnprocessableEntityError"
	case http.StatusTooManyRequests:
		return "RateLimitError"
	}
	if status >= http.StatusInternalServerError {
		return "InternalServerError"
	}
	return "APIConnectionError"
}

func (f *failure) write(w http.ResponseWriter) {
	if f.kind == "" {
		http.Error(w, f.message, f.status)
		return
	}
	type body struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    int     `json:"code"`
	}
	detail := body{Message: f.message, Type: f.kind, Code: f.status}
	if f.param != "" {
		detail.Param = &f.param
	}
	writeJSON(w, f.status, struct {
		Error body `json:"error"`
	}{detail})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "the answer cannot be written as JSON: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone; nobody is left to tell
}

// failureTypes are the values of --failure-types.
func failureTypes() []string {
	return []string{"rate_limit", "invalid_api_key", "context_length", "server_error", "invalid_request", "model_not_found"}
}

// inject draws whether this request fails, before anybody has looked at it, and how. It returns nil when it does not.
func inject(r *rand.Rand, c *Config) *failure {
	if c.FailureInjectionRate == 0 || r.IntN(100) >= c.FailureInjectionRate {
		return nil
	}
	types := c.FailureTypes
	if len(types) == 0 {
		types = failureTypes()
	}
	f := injected(types[r.IntN(len(types))], c.ServedModelName[0])
	return &f
}

func injected(name, model string) failure {
	fail := func(status int, param, format string, args ...any) failure {
		return failure{status: status, kind: kindOf(status), param: param, message: fmt.Sprintf(format, args...)}
	}
	switch name {
	case "rate_limit":
		return fail(http.StatusTooManyRequests, "", "Rate limit reached for model %s on requests per minute (RPM): limit 3, used 3, requested 1.", model)
	case "invalid_api_key":
		return fail(http.StatusUnauthorized, "", "Incorrect API key provided.")
	case "context_length":
		return fail(http.StatusBadRequest, "messages", "This model's maximum context length is 4096 tokens, but the messages have 4500. Shorten the messages.")
	case "invalid_request":
		return fail(http.StatusBadRequest, "model", "Invalid request: missing required parameter 'model'.")
	case "model_not_found":
		return fail(http.StatusNotFound, "model", "The model `%s-nonexistent` does not exist.", model)
	}
	return fail(http.StatusServiceUnavailable, "", "The server is overloaded or not ready yet.")
}
