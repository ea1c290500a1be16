package feed

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/egret-gateway/egret/sight"
	"github.com/egret-gateway/egret/xds"
)

// Word is what a pod tells its controller, in JSON within a BytesValue.
type Word struct {
	Node     string          `json:"node"`               // the pod's xDS node id
	Facts    []sight.Fact    `json:"facts,omitempty"`    // that are news
	Refusals []sight.Refusal `json:"refusals,omitempty"` // since the word before
}

// telling is the stream of words, on the connection that the feed comes by.
const (
	tellingService = "egret.dev.Sight"
	tellingMethod  = "Tell"
)

// Bounds of a word, and how soon what becomes known is told.
const (
	mostTold  = 512 // facts, and as many refusals
	tellEvery = time.Second
	// A fact that is still so is told again after stillSo, and one that is as
	// good as before in other words, such as a name that leads to other addresses
	// each time, after reworded.
	stillSo  = 5 * time.Minute
	reworded = time.Minute
)

// Teller tells the controller what a pod sees.
type Teller struct {
	Node string
	Book *sight.Book
	Look func() // brings Book up to date before it is read; nil = it is
}

// Tell tells over conn until ctx ends: first all that is known, then what is
// new. A controller that does not listen, as those of releases before, is told
// nothing.
func (t *Teller) Tell(ctx context.Context, conn grpc.ClientConnInterface) error {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{StreamName: tellingMethod, ClientStreams: true}, "/"+tellingService+"/"+tellingMethod)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- stream.RecvMsg(&emptypb.Empty{}) }()
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	told := map[string]sight.Fact{}
	for {
		if t.Look != nil {
			t.Look()
		}
		w := Word{Node: t.Node, Facts: news(told, t.Book.Facts()), Refusals: t.Book.Refusals()}
		w.Refusals = w.Refusals[:min(len(w.Refusals), mostTold)]
		if len(w.Facts)+len(w.Refusals) > 0 {
			b, err := json.Marshal(w)
			if err != nil {
				return err
			}
			if err := stream.SendMsg(wrapperspb.Bytes(b)); err != nil && !errors.Is(err, io.EOF) { // of which ended tells why
				return err
			}
		}
		select {
		case <-tick.C:
		case err := <-ended:
			if ctx.Err() != nil {
				return nil
			}
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

// news are the facts that are due beside those told before, to which they are
// added. More than mostTold are left for the next time.
func news(told map[string]sight.Fact, facts []sight.Fact) (out []sight.Fact) {
	if len(told) > 2*len(facts) { // of what is gone
		clear(told)
	}
	for _, f := range facts {
		key := f.Object + " " + string(f.Kind)
		if was, ok := told[key]; (!ok || due(was, f)) && len(out) < mostTold {
			out = append(out, f)
			told[key] = f
		}
	}
	return out
}

// due reports whether a fact is news beside what was told.
func due(was, f sight.Fact) bool {
	later := f.At.Sub(was.At)
	switch {
	case was.Same(f):
		return later >= stillSo
	case was.Good && f.Good && was.Ends.Equal(f.Ends):
		return later >= reworded
	}
	return true
}

// Hearer takes words in. Its fields are set before Register.
type Hearer struct {
	// Authenticate is that of the xDS server on the same connections.
	Authenticate func(context.Context) (xds.Peer, error)
	// Heard is called with each word and who said it, a name that no two streams
	// have; Left when that one will say no more.
	Heard func(from string, w Word)
	Left  func(from string)

	mu      sync.Mutex
	streams int64                // so far
	seats   map[string]*speaking // by host, whose one stream it is
}

// speaking is a stream that is heard.
type speaking struct {
	from string
	end  context.CancelFunc
}

// Register adds the service to g.
func (h *Hearer) Register(g grpc.ServiceRegistrar) {
	g.RegisterService(&grpc.ServiceDesc{
		ServiceName: tellingService, HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{StreamName: tellingMethod, ClientStreams: true, Handler: func(_ any, s grpc.ServerStream) error { return h.listen(s) }}},
	}, h)
}

// sit gives the host's seat to a stream, whose context ends when another stream
// of the same host takes it: of what a pod may open, one is heard. Hosts that are
// not known share a seat.
func (h *Hearer) sit(ctx context.Context, host string) (_ context.Context, from string, rise func()) {
	ctx, end := context.WithCancel(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	if was := h.seats[host]; was != nil {
		was.end()
	}
	if h.seats == nil {
		h.seats = map[string]*speaking{}
	}
	h.streams++
	mine := &speaking{host + " " + strconv.FormatInt(h.streams, 10), end}
	h.seats[host] = mine
	return ctx, mine.from, func() {
		end()
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.seats[host] == mine {
			delete(h.seats, host)
		}
	}
}

// listen hears one pod out, a few words a second, so that one which talks without
// an end, or begins again and again, keeps nobody busy.
func (h *Hearer) listen(s grpc.ServerStream) error {
	who, err := h.Authenticate(s.Context())
	if err != nil {
		return status.Error(codes.Unauthenticated, "the token was not accepted; the controller's log says why")
	}
	ctx, from, rise := h.sit(s.Context(), who.Host)
	defer rise()
	defer h.Left(from)
	said := receive(ctx, s)
	for {
		var m message
		select {
		case <-time.After(tellEvery / 4):
		case <-ctx.Done():
			return errReplaced
		}
		select {
		case m = <-said:
		case <-ctx.Done():
			return errReplaced
		}
		if errors.Is(m.err, io.EOF) {
			return s.SendMsg(&emptypb.Empty{})
		} else if m.err != nil {
			return m.err
		}
		w, err := readWord(m.body, time.Now())
		if err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		if !who.Nodes(w.Node) {
			return status.Errorf(codes.PermissionDenied, "the token does not speak for node %q", w.Node)
		}
		h.Heard(from, w)
	}
}

// errReplaced is seen by a pod only that has opened a second stream.
var errReplaced = status.Error(codes.Aborted, "another stream of this pod is heard in the place of this one")

// message is what came of a stream.
type message struct {
	body []byte
	err  error
}

// receive reads one message ahead until one is an error or ctx ends; the stream
// ends with its handler.
func receive(ctx context.Context, s grpc.ServerStream) <-chan message {
	out := make(chan message)
	go func() {
		for {
			var m wrapperspb.BytesValue
			err := s.RecvMsg(&m)
			select {
			case out <- message{m.GetValue(), err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return out
}

// readWord reads a word that a pod says now.
func readWord(b []byte, now time.Time) (w Word, err error) {
	if err := json.Unmarshal(b, &w); err != nil {
		return w, errors.New("the word is not understood")
	}
	if len(w.Facts) > mostTold || len(w.Refusals) > mostTold {
		return w, errors.New("the word is too long")
	}
	for i := range w.Facts {
		if err := w.Facts[i].Check(now); err != nil {
			return w, err
		}
	}
	for i := range w.Refusals {
		if err := w.Refusals[i].Check(now); err != nil {
			return w, err
		}
	}
	return w, nil
}
