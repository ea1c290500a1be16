package feed_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/sight"
	"github.com/egret-gateway/egret/xds"
)

// ears hear what is told, as a controller does.
type ears struct {
	words chan feed.Word
	left  chan string
	conn  *grpc.ClientConn
}

func listen(t *testing.T, register bool, authenticate func(context.Context) (xds.Peer, error)) *ears {
	t.Helper()
	e := &ears{words: make(chan feed.Word, 8), left: make(chan string, 8)}
	server := grpc.NewServer()
	if register {
		(&feed.Hearer{
			Authenticate: authenticate, Heard: func(_ string, w feed.Word) { e.words <- w }, Left: func(from string) { e.left <- from },
		}).Register(server)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(l)
	t.Cleanup(server.Stop)
	if e.conn, err = grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.conn.Close() })
	return e
}

func node(of string) func(context.Context) (xds.Peer, error) {
	return func(context.Context) (xds.Peer, error) {
		return xds.Peer{Host: "pod", Nodes: func(node string) bool { return node == of }}, nil
	}
}

func TestTell(t *testing.T) {
	e := listen(t, true, node("n"))
	var book sight.Book
	book.Use(&plan.Plan{Backends: []plan.Backend{{Name: "b", Object: "XBackend ns/b", Host: "b.example.com"}}})
	at := time.Now().UTC()
	book.Of("b").Answered(at, time.Time{})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- (&feed.Teller{Node: "n", Book: &book}).Tell(ctx, e.conn) }()
	next := func() feed.Word {
		t.Helper()
		select {
		case w := <-e.words:
			return w
		case err := <-ended:
			t.Fatal(err)
		case <-time.After(30 * time.Second):
			t.Fatal("nothing was told")
		}
		return feed.Word{}
	}
	good := sight.Fact{Object: "XBackend ns/b", Kind: sight.Connected, Good: true, Text: "The server answered; the connection is not encrypted.", At: at}
	if diff := cmp.Diff(feed.Word{Node: "n", Facts: []sight.Fact{good}}, next()); diff != "" {
		t.Errorf("at first (-want +got): %s", diff)
	}
	book.Of("b").Unreached(at, "refused")
	bad := sight.Fact{Object: "XBackend ns/b", Kind: sight.Connected, Text: "refused", At: at}
	if diff := cmp.Diff(feed.Word{Node: "n", Facts: []sight.Fact{bad}}, next()); diff != "" {
		t.Errorf("what is news (-want +got): %s", diff)
	}
	book.Turned(at, "AuthPolicy ns/p", "unauthorized", 403, "no tier")
	want := feed.Word{Node: "n", Refusals: []sight.Refusal{{Object: "AuthPolicy ns/p", Code: "unauthorized", Status: 403, Calls: 1, Text: "no tier", At: at}}}
	if diff := cmp.Diff(want, next()); diff != "" {
		t.Errorf("refusals, and nothing twice (-want +got): %s", diff)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if from := <-e.left; !strings.HasPrefix(from, "pod ") {
		t.Errorf("%q has left", from)
	}
}

// TestTellStrangers: who is not believed is told so, and the Teller gives up.
func TestTellStrangers(t *testing.T) {
	var book sight.Book
	book.Use(&plan.Plan{Backends: []plan.Backend{{Name: "b", Object: "XBackend ns/b"}}})
	book.Of("b").Answered(time.Now(), time.Time{})
	f := func(name string, e *ears, want codes.Code) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := (&feed.Teller{Node: "n", Book: &book}).Tell(ctx, e.conn); status.Code(err) != want {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	nobody := func(context.Context) (xds.Peer, error) { return xds.Peer{}, errors.New("no token") }
	f("a stranger", listen(t, true, nobody), codes.Unauthenticated)
	f("a controller of before", listen(t, false, nil), codes.Unimplemented)
	e := listen(t, true, node("other"))
	f("another Gateway's pod", e, codes.PermissionDenied)
	select {
	case w := <-e.words:
		t.Errorf("%v was heard of a pod that may not speak for %s", w, w.Node)
	default:
	}
}

// TestBadWords: what is no word ends its stream and is not heard.
func TestBadWords(t *testing.T) {
	e := listen(t, true, node("n"))
	word := func(w feed.Word) []byte {
		b, err := json.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	f := func(name string, b []byte) {
		t.Helper()
		stream, err := e.conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, "/egret.dev.Sight/Tell")
		if err == nil {
			err = stream.SendMsg(wrapperspb.Bytes(b))
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.RecvMsg(&emptypb.Empty{}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	f("not JSON", []byte("hello"))
	f("of another kind", word(feed.Word{Node: "n", Facts: []sight.Fact{{Kind: "Weather"}}}))
	f("too many facts", word(feed.Word{Node: "n", Facts: make([]sight.Fact, 513)}))
	f("a code that is none", word(feed.Word{Node: "n", Refusals: []sight.Refusal{{Code: "a b", Calls: 1}}}))
	f("no refusal", word(feed.Word{Node: "n", Refusals: []sight.Refusal{{}}}))
	select {
	case w := <-e.words:
		t.Errorf("%v was heard", w)
	default:
	}
}

// TestOneStream: a pod is heard over the last stream that it has begun.
func TestOneStream(t *testing.T) {
	e := listen(t, true, node("n"))
	say := func(text string) grpc.ClientStream {
		t.Helper()
		stream, err := e.conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, "/egret.dev.Sight/Tell")
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(feed.Word{Node: "n", Facts: []sight.Fact{{Object: "o", Kind: sight.Connected, Text: text, At: time.Now().Add(time.Hour)}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.SendMsg(wrapperspb.Bytes(b)); err != nil {
			t.Fatal(err)
		}
		w := <-e.words
		if got := w.Facts[0]; got.Text != "x  [2J" || got.At.After(time.Now()) {
			t.Errorf("%+v is heard", got)
		}
		return stream
	}
	older := say("x\n\x1b[2J")
	newer := say("x\n\x1b[2J")
	if err := older.RecvMsg(&emptypb.Empty{}); status.Code(err) != codes.Aborted {
		t.Errorf("the older stream: %v", err)
	}
	if from := <-e.left; from != "pod 1" {
		t.Errorf("%q has left", from)
	}
	if err := newer.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := newer.RecvMsg(&emptypb.Empty{}); err != nil {
		t.Errorf("the newer stream: %v", err)
	}
	if from := <-e.left; from != "pod 2" {
		t.Errorf("%q has left", from)
	}
}
