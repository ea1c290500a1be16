package credential

import (
	"fmt"
	"slices"
	"strings"
)

// own are the fields that the gateway makes itself, or that frame a message.
var own = []string{
	"host", "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "content-length",
	"content-encoding", "accept-encoding", "expect", "traceparent", "tracestate", "x-request-id", "x-forwarded-proto",
}

// reserved reports whether a field is not an injector's to set.
func reserved(name string) bool {
	name = strings.ToLower(strings.ReplaceAll(name, "_", "-"))
	return slices.Contains(own, name) || strings.HasPrefix(name, "x-envoy-") || strings.HasPrefix(name, "x-maas-")
}

// visible reports whether a text can be part of a header field's value
// (RFC 9110 5.5, in ASCII).
func visible(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}

// Value returns what an item of a Secret says: without the line break that
// editors and shells put at its end. It must fit into one header field.
func Value(item []byte) (string, error) {
	v := strings.TrimSpace(string(item))
	switch {
	case v == "":
		return "", fmt.Errorf("is empty")
	case !visible(v):
		return "", fmt.Errorf("has characters that no header field may hold")
	}
	return v, nil
}

// beside checks the static headers.
func (in *Injector) beside() *Error {
	if len(in.Headers) > mostItems {
		return &Error{"headers", fmt.Sprintf("has %d items; at most %d are taken", len(in.Headers), mostItems)}
	}
	seen := map[string]bool{}
	for i, h := range in.Headers {
		field, name := fmt.Sprintf("headers[%d].", i), strings.ToLower(h.Name)
		switch {
		case !token.MatchString(h.Name):
			return &Error{field + "name", fmt.Sprintf("%q is no name of a header field", h.Name)}
		case reserved(name):
			return &Error{field + "name", h.Name + " is the gateway's own to set"}
		case seen[name]:
			return &Error{field + "name", h.Name + " stands twice"}
		case !visible(h.Value):
			return &Error{field + "value", "has characters that no header field may hold"}
		}
		seen[name] = true
	}
	return nil
}
