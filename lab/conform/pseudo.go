package conform

import (
	"maps"
	"net/http"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"

	"github.com/egret-gateway/egret/engine"
)

// pseudo is a message's head as an external processor gets it: one list of
// lower-case names, the request line among them as ":method", ":path",
// ":authority" and ":scheme".
type pseudo []field

type field struct{ name, value string }

func (p pseudo) get(name string) string {
	for _, f := range p {
		if f.name == name {
			return f.value
		}
	}
	return ""
}

// pseudoOf puts a request into that form.
func pseudoOf(r *Request) pseudo {
	p := pseudo{{":method", r.Method}, {":path", r.Target}, {":authority", r.Host}, {":scheme", "http"}}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		for _, v := range r.Header[name] {
			p = append(p, field{strings.ToLower(name), v})
		}
	}
	return p
}

// header are the fields that are not pseudo-headers.
func (p pseudo) header() http.Header {
	h := http.Header{}
	for _, f := range p {
		if f.name[0] != ':' {
			name := textproto.CanonicalMIMEHeaderKey(f.name)
			h[name] = append(h[name], f.value)
		}
	}
	return h
}

// head is what the engine wants to know.
func (p pseudo) head(r *Request, entry string, inside bool) engine.Head {
	return engine.Head{
		Gateway: r.Gateway, Port: r.Port, Entry: entry,
		Method: p.get(":method"), Scheme: p.get(":scheme"), Host: p.get(":authority"), Path: p.get(":path"),
		Protocol: "HTTP/1.1", Header: p.header(), Length: int64(len(r.Body)),
		Remote: netip.MustParseAddrPort("127.0.0.1:1"), Inner: inside,
	}
}

// mutation is the answer of an external processor to a head.
type mutation struct {
	remove []string
	set    pseudo // the first of a name replaces, the others are appended
}

// towards is the mutation that makes p the head of an attempt.
func (p pseudo) towards(a *engine.Attempt) mutation {
	m := mutation{set: pseudo{{":path", a.Path}, {":authority", a.Host}}}
	for name := range p.header() {
		if _, stays := a.Header[name]; !stays {
			m.remove = append(m.remove, strings.ToLower(name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.Header)) {
		for _, v := range a.Header[name] {
			m.set = append(m.set, field{strings.ToLower(name), v})
		}
	}
	return m
}

// apply does to a head what Envoy would.
func (p pseudo) apply(m mutation) pseudo {
	gone := map[string]bool{}
	for _, n := range m.remove {
		gone[n] = true
	}
	for _, f := range m.set {
		gone[f.name] = true
	}
	var out pseudo
	for _, f := range p {
		if !gone[f.name] {
			out = append(out, f)
		}
	}
	return append(out, m.set...)
}
