package endpoint

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	endpoints "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"github.com/egret-gateway/egret/plan"
)

// again has every name looked up.
func (s *Server) again(t *testing.T) {
	s.mu.Lock()
	for _, n := range s.hosts {
		n.due = time.Time{}
	}
	s.mu.Unlock()
	s.round(t.Context())
}

// TestLists: two namespaces' backends of one name are told apart by what the
// operator lets each of them reach, and a name that changes its mind gains
// nothing by it.
func TestLists(t *testing.T) {
	var log bytes.Buffer
	z := &zone{names: map[string]string{"a.test": "192.0.2.1 198.51.100.1"}}
	s := New(Options{Lookup: z.lookup, Log: slog.New(slog.NewTextHandler(&log, nil))})
	p := &plan.Plan{Backends: []plan.Backend{
		{Name: "free", Host: "a.test", Port: 443},
		{Name: "only", Host: "a.test", Port: 443, Fence: &plan.Fence{Only: []string{"192.0.2.0/24"}}},
		{Name: "denied", Host: "a.test", Port: 443, Fence: &plan.Fence{Deny: []string{"192.0.2.0/24", "198.51.100.0/24"}}},
		{Name: "broken", Host: "a.test", Port: 443, Fence: &plan.Fence{Deny: []string{"192.0.2.0/33"}}},
		{Name: "refused", Host: "denied.test", Port: 443, Fault: &plan.Fault{Status: 403}},
	}}
	expect := func(backend, want string) {
		t.Helper()
		if got := s.says(t, backend); got != want {
			t.Errorf("%s is told at %q, want %q", backend, got, want)
		}
	}
	s.Load(p)
	s.round(t.Context())
	expect("free", "192.0.2.1:443+198.51.100.1:443 198.51.100.1:443+192.0.2.1:443")
	expect("only", "192.0.2.1:443")
	expect("denied", "")
	expect("broken", "")
	expect("refused", "")
	if z.asked != 1 {
		t.Errorf("%d lookups, also of what may not be used", z.asked)
	}
	for range 3 {
		s.again(t)
	}
	if n := strings.Count(log.String(), "is left out"); n != 3 {
		t.Errorf("it is said %d times that an address is left out:\n%s", n, &log)
	}

	z.set("a.test", "169.254.169.254 192.0.2.2")
	s.again(t)
	expect("only", "192.0.2.2:443")
	z.set("a.test", "198.51.100.9")
	s.again(t)
	expect("only", "")
	expect("free", "198.51.100.9:443")
	z.set("a.test", "::ffff:169.254.169.254")
	s.again(t)
	expect("free", "")
}

// TestAsked: a name with a dot is looked up as it is, by no search domain.
func TestAsked(t *testing.T) {
	f := func(host, want string) {
		t.Helper()
		z := &zone{names: map[string]string{}}
		s := New(Options{Lookup: z.lookup})
		s.Load(backends(host))
		s.round(t.Context())
		if z.last != want {
			t.Errorf("%s: asked for %q, want %q", host, z.last, want)
		}
	}
	f("api.openai.com", "api.openai.com.")
	f("openrouter.ai", "openrouter.ai.")
	f("sim.models.svc", "sim.models.svc.cluster.local.")
	f("sim", "sim")
	f("10-0-0-5.team.pod.cluster.local", "")
}

// TestLongAnswer: of an answer that is longer than what is used, the log hears no
// more than that.
func TestLongAnswer(t *testing.T) {
	var log bytes.Buffer
	z := &zone{names: map[string]string{}}
	s := New(Options{Lookup: z.lookup, Log: slog.New(slog.NewTextHandler(&log, nil))})
	s.Load(backends("a.test"))
	long := func(from string) {
		var all []string
		for a := netip.MustParseAddr(from); len(all) < 3*addresses; a = a.Next() {
			all = append(all, a.String(), a.String())
		}
		z.set("a.test", strings.Join(all, " "))
		s.again(t)
	}
	long("169.254.0.1")
	long("169.254.0.1")
	if n := strings.Count(log.String(), "is left out"); n != addresses {
		t.Errorf("the log has %d lines of one answer, want %d", n, addresses)
	}
	long("192.0.2.1")
	if got := strings.Split(s.says(t, "ns-a.test"), " "); len(got) != addresses || !strings.HasPrefix(got[addresses-1], "192.0.2.32:443+") {
		t.Errorf("of many addresses %d are told: %s", len(got), got)
	}
}

// TestBehindProxy: Envoy finds a backend that is behind a proxy at a socket, and
// its name is not looked up here.
func TestBehindProxy(t *testing.T) {
	z := &zone{names: map[string]string{}}
	b := plan.Backend{Name: "far", Host: "far.test", Port: 443, Proxy: &plan.Proxy{Host: "proxy", Port: 3128}}
	s := New(Options{Lookup: z.lookup, Relay: func(b *plan.Backend) string { return "/run/" + b.Name + ".sock" }})
	s.Load(&plan.Plan{Backends: []plan.Backend{b}})
	s.round(t.Context())
	var m endpoints.ClusterLoadAssignment
	if err := s.told["far"].value.UnmarshalTo(&m); err != nil {
		t.Fatal(err)
	}
	if got := m.Endpoints[0].LbEndpoints[0].GetEndpoint().GetAddress().GetPipe().GetPath(); got != "/run/far.sock" || z.asked != 0 {
		t.Errorf("at %q after %d lookups", got, z.asked)
	}
	s = New(Options{Lookup: z.lookup, Guard: func(netip.Addr) error { return nil }})
	s.Load(&plan.Plan{Backends: []plan.Backend{b}})
	s.round(t.Context())
	if got := s.says(t, "far"); got != "" || z.asked != 0 {
		t.Errorf("without a relay it is told at %q after %d lookups", got, z.asked)
	}
}
