package maas

import (
	"fmt"
	"slices"
	"strings"
)

// Proof says what a caller of the API's own listener has to prove.
type Proof int

// Values of Proof.
const (
	// ProofToken wants the header. It is the default.
	ProofToken Proof = iota
	// ProofNone believes everybody who reaches the listener. It is for
	// installations behind another gateway, which cannot send a proof; there a
	// NetworkPolicy has to keep everybody else away.
	ProofNone
)

var proofNames = [...]string{ProofToken: "token", ProofNone: "none"}

// MarshalText implements encoding.TextMarshaler: token or none.
func (p Proof) MarshalText() ([]byte, error) { return []byte(proofNames[p]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Proof) UnmarshalText(text []byte) error {
	i := slices.Index(proofNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("%q is neither token nor none", text)
	}
	*p = Proof(i)
	return nil
}

// Accounts are ServiceAccounts as namespace/name, written with commas between.
type Accounts []string

// MarshalText implements encoding.TextMarshaler.
func (a Accounts) MarshalText() ([]byte, error) { return []byte(strings.Join(a, ",")), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Accounts) UnmarshalText(text []byte) error {
	*a = nil
	for one := range strings.SplitSeq(string(text), ",") {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		if namespace, name, ok := strings.Cut(one, "/"); !ok || namespace == "" || name == "" || strings.ContainsAny(name, "/:") {
			return fmt.Errorf("%q is no ServiceAccount; write namespace/name", one)
		}
		*a = append(*a, one)
	}
	return nil
}
