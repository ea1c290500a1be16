package provider

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// TestRooted: no search domain of a pod makes another name of one with a dot.
func TestRooted(t *testing.T) {
	f := func(host, want string) {
		t.Helper()
		z := &zone{names: map[string]string{strings.TrimSuffix(want, "."): "192.0.2.1"}}
		d := z.dialer()
		if got := z.call(t, d, net.JoinHostPort(host, "443"), via{}); got != "192.0.2.1:443" || z.last != want {
			t.Errorf("%s: asked for %q (%s), want %q", host, z.last, got, want)
		}
	}
	f("api.openai.com", "api.openai.com.")
	f("api.openai.com.", "api.openai.com.")
	f("openrouter.ai", "openrouter.ai.")
	f("sim.models.svc.cluster.local", "sim.models.svc.cluster.local.")
	f("sim.models.svc", "sim.models.svc.cluster.local.")
	f("sim", "sim")
}

// TestAlias: of a name of the cluster DNS must not make one from outside. The
// search domains of a pod, and a Service whose name reads like one from outside,
// are of no consequence.
func TestAlias(t *testing.T) {
	r := resolver(t, map[string]string{
		"real.team.svc.cluster.local.":           "10.96.0.5",
		"near.team.svc.cluster.local.":           "real.team.svc.cluster.local.",
		"out.team.svc.cluster.local.":            "evil.example.com.",
		"pod.team.svc.cluster.local.":            "10-0-0-5.team.pod.cluster.local.",
		"10-0-0-5.team.pod.cluster.local.":       "10.0.0.5",
		"evil.example.com.":                      "192.0.2.66",
		"partner.example.com.":                   "evil.example.com.",
		"api.openai.com.":                        "192.0.2.1",
		"api.openai.com.team.svc.cluster.local.": "10.96.0.66",
	})
	f := func(host, want string) {
		t.Helper()
		found, err := by(t.Context(), r, Rooted(host))
		got := ""
		for _, a := range found {
			got += a.String()
		}
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
	f("real.team.svc.cluster.local", "10.96.0.5")
	f("real.team.svc", "10.96.0.5")
	f("near.team.svc", "10.96.0.5")
	f("out.team.svc", "this name of the cluster stands for evil.example.com, which is none")
	f("pod.team.svc", "this name of the cluster stands for 10-0-0-5.team.pod.cluster.local, which is none")
	f("api.openai.com", "192.0.2.1")
	f("partner.example.com", "192.0.2.66")
	f("gone.example.com", "lookup gone.example.com on ")
	f("gone.team.svc", "lookup gone.team.svc.cluster.local on ")
}

// TestHosts: names of the hosts file are found, those with a dot also as they are
// looked up.
func TestHosts(t *testing.T) {
	text, err := os.ReadFile("/etc/hosts")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		for _, host := range fields[1:] {
			a := netip.MustParseAddr(fields[0]).WithZone("")
			found, err := System(t.Context(), Rooted(host))
			if !slices.ContainsFunc(found, func(b netip.Addr) bool { return b.Unmap().WithZone("") == a }) {
				t.Errorf("%s is not found at %s: %v %v", host, a, found, err)
			}
			seen++
		}
	}
	if seen == 0 {
		t.Error("the hosts file has no name")
	}
}

// resolver asks a DNS that has addresses, and names that stand for others.
func resolver(t *testing.T, names map[string]string) *net.Resolver {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go func() {
		b := make([]byte, 4096)
		for {
			n, from, err := server.ReadFrom(b)
			if err != nil {
				return
			}
			if answer, err := answerOf(names, b[:n]); err == nil {
				_, _ = server.WriteTo(answer, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

func answerOf(names map[string]string, query []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil, err
	}
	q := m.Questions[0]
	out := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true}, Questions: m.Questions[:1]}
	add := func(name string, body dnsmessage.ResourceBody, kind dnsmessage.Type) {
		out.Answers = append(out.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Type: kind, Class: q.Class, TTL: 1}, Body: body,
		})
	}
	name := q.Name.String()
	for range 4 {
		to, known := names[name]
		a, err := netip.ParseAddr(to)
		switch {
		case !known:
			out.RCode = dnsmessage.RCodeNameError
		case err != nil:
			add(name, &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(to)}, dnsmessage.TypeCNAME)
			name = to
			continue
		case q.Type == dnsmessage.TypeA:
			add(name, &dnsmessage.AResource{A: a.As4()}, dnsmessage.TypeA)
		}
		break
	}
	return out.Pack()
}
