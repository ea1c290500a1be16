package store

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"
)

// Entry is one line of the usage ledger: one request, what it asked for and what it cost. It never holds a prompt, a
// completion or a credential.
type Entry struct {
	// ID is unique for the request and made by the gateway. It must not be an id that the client sent: an entry whose ID
	// is in the ledger already is taken for a repeated write and dropped.
	ID   string
	Time time.Time // when the request arrived

	User, Tier              string
	Gateway, Route, Backend string
	ModelAsked, ModelServed string // ModelServed is empty when nothing answered
	Dialect                 string
	Verdict                 string // why the request ended as it did: "ok", or the policy or limit that refused it

	Status                               int // of the answer to the client
	Input, Output                        int64
	Cached, CacheWrite, Reasoning, Total int64
	Exact                                bool // tokens are the provider's own figures, not an estimate
	Stream                               bool
	Duration                             time.Duration // from the request's head to the end of the answer
	FirstToken                           time.Duration // to the first token of the answer; zero: there was none
}

const (
	maxText   = 512     // bytes of one text of an Entry
	maxTokens = 1 << 40 // of one Entry; sums of millions of them still fit 64 bits
)

// Bounded returns the entry as it is stored: texts valid UTF-8 of at most 512 bytes, token figures between 0 and 2^40.
// A client's model name of a megabyte fills no queue and a provider's absurd figure breaks no sum. The model names are
// copied, so that an entry that waits does not hold on to the body they were read from.
func (e Entry) Bounded() Entry {
	for _, s := range []*string{
		&e.ID, &e.User, &e.Tier, &e.Gateway, &e.Route, &e.Backend, &e.ModelAsked, &e.ModelServed, &e.Dialect, &e.Verdict,
	} {
		*s = clip(*s)
	}
	e.ModelAsked, e.ModelServed = strings.Clone(e.ModelAsked), strings.Clone(e.ModelServed)
	for _, n := range []*int64{&e.Input, &e.Output, &e.Cached, &e.CacheWrite, &e.Reasoning, &e.Total} {
		*n = min(max(*n, 0), maxTokens)
	}
	return e
}

// clip keeps the beginning of s, cut between two characters, without the bytes that some database refuses.
func clip(s string) string {
	if len(s) > maxText {
		cut := maxText
		for cut > maxText-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// Dimensions by which usage can be grouped.
const (
	ByUser  = "user"
	ByModel = "model" // the model served, or the one asked for when none was
	ByTier  = "tier"
	ByRoute = "route"
	ByDay   = "day"  // 2006-01-02, UTC
	ByHour  = "hour" // 2006-01-02T15:00:00Z
)

// Query selects entries of the ledger. A zero field selects everything.
type Query struct {
	Since, Until time.Time // from Since on, before Until
	User, Model  string    // Model as ByModel has it
	Tier         string
	By           []string // dimensions, each at most once; none: one sum over all
}

// Total is what one group of entries adds up to.
type Total struct {
	Group      []string `json:"group"` // values of Query.By, in its order
	Requests   int64    `json:"requests"`
	Failed     int64    `json:"failed"`    // of them answered with a status of 400 or above
	Estimated  int64    `json:"estimated"` // of them with tokens that are not exact
	Input      int64    `json:"input"`
	Output     int64    `json:"output"`
	Cached     int64    `json:"cached"`
	CacheWrite int64    `json:"cacheWrite"`
	Reasoning  int64    `json:"reasoning"`
	Total      int64    `json:"total"`
}

// Ledger holds the usage ledger.
type Ledger interface {
	// Append adds entries, all or none, except those whose ID is there already. ErrInvalid for one without an ID.
	Append(ctx context.Context, e []Entry) error
	// Usage adds up the selected entries, ordered by group; without an entry the result is empty. ErrInvalid for an
	// unknown or repeated dimension.
	Usage(ctx context.Context, q Query) ([]Total, error)
	// Recent lists the newest entries of a user (of everybody when empty), at most limit and never more than 1000.
	Recent(ctx context.Context, user string, limit int) ([]Entry, error)
	// Forget removes the entries of requests that arrived before the given time, in steps that keep nobody waiting.
	Forget(ctx context.Context, before time.Time) error
}
