package xdstest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"google.golang.org/grpc"

	"github.com/egret-gateway/egret/xds"
)

// Peer is a client of an xds.Server. Its methods may be called by several
// goroutines, but Recv and Run by one only.
type Peer struct {
	Node  string
	Agent string
	Delta bool
	// Refuse returns why a response is not accepted, "" to accept it; nil
	// accepts everything. Of Run.
	Refuse func(Response) string
	// Follow returns the names, by type, that a resource makes the peer ask
	// for, as a cluster does for its endpoints; nil = none. Of Run.
	Follow func(xds.Resource) map[string][]string
	// Heard is called by Run after each response was answered; nil = nobody
	// wants to know.
	Heard func(Response)

	mu     sync.Mutex
	wire   wire
	first  bool // nothing was said on this stream yet
	types  map[string]*asked
	bytes  int
	counts int
}

// asked is what the peer asked for of one type, and what it has.
type asked struct {
	wildcard bool
	names    map[string]bool
	have     map[string]xds.Resource
	version  string // state of the world: of the last response accepted
	nonce    string // of the last response on this stream
}

// Response is one message of the server.
type Response struct {
	Type    string
	Changed []xds.Resource
	Removed []string // delta
	Version string   // of the whole
	Nonce   string
	Bytes   int // on the wire, before compression
}

// Names lists the names in Changed.
func (r Response) Names() (names []string) {
	for i := range r.Changed {
		names = append(names, r.Changed[i].Name)
	}
	return names
}

// wire is a stream of either protocol.
type wire interface {
	send(request) error
	recv() (Response, error)
}

type request struct {
	node, agent            string
	typ                    string
	subscribe, unsubscribe []string
	initial                map[string]string
	names                  []string
	version, nonce         string
	refusal                string
}

// Open opens a stream. A peer that had one before asks again for what it asked
// for then, and says what it has, as Envoy does.
func (p *Peer) Open(ctx context.Context, conn grpc.ClientConnInterface) error {
	w, err := open(ctx, conn, p.Delta)
	if err != nil {
		return fmt.Errorf("open a stream: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wire, p.first = w, true
	if p.types == nil {
		p.types = map[string]*asked{}
	}
	for _, typ := range slices.Sorted(maps.Keys(p.types)) {
		a := p.types[typ]
		a.nonce = ""
		initial := map[string]string{}
		for name, r := range a.have {
			initial[name] = r.Version
		}
		if err := p.say(typ, request{subscribe: a.list(), initial: initial}); err != nil {
			return err
		}
	}
	return nil
}

// Subscribe asks for resources by name; without names, or with "*", for all.
func (p *Peer) Subscribe(typ string, names ...string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.types[typ]
	if a == nil {
		a = &asked{names: map[string]bool{}, have: map[string]xds.Resource{}}
		p.types[typ] = a
	}
	a.wildcard = a.wildcard || len(names) == 0 || slices.Contains(names, "*")
	for _, n := range names {
		if n != "*" {
			a.names[n] = true
		}
	}
	return p.say(typ, request{subscribe: names})
}

// Unsubscribe takes names back and forgets what they had.
func (p *Peer) Unsubscribe(typ string, names ...string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.types[typ]
	for _, n := range names {
		delete(a.names, n)
		delete(a.have, n)
		if n == "*" {
			a.wildcard = false
		}
	}
	return p.say(typ, request{unsubscribe: names})
}

// say sends a request with what every request has. p.mu is held.
func (p *Peer) say(typ string, r request) error {
	a := p.types[typ]
	r.typ, r.names, r.version = typ, a.list(), a.version
	if !p.Delta {
		r.nonce = a.nonce
	}
	if p.first {
		r.node, r.agent, p.first = p.Node, p.Agent, false
	}
	if err := p.wire.send(r); err != nil {
		return fmt.Errorf("send a request for %s: %w", typ, err)
	}
	return nil
}

// list is what the peer asks for, in the order of names; nothing is all.
func (a *asked) list() []string {
	names := slices.Sorted(maps.Keys(a.names))
	if a.wildcard && len(names) > 0 {
		names = append(names, "*")
	}
	return names
}

// Recv returns the next response, which is neither applied nor answered.
func (p *Peer) Recv() (Response, error) {
	p.mu.Lock()
	w := p.wire
	p.mu.Unlock()
	r, err := w.recv()
	if err != nil {
		return Response{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts++
	p.bytes += r.Bytes
	if a := p.types[r.Type]; a != nil {
		a.nonce = r.Nonce
	}
	return r, nil
}

// Ack applies a response and acknowledges it.
func (p *Peer) Ack(r Response) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.types[r.Type]
	if a == nil {
		return fmt.Errorf("a response of type %q, which was not asked for", r.Type)
	}
	if !p.Delta {
		clear(a.have)
		a.version = r.Version
	}
	for _, res := range r.Changed {
		a.have[res.Name] = res
	}
	for _, name := range r.Removed {
		delete(a.have, name)
	}
	return p.answer(r, "")
}

// Nack refuses a response.
func (p *Peer) Nack(r Response, why string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.answer(r, why)
}

func (p *Peer) answer(r Response, refusal string) error {
	a := p.types[r.Type]
	if err := p.wire.send(request{typ: r.Type, names: a.list(), version: a.version, nonce: r.Nonce, refusal: refusal}); err != nil {
		return fmt.Errorf("answer a response of %s: %w", r.Type, err)
	}
	return nil
}

// Run answers responses until the stream ends, and returns why it did.
func (p *Peer) Run() error {
	for {
		r, err := p.Recv()
		if err != nil {
			return err
		}
		why := ""
		if p.Refuse != nil {
			why = p.Refuse(r)
		}
		if why != "" {
			err = p.Nack(r, why)
		} else if err = p.Ack(r); err == nil {
			err = p.follow(r)
		}
		if err != nil {
			continue // Recv tells why
		}
		if p.Heard != nil {
			p.Heard(r)
		}
	}
}

// follow asks for what the resources of a response name.
func (p *Peer) follow(r Response) error {
	if p.Follow == nil {
		return nil
	}
	more := map[string][]string{}
	for _, res := range r.Changed {
		for typ, names := range p.Follow(res) {
			more[typ] = append(more[typ], names...)
		}
	}
	for _, typ := range slices.Sorted(maps.Keys(more)) {
		names := p.unknown(typ, more[typ])
		if len(names) == 0 {
			continue
		}
		if err := p.Subscribe(typ, names...); err != nil {
			return err
		}
	}
	return nil
}

// unknown returns those names that were not asked for yet.
func (p *Peer) unknown(typ string, names []string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.types[typ]
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(n string) bool { return a != nil && a.names[n] })
}

// Have returns the resources of a type that the peer has, by name.
func (p *Peer) Have(typ string) map[string]xds.Resource {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.types[typ]; a != nil {
		return maps.Clone(a.have)
	}
	return nil
}

// Received returns how many responses came over all streams, and their bytes.
func (p *Peer) Received() (responses, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts, p.bytes
}
