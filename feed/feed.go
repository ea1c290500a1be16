package feed

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/egret-gateway/egret/plan"
)

// Types of resources, in the order in which they are sent: what is named comes
// before what names it, and Head is last.
const (
	TypeSettings = "egret.dev/feed.Settings"
	TypeDenial   = "egret.dev/feed.Denial"
	TypeSecret   = "egret.dev/feed.Secret"
	TypePolicy   = "egret.dev/feed.Policy"
	TypeBackend  = "egret.dev/feed.Backend"
	TypeRule     = "egret.dev/feed.Rule"
	TypeEntries  = "egret.dev/feed.Entries"
	TypePort     = "egret.dev/feed.Port"
	TypeHead     = "egret.dev/feed.Head"
)

// Types lists all types in their order.
var Types = []string{TypeSettings, TypeDenial, TypeSecret, TypePolicy, TypeBackend, TypeRule, TypeEntries, TypePort, TypeHead}

// Audience is that of the projected ServiceAccount tokens by which pods show
// the controller who they are.
const Audience = "egret-xds"

// Feed is all that one Gateway's data plane gets.
type Feed struct {
	Gateway  string // namespace/name
	Plan     *plan.Plan
	Settings Settings
	Denied   []Denial // sorted by Subject
	// Keep are hashes of earlier plans that routers (Envoys) still use: the
	// entries of these must still be served. Sorted.
	Keep []string
}

// Settings are those of a fleet that are no part of a plan. They may hold
// credentials and are never printed whole.
type Settings struct {
	// Counters is the address of the shared quota counters, redis:// or
	// rediss:// with credentials; "" counts in each pod alone.
	Counters string `json:"counters,omitempty"`
	// Ledger is the address of the PostgreSQL usage ledger; "" keeps none.
	Ledger string `json:"ledger,omitempty"`
	// MaaS is the Service (namespace/name) that gets proof of the hop.
	MaaS string `json:"maas,omitempty"`
	// Refuse and Allow are CIDRs that are never, or in spite of Refuse,
	// dialled for a name from outside the cluster.
	Refuse []string `json:"refuse,omitempty"`
	Allow  []string `json:"allow,omitempty"`
	// AccessLog writes a JSON line per request to standard output.
	AccessLog bool `json:"accessLog,omitempty"`
}

// Denial refuses a token ("jti:…") or an identity ("uid:…") on every route
// until the time (acceptance maas 42, 56).
type Denial struct {
	Subject string    `json:"subject"`
	Until   time.Time `json:"until"`
}

// MarshalJSON writes the time in UTC, so that one moment has one form.
func (d Denial) MarshalJSON() ([]byte, error) {
	type plain Denial
	d.Until = d.Until.UTC()
	return json.Marshal(plain(d))
}

// Head says what the parts must add up to. A Feed is served when all of its
// hashes are met.
type Head struct {
	Format   int      `json:"format,omitempty"` // plan.Format that a reader must at least understand; format 1 is left out, as before there were others
	Gateway  string   `json:"gateway"`          // namespace/name
	Plan     string   `json:"plan"`             // hash of the plan
	Epoch    string   `json:"epoch"`            // hash of the denials
	Settings string   `json:"settings"`         // hash of the settings
	Keep     []string `json:"keep,omitempty"`
}

// Epoch is the hash of the denials. An identity that was cached under another
// one must be looked at again.
func (f *Feed) Epoch() string { return epoch(f.Denied) }

func (h Head) equal(o Head) bool {
	return h.Format == o.Format && h.Gateway == o.Gateway && h.Plan == o.Plan && h.Epoch == o.Epoch && h.Settings == o.Settings && slices.Equal(h.Keep, o.Keep)
}
