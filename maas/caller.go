package maas

import (
	"encoding/json"
	"net/http"
	"strings"
)

// Headers that say who is calling. The gateway sets them from the token it
// reviewed, in place of any that the client sent.
const (
	HeaderUsername = "X-MaaS-Username"
	HeaderGroup    = "X-MaaS-Group"
)

// caller is who sent a request, as the gateway says.
type caller struct {
	Username string
	Groups   []string
}

// badHeader is what is wrong with an identity header; Ref numbers it.
type badHeader struct {
	Ref, Header, Value string
	problem            string
}

func (e *badHeader) Error() string { return "header " + e.Header + " " + e.problem }

// readCaller reads the identity headers (acceptance maas 27-29).
func readCaller(h http.Header) (*caller, *badHeader) {
	name := strings.TrimSpace(h.Get(HeaderUsername))
	if name == "" {
		return nil, &badHeader{Ref: "001", Header: HeaderUsername, problem: "is missing or blank"}
	}
	raw := h.Get(HeaderGroup)
	if raw == "" {
		return nil, &badHeader{Ref: "002", Header: HeaderGroup, problem: "is missing or empty"}
	}
	bad := &badHeader{Ref: "003", Header: HeaderGroup, Value: raw[:min(len(raw), 200)], problem: "is not a JSON array of strings"}
	var groups []string
	if err := json.Unmarshal([]byte(raw), &groups); err != nil {
		return nil, bad
	}
	if len(groups) == 0 {
		bad.problem = "names no group"
		return nil, bad
	}
	for i, g := range groups {
		groups[i] = strings.TrimSpace(g)
	}
	return &caller{Username: name, Groups: groups}, nil
}
