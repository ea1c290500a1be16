package endpoint

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoints "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	eds "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/provider"
)

// zone is a DNS that can be changed.
type zone struct {
	mu    sync.Mutex
	names map[string]string // addresses separated by spaces; "" = the lookup fails, "gone" = there is no such name
	asked int
	last  string // as it was asked for
}

func (z *zone) set(host, addresses string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.names[host] = addresses
}

func (z *zone) count() int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.asked
}

func (z *zone) lookup(_ context.Context, host string) (out []netip.Addr, err error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked++
	z.last = host
	host = strings.TrimSuffix(host, ".")
	switch z.names[host] {
	case "":
		return nil, errors.New("no such host")
	case "gone":
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	for a := range strings.FieldsSeq(z.names[host]) {
		out = append(out, netip.MustParseAddr(a))
	}
	return out, nil
}

func backends(hosts ...string) *plan.Plan {
	p := &plan.Plan{}
	for _, h := range hosts {
		p.Backends = append(p.Backends, plan.Backend{Name: "ns-" + h, Host: h, Port: 443})
	}
	return p
}

// told is what Envoy would be told of a backend: primaries, each with the
// others that it may try; "unknown" before the first lookup.
func (s *Server) says(t *testing.T, backend string) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.told[backend]
	if !ok {
		return "unknown"
	}
	var m endpoints.ClusterLoadAssignment
	if err := r.value.UnmarshalTo(&m); err != nil {
		t.Fatal(err)
	}
	return show(&m)
}

func show(m *endpoints.ClusterLoadAssignment) string {
	at := func(a *core.Address) string {
		s := a.GetSocketAddress()
		return netip.AddrPortFrom(netip.MustParseAddr(s.GetAddress()), uint16(s.GetPortValue())).String()
	}
	var out []string
	for _, g := range m.Endpoints {
		for _, e := range g.LbEndpoints {
			one := at(e.GetEndpoint().GetAddress())
			for _, more := range e.GetEndpoint().GetAdditionalAddresses() {
				one += "+" + at(more.Address)
			}
			out = append(out, one)
		}
	}
	return strings.Join(out, " ")
}

func TestAddresses(t *testing.T) {
	f := func(title, host, found, want string) {
		t.Helper()
		t.Run(title, func(t *testing.T) {
			z := &zone{names: map[string]string{host: found}}
			around, err := provider.NewFence([]string{"10.96.0.0/12"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			s := New(Options{Lookup: z.lookup, Outside: around.Outside, Names: func(host string, port int32) (string, bool) {
				return "127.0.0.1:8443", host == "mapped.example.com" && port == 443
			}})
			s.Load(backends(host))
			s.round(t.Context())
			if got := s.says(t, "ns-"+host); got != want {
				t.Errorf("told %q, want %q", got, want)
			}
		})
	}
	f("one address", "a.example.com", "192.0.2.1", "192.0.2.1:443")
	f("several, in one order whatever DNS's", "a.example.com", "192.0.2.2 192.0.2.1",
		"192.0.2.1:443+192.0.2.2:443 192.0.2.2:443+192.0.2.1:443")
	f("B-40 IPv6 stands behind IPv4", "a.example.com", "2001:db8::1 192.0.2.1", "192.0.2.1:443+[2001:db8::1]:443")
	f("B-40 IPv6 alone", "a.example.com", "2001:db8::1", "[2001:db8::1]:443")
	f("B-43 an IP literal is no name", "192.0.2.9", "", "192.0.2.9:443")
	f("a metadata service is left out", "a.example.com", "169.254.169.254 192.0.2.1", "192.0.2.1:443")
	f("also in IPv6 clothes", "a.example.com", "::ffff:169.254.169.254 fd00:ec2::254", "")
	f("and as a literal", "169.254.169.254", "", "")
	f("a name from outside does not lead into the cluster", "a.example.com", "10.96.0.1 192.0.2.1", "192.0.2.1:443")
	f("nor does an address that a user wrote down", "10.96.0.1", "", "")
	f("a name of the cluster does", "a.ns.svc.cluster.local", "10.96.0.1", "10.96.0.1:443")
	f("but none that spells an address", "10-96-0-1.ns.pod.cluster.local", "10.96.0.1", "")
	f("nor one below a Service's, wherever it leads", "_a._b.x.ns.svc.cluster.local", "10.96.0.1 192.0.2.1", "")
	f("--resolve comes before DNS", "mapped.example.com", "192.0.2.1", "127.0.0.1:8443")
	f("a name that does not exist has no endpoint", "a.example.com", "", "")
}

// TestLookups: names are looked up again and again; what was good stays when
// a lookup fails, and neither refusals nor failures fill the log.
func TestLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		z := &zone{names: map[string]string{"a.example.com": "192.0.2.1 169.254.169.254"}}
		s := New(Options{Lookup: z.lookup, Log: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		expect := func(want string) {
			t.Helper()
			synctest.Wait()
			if got := s.says(t, "ns-a.example.com"); got != want {
				t.Errorf("told %q, want %q", got, want)
			}
		}
		expect("unknown")
		s.Load(backends("a.example.com"))
		expect("192.0.2.1:443")
		z.set("a.example.com", "192.0.2.2 169.254.169.254")
		time.Sleep(Every * 5 / 4)
		expect("192.0.2.2:443")
		z.set("a.example.com", "")
		time.Sleep(time.Minute)
		expect("192.0.2.2:443")
		z.set("a.example.com", "192.0.2.3 169.254.169.254")
		time.Sleep(Every * 5 / 4)
		expect("192.0.2.3:443")
		if n := z.count(); n < 10 || n > 30 {
			t.Errorf("%d lookups in a minute and a bit", n)
		}
		if n := strings.Count(log.String(), "is left out"); n != 1 {
			t.Errorf("the refused address is in the log %d times, want once:\n%s", n, &log)
		}
		if n := strings.Count(log.String(), "cannot be looked up"); n != 1 {
			t.Errorf("the failure is in the log %d times, want once:\n%s", n, &log)
		}
		z.set("a.example.com", "gone")
		for _, want := range []string{"192.0.2.3:443", ""} { // DNS has said it once, and twice
			for asked := z.count(); z.count() == asked; {
				time.Sleep(100 * time.Millisecond)
			}
			expect(want)
		}
		s.Load(backends("b.example.com"))
		expect("unknown")
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestStream plays Envoy: it asks by name, is told when there is something to
// tell, and again only when that changes.
func TestStream(t *testing.T) {
	z := &zone{names: map[string]string{"a.example.com": "192.0.2.1", "b.example.com": "192.0.2.2"}}
	s := New(Options{Lookup: z.lookup})
	l := bufconn.Listen(1 << 16)
	g := grpc.NewServer()
	s.Register(g)
	go g.Serve(l)
	defer g.Stop()
	conn, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := eds.NewEndpointDiscoveryServiceClient(conn).StreamEndpoints(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := func(nonce string, names ...string) {
		t.Helper()
		if err := stream.Send(&discovery.DiscoveryRequest{TypeUrl: typeURL, ResourceNames: names, ResponseNonce: nonce}); err != nil {
			t.Fatal(err)
		}
	}
	get := func() (nonce string, got map[string]string) {
		t.Helper()
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		got = map[string]string{}
		for _, r := range m.Resources {
			var a endpoints.ClusterLoadAssignment
			if err := r.UnmarshalTo(&a); err != nil {
				t.Fatal(err)
			}
			got[a.ClusterName] = show(&a)
		}
		return m.Nonce, got
	}
	expect := func(want map[string]string) (nonce string) {
		t.Helper()
		nonce, got := get()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		return nonce
	}
	again := func() { // all lookups are due
		s.mu.Lock()
		for _, n := range s.hosts {
			n.due = time.Time{}
		}
		s.mu.Unlock()
		s.round(t.Context())
	}

	ask("", "ns-a.example.com", "ns-b.example.com")
	s.Load(backends("a.example.com", "b.example.com"))
	s.round(t.Context())
	nonce := expect(map[string]string{"ns-a.example.com": "192.0.2.1:443", "ns-b.example.com": "192.0.2.2:443"})
	ask(nonce, "ns-a.example.com", "ns-b.example.com")
	again() // nothing changed: nothing is said, as the next response shows
	z.set("b.example.com", "192.0.2.3")
	again()
	nonce = expect(map[string]string{"ns-b.example.com": "192.0.2.3:443"})
	ask(nonce, "ns-a.example.com")
	z.set("b.example.com", "192.0.2.4")
	z.set("a.example.com", "192.0.2.5")
	again()
	if _, got := get(); got["ns-a.example.com"] != "192.0.2.5:443" {
		t.Errorf("told %v", got)
	}
}
