package dialect

import "net/http"

// openAIUsage adds up the counts of OpenAI's three dialects. prompt_tokens includes cached ones, completion_tokens reasoning.
// The provider's total stands, also when it is more than its parts, as with hidden tokens.
func openAIUsage(c counts) (Usage, bool) {
	if c.total == absent {
		if c.input == absent && c.output == absent {
			return Usage{}, false
		}
		c.total = max(c.input, 0) + max(c.output, 0)
	}
	u := Usage{Input: max(c.input, 0), Output: max(c.output, 0), Total: c.total, Exact: true}
	u.Cached = within(c.cached, u.Input)
	u.Reasoning = within(c.reasoning, u.Output)
	return u, true
}

// openAIError is {"error":{…}} with the types that OpenAI's clients and their users know.
func openAIError(dst []byte, status int, code, message string) []byte {
	dst = append(dst, `{"error":`...)
	dst = openAIErrorObject(dst, openAIErrorType(status), code, message)
	return append(dst, '}')
}

func openAIErrorObject(dst []byte, kind, code, message string) []byte {
	dst = append(dst, `{"message":`...)
	dst = quote(dst, message)
	dst = append(dst, `,"type":"`...)
	dst = append(dst, kind...)
	dst = append(dst, `","param":null,"code":`...)
	dst = quoteOrNull(dst, code)
	return append(dst, '}')
}

func quoteOrNull(dst []byte, text string) []byte {
	if text == "" {
		return append(dst, "null"...)
	}
	return quote(dst, text)
}

func openAIErrorType(status int) string {
	switch {
	case status == http.StatusUnauthorized:
		return "authentication_error"
	case status == http.StatusForbidden:
		return "permission_error"
	case status == http.StatusNotFound:
		return "not_found_error"
	case status == http.StatusTooManyRequests:
		return "rate_limit_error"
	case status >= 500:
		return "server_error"
	}
	return "invalid_request_error"
}
