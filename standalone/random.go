package standalone

import (
	"crypto/rand"
	"encoding/hex"
	mathrand "math/rand/v2"
)

// newID makes request and trace ids: 128 random bits in lower-case hex.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails (crypto/rand since Go 1.24)
	return hex.EncodeToString(b[:])
}

// random chooses among weights; nothing secret depends on it.
func random(n int64) int64 { return mathrand.Int64N(n) }
