package fake

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"sync"
	"time"
)

// remembered is how many requests a journal holds; older ones are forgotten.
const remembered = 10_000

// Seen is a request as a vendor saw it. What was refused before its body was
// read has no body here.
type Seen struct {
	Vendor     string      `json:"vendor"`
	Time       time.Time   `json:"time"`
	Proto      string      `json:"proto"` // HTTP/1.1 or HTTP/2.0
	Method     string      `json:"method"`
	Host       string      `json:"host"`
	Path       string      `json:"path"` // escaped
	Query      string      `json:"query"`
	Header     http.Header `json:"header"`
	Body       []byte      `json:"body"`
	Digest     string      `json:"digest"`     // SHA-256 of the body, in hex
	Credential string      `json:"credential"` // as presented: a key, a token, an access key id; "" for none
	Via        string      `json:"via"`        // the header that the credential was in, in lower case; "" for query and body
	Subject    string      `json:"subject"`    // whose credential it was, once it was accepted
	Status     int         `json:"status"`     // of the answer; 0 until it has begun
	Refusal    string      `json:"refusal"`    // why, when it was refused
}

type journal struct {
	mu   sync.Mutex
	seen []*Seen
}

func (j *journal) open(s *Seen) {
	sum := sha256.Sum256(s.Body)
	s.Digest = hex.EncodeToString(sum[:])
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.seen) == remembered {
		j.seen = slices.Delete(j.seen, 0, remembered/2)
	}
	j.seen = append(j.seen, s)
}

// note changes an entry under the journal's lock.
func (j *journal) note(change func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	change()
}

func (j *journal) read() []Seen {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := make([]Seen, len(j.seen))
	for i, s := range j.seen {
		out[i] = *s
	}
	return out
}

func (j *journal) clear() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seen = nil
}
