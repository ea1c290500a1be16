package cache

import (
	"crypto/sha256"
	"encoding/binary"
)

// Key names an entry: a SHA-256 digest over everything the answer depends on.
type Key [sha256.Size]byte

// Sum digests parts byte for byte, each preceded by its length, so that
// ("ab", "c") and ("a", "bc") differ. Nothing is folded or trimmed: a token is
// case-sensitive.
func Sum(parts ...string) Key {
	var buf [2048]byte // the usual token and what surrounds it fit without an allocation
	b := buf[:0]
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	return sha256.Sum256(b)
}
