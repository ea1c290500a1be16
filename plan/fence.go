package plan

import (
	"fmt"
	"net/netip"
)

// Fence is what an operator says about the addresses that the backends of a
// namespace may lead to. Ranges are CIDRs.
type Fence struct {
	Only []string `json:"only,omitempty"` // none = all
	Deny []string `json:"deny,omitempty"` // wins
}

// Proxy is an HTTP proxy that tunnels to a backend (CONNECT, RFC 9110 9.3.6).
// Host and Port of the backend are what it is asked for, as a name: TLS to the
// backend is spoken through the tunnel and verified as without one.
type Proxy struct {
	Host   string `json:"host,omitempty"`
	Port   int32  `json:"port,omitempty"`
	Secret string `json:"secret,omitempty"` // name of a Secret of kind opaque: username, password
}

// check refuses ranges that cannot be read: what they keep away must not pass.
func (f *Fence) check() error {
	if f == nil {
		return nil
	}
	for _, list := range [][]string{f.Only, f.Deny} {
		for _, text := range list {
			if _, err := netip.ParsePrefix(text); err != nil {
				return fmt.Errorf("range of addresses: %w", err)
			}
		}
	}
	return nil
}
