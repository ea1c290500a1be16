package xds

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"slices"
	"strings"
	"time"
)

// subscription is what one stream wants of one type, and what its peer has of it.
type subscription struct {
	typ      string
	delta    bool
	wildcard bool
	names    map[string]struct{} // asked for by name
	everName bool                // has ever asked by name: an empty list no longer means everything

	// have is what the peer was sent last, or said that it has, by name; a
	// Resource without a version is one that it knows not to exist.
	have    map[string]*Resource
	version string // state of the world: version_info last sent or, at first, said
	greet   bool   // the first answer is due even if it is empty

	nonce   string // of the last response
	awaits  bool   // for an answer to it
	sentAt  time.Time
	owes    time.Time // since when it owes an answer, to whichever response
	sentSet *Set

	clean   bool   // nothing differs from the group with version cleanAt
	cleanAt string //
	acked   string // ID of the Set
	refused *Set   // the Set of the last NACK
	nack    *Nack
	out     []string            // names in the last response
	bad     map[string]struct{} // names in refused responses that no accepted one has had since
}

// settled reports whether the peer has acknowledged all of the group.
func (s *subscription) settled(g *Group) bool { return s.clean && s.cleanAt == g.Version && !s.awaits }

// waits returns how much of the patience is left to answer the last response.
func (s *subscription) waits(now time.Time, patience time.Duration) time.Duration {
	if !s.awaits {
		return 0
	}
	return max(0, patience-now.Sub(s.sentAt))
}

// has reports whether the peer has anything of the type.
func (s *subscription) has() bool {
	for _, res := range s.have {
		if res.Version != "" {
			return true
		}
	}
	return !s.delta && s.version != "" // it came with it
}

// dirty makes the next look compare everything.
func (s *subscription) dirty() { s.clean = false }

// wants reports whether the peer asked for the resource of that name.
func (s *subscription) wants(name string) bool {
	_, named := s.names[name]
	return named || s.wildcard
}

// reply is one response to be sent.
type reply struct {
	sub     *subscription
	set     *Set
	group   *Group
	full    bool // Changed is all that there is (state of the world)
	changed []*Resource
	removed []string
	version string
	nonce   string
}

// additions returns the response with what is new or other in g, nil when
// there is nothing to send. Names that were asked for and do not exist count
// as news, once.
func (s *subscription) additions(g *Group) *reply {
	if s.clean && s.cleanAt == g.Version {
		return nil
	}
	if !s.delta {
		return s.world(g, true)
	}
	r := &reply{sub: s, group: g, version: g.Version}
	size := 0
	add := func(res *Resource) bool {
		if had := s.have[res.Name]; had != nil && had.Version == res.Version {
			return true
		}
		if size += len(res.Name) + len(res.Value); size > maxChunk && len(r.changed) > 0 {
			return false
		}
		r.changed = append(r.changed, res)
		return true
	}
	if s.wildcard {
		for i := range g.Resources {
			if !add(&g.Resources[i]) {
				return r
			}
		}
	}
	for _, name := range s.sortedNames() {
		res := g.find(name)
		if res == nil {
			if s.have[name] == nil {
				r.removed = append(r.removed, name)
			}
		} else if !s.wildcard && !add(res) {
			return r
		}
	}
	if len(r.changed)+len(r.removed) == 0 && !s.greet {
		return nil
	}
	return r
}

// removals returns the response that takes away what is gone from g.
func (s *subscription) removals(g *Group) *reply {
	if s.clean && s.cleanAt == g.Version {
		return nil
	}
	if !s.delta {
		return s.world(g, false)
	}
	r := &reply{sub: s, group: g, version: g.Version, removed: s.gone(g)}
	if len(r.removed) == 0 {
		return nil
	}
	return r
}

// gone lists, sorted, what the peer has and g has not.
func (s *subscription) gone(g *Group) (names []string) {
	for name, res := range s.have {
		if res.Version != "" && g.find(name) == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// world returns the whole state in one response, nil when the peer has it.
// With keep, what is gone stays in it, so that nothing is taken away from a
// peer before all that named it has been changed.
func (s *subscription) world(g *Group, keep bool) *reply {
	r := &reply{sub: s, group: g, full: true}
	if s.wildcard {
		for i := range g.Resources {
			r.changed = append(r.changed, &g.Resources[i])
		}
	} else {
		for _, name := range s.sortedNames() {
			if res := g.find(name); res != nil {
				r.changed = append(r.changed, res)
			}
		}
	}
	if keep && s.wildcard {
		for _, name := range s.gone(g) {
			if res := s.have[name]; res.Value != nil {
				r.changed = append(r.changed, res)
			}
		}
	}
	r.version = worldVersion(r.changed)
	if !s.wildcard && len(r.changed) == 0 {
		return nil // what does not exist is passed over in silence
	}
	if r.version == s.version {
		s.hold(r.changed) // a peer that came back has it from an earlier stream
		return nil
	}
	return r
}

// worldVersion is that of a group with these resources, whatever their order.
func worldVersion(rs []*Resource) string {
	if !slices.IsSortedFunc(rs, byName) {
		rs = slices.Clone(rs)
		slices.SortFunc(rs, byName)
	}
	var sum hash.Hash = sha256.New()
	for _, r := range rs {
		writeVersion(sum, r)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

func byName(a, b *Resource) int { return strings.Compare(a.Name, b.Name) }

func (s *subscription) sortedNames() []string {
	names := make([]string, 0, len(s.names))
	for n := range s.names {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// sent notes that r goes out.
func (s *subscription) sent(r *reply, now time.Time) {
	if r.full {
		clear(s.have)
	}
	s.hold(r.changed)
	s.out = append([]string(nil), r.removed...)
	for _, res := range r.changed {
		s.out = append(s.out, res.Name)
	}
	for _, name := range r.removed {
		if _, named := s.names[name]; named {
			s.have[name] = &Resource{Type: s.typ, Name: name}
		} else {
			delete(s.have, name)
		}
	}
	s.version, s.nonce, s.greet = r.version, r.nonce, false
	s.dirty() // the group may be what it was again before the peer answers
	if !s.awaits {
		s.owes = now
	}
	s.awaits, s.sentAt, s.sentSet = true, now, r.set
}

// hold notes that the peer has these.
func (s *subscription) hold(rs []*Resource) {
	for _, res := range rs {
		s.have[res.Name] = res
	}
}

// answered takes the peer's answer to the last response. A refusal stands
// until all that was in the response has been accepted or removed: when some of
// it has, the rest is sent again, since only one of them may have been wrong.
func (s *subscription) answered(refusal string, now time.Time) {
	s.awaits = false
	if refusal != "" {
		if len(refusal) > maxMessage {
			refusal = strings.ToValidUTF8(refusal[:maxMessage], "")
		}
		for _, name := range s.out {
			s.bad[name] = struct{}{}
		}
		s.refused = s.sentSet
		s.nack = &Nack{Set: s.sentSet.ID, Message: refusal, At: now}
		return
	}
	before := len(s.bad)
	if !s.delta {
		clear(s.bad)
	}
	for _, name := range s.out {
		delete(s.bad, name)
	}
	switch {
	case len(s.bad) == 0:
		s.nack, s.refused = nil, nil
	case len(s.bad) < before:
		for name := range s.bad {
			s.resend(name)
		}
	}
}

// resend makes the peer get the resource of that name again, if it has it.
func (s *subscription) resend(name string) {
	if s.have[name] == nil {
		return
	}
	delete(s.have, name)
	if !s.delta {
		s.version = ""
	}
	s.dirty()
}
