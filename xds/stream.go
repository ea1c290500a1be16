package xds

import (
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// stream is one peer's stream. Its handler alone changes it, under the node's
// lock.
type stream struct {
	server *Server
	node   *node
	number int64
	peer   string
	host   string
	agent  string
	delta  bool
	since  time.Time
	end    context.CancelFunc // ends it, because the node is gone
	wake   chan struct{}      // look again

	subs   map[string]*subscription
	nonces uint64
	gated  time.Time // since when the gate holds something back; zero = it does not
}

// wire is a stream of either protocol.
type wire interface {
	Context() context.Context
	recv() (*request, error)
	send(*reply) error
	accept() error // sends the headers
}

// serve runs a stream to its end.
func (s *Server) serve(w wire, delta bool) error {
	if err := s.opts.Serving(); err != nil {
		return status.Error(codes.Unavailable, err.Error())
	}
	who, err := s.opts.Authenticate(w.Context())
	if err != nil {
		s.opts.Log.Warn("refused a stream", "peer", address(w.Context()), "error", err)
		return status.Error(codes.Unauthenticated, "the token was not accepted; the controller's log says why")
	}
	ctx, end := context.WithCancel(w.Context())
	defer end()
	in := make(chan *request)
	broken := make(chan error, 1)
	go func() { broken <- receive(ctx, w, in) }()

	var hello *request
	select {
	case hello = <-in:
	case err := <-broken:
		return closed(err)
	case <-time.After(firstWord):
		return status.Error(codes.DeadlineExceeded, "nothing was asked for on this stream")
	}
	if !who.Nodes(hello.node) {
		s.opts.Log.Warn("refused a stream for a node that is not the peer's own", "peer", address(ctx), "node", hello.node)
		return status.Errorf(codes.PermissionDenied, "the token does not speak for node %q", hello.node)
	}
	st, err := s.join(ctx, who, hello, delta, end)
	if err != nil {
		return err
	}
	defer s.leave(st)
	if err := w.accept(); err != nil {
		return err
	}
	return st.run(ctx, w, hello, in, broken)
}

// receive passes on what the peer says until the stream ends.
func receive(ctx context.Context, w wire, in chan<- *request) error {
	for {
		r, err := w.recv()
		if err != nil {
			return err
		}
		select {
		case in <- r:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// closed is what a handler returns when receiving has ended: nothing, when the
// peer just left.
func closed(err error) error {
	if code := status.Code(err); code == codes.ResourceExhausted {
		return err
	}
	return nil
}

func address(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok {
		return p.Addr.String()
	}
	return ""
}

// join adds a stream to its node.
func (s *Server) join(ctx context.Context, who Peer, hello *request, delta bool, end context.CancelFunc) (*stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams >= maxStreams {
		return nil, status.Errorf(codes.ResourceExhausted, "more than %d streams", maxStreams)
	}
	n := s.node(hello.node)
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.streams) >= maxPerNode {
		return nil, status.Errorf(codes.ResourceExhausted, "more than %d streams for one node", maxPerNode)
	}
	s.streams++
	s.accepted++
	st := &stream{
		server: s, node: n, number: s.accepted, peer: address(ctx), host: who.Host, agent: hello.agent, delta: delta, since: s.opts.Now(),
		end: end, wake: make(chan struct{}, 1), subs: map[string]*subscription{},
	}
	n.streams[st] = struct{}{}
	n.note()
	return st, nil
}

// leave takes a stream away; what waited for it goes on.
func (s *Server) leave(st *stream) {
	n := st.node
	n.mu.Lock()
	delete(n.streams, st)
	n.release(s.opts.Now())
	n.note()
	n.mu.Unlock()
	s.mu.Lock()
	s.streams--
	s.forget(n)
	s.mu.Unlock()
	s.changed(n)
}

// run sends what is due until the stream ends. It wakes up
//   - for a word of the peer;
//   - when the node's Set or the gate changed;
//   - when an answer, or the gate, has been waited for long enough;
//   - every second, to see whether this replica still serves.
func (st *stream) run(ctx context.Context, w wire, hello *request, in <-chan *request, broken <-chan error) error {
	if err := st.hear(hello); err != nil {
		return err
	}
	leader := time.NewTicker(checkLeader)
	defer leader.Stop()
	patience := time.NewTimer(time.Hour)
	defer patience.Stop()
	for {
		r, wait := st.step()
		st.server.changed(st.node)
		if r != nil {
			if err := w.send(r); err != nil {
				return err
			}
			continue
		}
		if wait > 0 {
			patience.Reset(wait)
		} else {
			patience.Stop()
		}
		select {
		case req := <-in:
			if err := st.hear(req); err != nil {
				return err
			}
		case err := <-broken:
			return closed(err)
		case <-ctx.Done():
			return status.Error(codes.Unavailable, "there is nothing for this node any more")
		case <-leader.C:
			if err := st.server.opts.Serving(); err != nil {
				return status.Error(codes.Unavailable, err.Error())
			}
		case <-st.wake:
		case <-patience.C:
		}
	}
}

// hear takes a word of the peer.
func (st *stream) hear(r *request) error {
	if r.node != "" && r.node != st.node.id {
		return status.Error(codes.InvalidArgument, "a stream is for one node")
	}
	st.node.mu.Lock()
	defer st.node.mu.Unlock()
	return st.take(r)
}

// step returns the response that is due, noted as sent, or how long to wait
// for what else would not announce itself (0 = for ever).
func (st *stream) step() (*reply, time.Duration) {
	now := st.server.opts.Now()
	n := st.node
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.set == nil {
		return nil, 0
	}
	r, wait := st.due(n.set, now)
	if r != nil {
		st.commit(r, now)
	}
	st.acknowledged(n.set)
	n.release(now)
	return r, wait
}

// due finds the next response: first what is before the gate, in order, then
// its removals, in reverse; then the same behind the gate.
func (st *stream) due(set *Set, now time.Time) (*reply, time.Duration) {
	if left := st.waits(now); left > 0 {
		return st.warm(set, now), left
	}
	if r := st.first(set.below()); r != nil {
		return r, 0
	}
	if r := st.first(st.others(set)); r != nil {
		return r, 0
	}
	r := st.first(set.Types[set.gate():])
	if r == nil {
		st.gated = time.Time{}
		return nil, 0
	}
	if limit := st.node.closed(st, now); limit > 0 {
		if st.gated.IsZero() {
			st.gated = now
		}
		if left := limit - now.Sub(st.gated); left > 0 {
			return nil, left
		}
	}
	return r, 0
}

// waits returns for how long answers are still waited for before the next
// response is sent; 0 = none is.
func (st *stream) waits(now time.Time) (left time.Duration) {
	for _, sub := range st.subs {
		left = max(left, sub.waits(now, st.node.patience))
	}
	return left
}

// warm returns what clusters that were sent may lack. Envoy accepts none
// before it has their endpoints and certificates (xDS protocol, "Resource
// warming"), so these do not wait for its answer.
func (st *stream) warm(set *Set, now time.Time) *reply {
	if c := st.subs[TypeCluster]; c == nil || c.waits(now, st.node.patience) == 0 {
		return nil
	}
	for i := range set.Types {
		switch g := &set.Types[i]; g.Type {
		case TypeSecret, TypeEndpoints:
			if sub := st.subs[g.Type]; sub != nil && !sub.awaits {
				if r := sub.additions(g); r != nil {
					return r
				}
			}
		}
	}
	return nil
}

// first returns the first response that the groups give cause for.
func (st *stream) first(groups []Group) *reply {
	for i := range groups {
		if sub := st.subs[groups[i].Type]; sub != nil {
			if r := sub.additions(&groups[i]); r != nil {
				return r
			}
		}
	}
	for i := range slices.Backward(groups) {
		sub := st.subs[groups[i].Type]
		if sub == nil {
			continue
		}
		if r := sub.removals(&groups[i]); r != nil {
			return r
		}
		sub.clean, sub.cleanAt = true, groups[i].Version
	}
	return nil
}

// others are empty groups of the types that the stream subscribes to and the
// Set does not have, for a peer that has nothing of them to hear so. What one
// has of them it keeps: only a Set that has the type says that it is gone.
func (st *stream) others(set *Set) (out []Group) {
	for t, sub := range st.subs {
		if !sub.has() && !slices.ContainsFunc(set.Types, func(g Group) bool { return g.Type == t }) {
			out = append(out, Group{Type: t, Version: worldVersion(nil)})
		}
	}
	slices.SortFunc(out, func(a, b Group) int { return strings.Compare(a.Type, b.Type) })
	return out
}

// commit notes that r is sent.
func (st *stream) commit(r *reply, now time.Time) {
	st.nonces++
	r.set, r.nonce = st.node.set, nonce(st.nonces)
	var size int
	for _, res := range r.changed {
		size += len(res.Value)
		st.follow(r.sub, res)
	}
	r.sub.sent(r, now)
	st.server.counts.add(r.sub.typ, func(c *Count) {
		c.Pushes++
		c.Resources += uint64(len(r.changed) + len(r.removed))
		c.Bytes += uint64(size)
	})
}

// follow has the endpoints of a cluster that changes sent after it, though
// they did not: Envoy warms the changed cluster until it hears them (xDS
// protocol, "Resource warming"). Endpoints bear their cluster's name.
func (st *stream) follow(sub *subscription, res *Resource) {
	if sub.typ != TypeCluster {
		return
	}
	if had := sub.have[res.Name]; had != nil && had.Version != res.Version {
		if endpoints := st.subs[TypeEndpoints]; endpoints != nil {
			endpoints.resend(res.Name)
		}
	}
}

// acknowledged notes up to which Set each type has been acknowledged.
func (st *stream) acknowledged(set *Set) {
	for i := range set.Types {
		g := &set.Types[i]
		sub := st.subs[g.Type]
		if sub != nil && sub.settled(g) && sub.nack == nil && sub.acked != set.ID {
			sub.acked = set.ID
			st.node.note()
		}
	}
}

// late reports whether the peer owes an answer for longer than the patience.
func (st *stream) late(now time.Time) bool {
	for _, sub := range st.subs {
		if sub.awaits && now.Sub(sub.owes) >= st.node.patience {
			return true
		}
	}
	return false
}

func (st *stream) poke() {
	select {
	case st.wake <- struct{}{}:
	default:
	}
}

// snapshot is what Streams tells of it.
func (st *stream) snapshot() Stream {
	out := Stream{Peer: st.peer, Host: st.host, Agent: st.agent, Delta: st.delta, Since: st.since, number: st.number}
	for _, sub := range st.subs {
		out.Types = append(out.Types, Subscription{Type: sub.typ, Wildcard: sub.wildcard, Names: len(sub.names), Acked: sub.acked, Nack: sub.nack})
	}
	slices.SortFunc(out.Types, func(a, b Subscription) int { return strings.Compare(a.Type, b.Type) })
	return out
}
