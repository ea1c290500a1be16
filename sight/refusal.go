package sight

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
)

// Refusal is how often calls were refused on behalf of one object.
type Refusal struct {
	Object string    `json:"object"` // "AuthPolicy ns/name"
	Code   string    `json:"code"`   // of the answer: "unauthorized", "limited", …
	Status int       `json:"status"`
	Calls  int       `json:"calls"` // since it was told last
	Text   string    `json:"text"`  // why the last one was
	At     time.Time `json:"at"`    // when it was
}

// Check refuses a refusal that no Book of this release has, and makes the others
// fit to be shown, as that of a Fact does.
func (r *Refusal) Check(now time.Time) error {
	if tooLong(r.Object, r.Text) || !isCode(r.Code) || r.Calls < 1 || r.Calls > mostCalls {
		return errors.New("a refusal is not understood")
	}
	r.Text, r.At = brief(r.Text), earlier(r.At, now)
	return nil
}

// isCode reports whether a code is of the shape that the engine's are.
func isCode(code string) bool {
	return code != "" && len(code) <= 32 && strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_") == ""
}

// mostCalls bounds a refusal's, so that their sum has an end.
const mostCalls = 1 << 30

// mostRefusals bounds how many are told apart.
const mostRefusals = 512

// refusals are those that were not taken yet.
type refusals struct {
	mu   sync.Mutex
	list map[[2]string]*Refusal
}

// Turned notes that a call was refused.
func (b *Book) Turned(now time.Time, object, code string, status int, why string) {
	if b == nil || object == "" {
		return
	}
	r := &b.refusals
	r.mu.Lock()
	defer r.mu.Unlock()
	key := [2]string{object, code}
	was := r.list[key]
	if was == nil {
		if len(r.list) >= mostRefusals {
			return
		}
		if r.list == nil {
			r.list = map[[2]string]*Refusal{}
		}
		was = &Refusal{Object: object, Code: code}
		r.list[key] = was
	}
	was.Status, was.Text, was.At = status, why, now
	was.Calls++
}

// Refusals takes what was noted since they were taken last.
func (b *Book) Refusals() []Refusal {
	if b == nil {
		return nil
	}
	r := &b.refusals
	r.mu.Lock()
	list := r.list
	r.list = nil
	r.mu.Unlock()
	var out []Refusal
	for _, x := range list {
		x.Text = brief(x.Text)
		out = append(out, *x)
	}
	slices.SortFunc(out, func(a, b Refusal) int {
		return cmp.Or(strings.Compare(a.Object, b.Object), strings.Compare(a.Code, b.Code))
	})
	return out
}
