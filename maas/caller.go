package maas

import (
	"encoding/json"
	"errors"
	"fmt"
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

// readCaller reads the identity headers; ref numbers what is wrong with them
// (acceptance maas 27-29).
func readCaller(h http.Header) (who *caller, ref string, err error) {
	name := strings.TrimSpace(h.Get(HeaderUsername))
	if name == "" {
		return nil, "001", errors.New("header " + HeaderUsername + " is missing or blank")
	}
	raw := h.Get(HeaderGroup)
	if raw == "" {
		return nil, "002", errors.New("header " + HeaderGroup + " is missing or empty")
	}
	var groups []string
	if err := json.Unmarshal([]byte(raw), &groups); err != nil {
		return nil, "003", fmt.Errorf("header %s is %.200q, not a JSON array of strings", HeaderGroup, raw)
	}
	if len(groups) == 0 {
		return nil, "003", errors.New("header " + HeaderGroup + " names no group")
	}
	for i, g := range groups {
		groups[i] = strings.TrimSpace(g)
	}
	return &caller{Username: name, Groups: groups}, "", nil
}
