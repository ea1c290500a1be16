package xds

import (
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// request is a word of the peer, in either protocol.
type request struct {
	node, agent string
	typ         string
	nonce       string // of the response that it answers; "" answers none
	refused     bool
	refusal     string

	names []string // state of the world: all that it wants
	have  string   // state of the world: version_info

	subscribe, unsubscribe []string          // delta
	initial                map[string]string // delta: versions by name
}

// everything reports whether an empty list of names of a type means all of
// it: for listeners and clusters (xDS protocol, "How the client specifies what
// resources to return"), and for types that are not Envoy's.
func everything(typ string) bool {
	return typ == TypeListener || typ == TypeCluster || !strings.HasPrefix(typ, "type.googleapis.com/envoy.")
}

// take applies a request. The caller holds the node's lock.
func (st *stream) take(r *request) error {
	sub := st.subs[r.typ]
	first := sub == nil
	if first {
		if r.typ == "" {
			return status.Error(codes.InvalidArgument, "a request on an aggregated stream needs a type_url")
		}
		if len(st.subs) == maxTypes {
			return status.Errorf(codes.ResourceExhausted, "more than %d types on one stream", maxTypes)
		}
		sub = &subscription{typ: r.typ, delta: st.delta, names: map[string]struct{}{}, have: map[string]*Resource{}, bad: map[string]struct{}{}}
		st.subs[r.typ] = sub
	}
	if !first && r.nonce != "" {
		if r.nonce == sub.nonce {
			st.answer(sub, r)
		} else if !st.delta {
			return nil // it has not seen the newer response yet and will answer that
		}
	}
	for _, names := range [][]string{r.names, r.subscribe} {
		if slices.ContainsFunc(names, func(n string) bool { return len(n) > maxName }) {
			return status.Errorf(codes.InvalidArgument, "a name has more than %d bytes", maxName)
		}
	}
	if st.delta {
		sub.change(r, first)
	} else {
		sub.replace(r, first)
	}
	total := 0
	for _, s := range st.subs {
		total += len(s.names)
	}
	if total > maxNames {
		return status.Errorf(codes.ResourceExhausted, "more than %d names on one stream", maxNames)
	}
	return nil
}

// answer notes an acknowledgement or a refusal of the last response.
func (st *stream) answer(sub *subscription, r *request) {
	if !sub.awaits {
		return
	}
	text := ""
	if r.refused {
		if text = r.refusal; text == "" {
			text = "refused without a reason"
		}
	}
	sub.answered(text, st.server.opts.Now())
	if r.refused {
		st.server.counts.add(sub.typ, func(c *Count) { c.Nacks++ })
		st.server.opts.Log.Warn("a data plane refused its configuration", "node", st.node.id, "type", sub.typ, "set", sub.sentSet.ID, "error", sub.nack.Message)
	}
	st.node.note()
}

// change applies an incremental request.
func (s *subscription) change(r *request, first bool) {
	if first {
		s.wildcard = len(r.subscribe) == 0 && everything(s.typ)
		for name, version := range r.initial {
			if version != "" {
				s.have[name] = &Resource{Type: s.typ, Name: name, Version: version}
			}
		}
	}
	for _, name := range r.subscribe {
		if name == "*" {
			s.wildcard = true
			continue
		}
		s.names[name] = struct{}{}
		if !first {
			delete(s.have, name) // asked for again: answered again
		}
	}
	for _, name := range r.unsubscribe {
		if name == "*" {
			s.wildcard = false
			continue
		}
		delete(s.names, name)
		delete(s.have, name) // what "*" still covers is sent again
	}
	if first || len(r.subscribe)+len(r.unsubscribe) > 0 {
		for name := range s.have {
			if !s.wants(name) {
				delete(s.have, name)
			}
		}
		s.dirty()
	}
	s.greet = s.greet || first && s.wildcard
}

// replace applies a state-of-the-world request, which names all that the peer
// wants.
func (s *subscription) replace(r *request, first bool) {
	names, star := make(map[string]struct{}, len(r.names)), false
	for _, name := range r.names {
		if name == "*" {
			star = true
		} else {
			names[name] = struct{}{}
		}
	}
	s.everName = s.everName || len(r.names) > 0
	wildcard := star || len(r.names) == 0 && !s.everName && everything(s.typ)
	if first {
		s.version = r.have
	}
	more := wildcard && !s.wildcard
	for name := range names {
		if _, ok := s.names[name]; !ok && !wildcard {
			more = true
		}
	}
	if !first && more {
		s.version = "" // it waits for what it asked for
	}
	if first || more || wildcard != s.wildcard || len(names) != len(s.names) {
		s.dirty()
	}
	s.names, s.wildcard = names, wildcard
}
