package sight

import (
	"cmp"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/egret-gateway/egret/plan"
)

// Kind is what a Fact is about. It is the condition's type behind its domain.
type Kind string

// Kinds of facts.
const (
	Resolved      Kind = "Resolved"      // the name leads somewhere
	Connected     Kind = "Connected"     // connections succeed: TCP and, where it is asked for, TLS with all its checks
	Authenticated Kind = "Authenticated" // the provider takes the platform's credential
)

// Fact is what was last seen of one object, the worst of its ports.
type Fact struct {
	Object string    `json:"object"` // "XBackendDestination default/partner"
	Kind   Kind      `json:"kind"`
	Good   bool      `json:"good"`
	Text   string    `json:"text"`          // a sentence, at most maxText bytes
	At     time.Time `json:"at"`            // when it was last so
	Ends   time.Time `json:"ends,omitzero"` // when the server's certificate does; of Connected alone
}

// Same reports whether two facts say the same, perhaps of another moment.
func (f Fact) Same(o Fact) bool {
	return f.Object == o.Object && f.Kind == o.Kind && f.Good == o.Good && f.Text == o.Text && f.Ends.Equal(o.Ends)
}

// Check refuses a fact that no Book of this release has. What another process
// told is made fit to be shown, and is of now at the latest: the newest counts.
func (f *Fact) Check(now time.Time) error {
	if _, known := reasons[f.Kind]; !known || tooLong(f.Object, f.Text) {
		return fmt.Errorf("a fact of kind %.32q is not understood, or too long", f.Kind)
	}
	f.Text, f.At = brief(f.Text), earlier(f.At, now)
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.After(b) {
		return b
	}
	return a
}

func tooLong(object, text string) bool { return len(object) > maxObject || len(text) > 2*maxText }

const (
	// often is how soon after a fact the same is noted again.
	often = time.Second
	// maxText bounds what a fact says.
	maxText = 512
	// maxObject bounds the name of an object: a kind, a namespace and a name.
	maxObject = 512
	// mostShown are the addresses of a name that are listed.
	mostShown = 8
)

// Book keeps the last facts of all backends of the plan in force. The zero Book
// is empty; a nil one notes nothing.
type Book struct {
	mu       sync.Mutex
	backends map[string]*Backend // by name
	refusals refusals
}

// Backend is where facts about one backend are noted. A nil one notes nothing.
type Backend struct {
	of   atomic.Pointer[plan.Backend]
	last [len(places)]atomic.Pointer[Fact] // by place
}

// Places of facts.
const (
	resolved = iota
	connected
	authenticated
)

var places = [...]Kind{resolved: Resolved, connected: Connected, authenticated: Authenticated}

// Use makes p's the backends that facts are kept of. Those of a backend that is
// elsewhere now, or trusted otherwise, are forgotten.
func (b *Book) Use(p *plan.Plan) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	next := make(map[string]*Backend, len(p.Backends))
	for i := range p.Backends {
		of := &p.Backends[i]
		x := b.backends[of.Name]
		if x == nil || elsewhere(x.of.Load(), of) {
			x = &Backend{}
		}
		x.of.Store(of)
		next[of.Name] = x
	}
	b.backends = next
}

func elsewhere(a, b *plan.Backend) bool {
	return a.Host != b.Host || a.Port != b.Port || !reflect.DeepEqual(a.TLS, b.TLS)
}

// Of is where facts about a backend are noted, nil for one that is not in use.
func (b *Book) Of(backend string) *Backend {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.backends[backend]
}

// Answered notes that a backend has answered, over a connection on which the
// server showed a certificate that ends then; zero = none was shown.
func (b *Backend) Answered(now, ends time.Time) {
	if b == nil {
		return
	}
	if was := b.last[connected].Load(); was != nil && was.Good && (was.Ends.Equal(ends) || ends.IsZero()) {
		b.again(connected, was, now)
		return
	}
	text := "The server answered; the connection is not encrypted."
	if t := b.of.Load().TLS; t != nil {
		text = "The server proved who it is"
		if t.SkipVerify && len(t.Pins) == 0 {
			text = "The server answered over TLS and was not asked to prove who it is"
		}
		if !ends.IsZero() {
			text += "; its certificate ends at " + ends.UTC().Format(time.RFC3339)
		}
		text += "."
	}
	b.note(connected, Fact{Good: true, Text: text, At: now, Ends: ends})
}

// Unreached notes why no connection came about.
func (b *Backend) Unreached(now time.Time, why string) { b.said(connected, false, now, why) }

// Took notes that the provider has taken the platform's credential.
func (b *Backend) Took(now time.Time) {
	if b == nil {
		return
	}
	if was := b.last[authenticated].Load(); was != nil && was.Good {
		b.again(authenticated, was, now)
		return
	}
	b.note(authenticated, Fact{Good: true, Text: "The provider takes the credential.", At: now})
}

// Refused notes that the provider does not take the platform's credential, or
// that there is none to be had.
func (b *Backend) Refused(now time.Time, why string) { b.said(authenticated, false, now, why) }

// Looked notes what came of looking the backend's name up.
func (b *Backend) Looked(at time.Time, found []netip.Addr, err error) {
	if b == nil || at.IsZero() {
		return
	}
	if was := b.last[resolved].Load(); was != nil && !at.After(was.At) {
		return
	}
	if err != nil {
		b.said(resolved, false, at, err.Error())
		return
	}
	found = slices.Clone(found)
	slices.SortFunc(found, netip.Addr.Compare)
	var shown []string
	for _, a := range found[:min(len(found), mostShown)] {
		shown = append(shown, a.String())
	}
	text := b.of.Load().Host + " is at " + strings.Join(shown, ", ")
	if more := len(found) - len(shown); more > 0 {
		text += fmt.Sprintf(" and %d more addresses", more)
	}
	b.said(resolved, true, at, text+".")
}

// said notes a fact in words.
func (b *Backend) said(at int, good bool, now time.Time, text string) {
	if b == nil {
		return
	}
	text = brief(text)
	if was := b.last[at].Load(); was != nil && was.Good == good && was.Text == text {
		b.again(at, was, now)
		return
	}
	b.note(at, Fact{Good: good, Text: text, At: now})
}

// brief is a text that others had a say in, fit to be shown.
func brief(text string) string {
	cut := len(text) > maxText
	if cut {
		text = text[:maxText]
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, ""))
	if cut {
		text += "…"
	}
	return text
}

func (b *Backend) note(at int, f Fact) {
	f.Object, f.Kind = b.of.Load().Object, places[at]
	b.last[at].Store(&f)
}

// again notes that a fact is still so.
func (b *Backend) again(at int, was *Fact, now time.Time) {
	if now.Sub(was.At) < often {
		return
	}
	f := *was
	f.At = now
	b.last[at].CompareAndSwap(was, &f) // what was noted meanwhile is newer
}

// Look asks where the names of backends lead: known returns what is known of
// one without looking it up, at a zero time when nothing is.
func (b *Book) Look(known func(*plan.Backend) (found []netip.Addr, at time.Time, err error)) {
	for _, x := range b.list() {
		of := x.of.Load()
		if _, err := netip.ParseAddr(of.Host); of.Host == "" || err == nil {
			continue
		}
		found, at, err := known(of)
		x.Looked(at, found, err)
	}
}

// Facts are the last of each kind, by object and kind. Of an object with several
// ports what is bad counts, and else what is newest.
func (b *Book) Facts() []Fact {
	var out []Fact
	for _, x := range b.list() {
		for i := range x.last {
			if f := x.last[i].Load(); f != nil {
				out = append(out, *f)
			}
		}
	}
	return Worst(out)
}

// Worst leaves one fact of each kind and object: one that is bad before one that
// is good, then the newest.
func Worst(facts []Fact) []Fact {
	slices.SortFunc(facts, func(a, b Fact) int {
		return cmp.Or(strings.Compare(a.Object, b.Object), strings.Compare(string(a.Kind), string(b.Kind)),
			badFirst(a, b), b.At.Compare(a.At), strings.Compare(a.Text, b.Text))
	})
	return slices.CompactFunc(facts, func(a, b Fact) bool { return a.Object == b.Object && a.Kind == b.Kind })
}

func badFirst(a, b Fact) int {
	switch {
	case a.Good == b.Good:
		return 0
	case b.Good:
		return -1
	}
	return 1
}

func (b *Book) list() []*Backend {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]*Backend, 0, len(b.backends))
	for _, x := range b.backends {
		out = append(out, x)
	}
	return out
}
