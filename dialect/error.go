package dialect

// Error returns a refusal in the shape of dialect d, and its content type, so that the official clients raise their typed
// errors (acceptance maas 98 as overridden). Calls of dialect None get OpenAI's shape. The code is for programs
// ("token_limit_exceeded", "" for none), the message for people.
func Error(d Dialect, status int, code, message string) (contentType string, body []byte) {
	body = make([]byte, 0, 96+len(code)+len(message))
	if d == AnthropicMessages {
		return "application/json", anthropicError(body, anthropicErrorType(status), message)
	}
	return "application/json", openAIError(body, status, code, message)
}

// ErrorEvent returns the event that tells a client of dialect d, in the middle of a stream, that there will be no more of it.
// Send it at the end of an event; Reply.Cut knows whether that is so.
func ErrorEvent(d Dialect, code, message string) []byte {
	body := make([]byte, 0, 192+2*(len(code)+len(message)))
	switch d {
	case AnthropicMessages:
		body = append(body, "event: error\ndata: "...)
		body = anthropicError(body, "api_error", message)
	case OpenAIResponses:
		return responsesErrorEvent(body, code, message)
	default:
		body = append(body, "data: "...)
		body = openAIError(body, 502, code, message)
	}
	return append(body, "\n\n"...)
}
