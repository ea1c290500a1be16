package process

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// zoneVariable names the DNS server of a test to the gateways that it starts.
const zoneVariable = "EGRET_TEST_DNS"

// askZone makes a process ask the DNS server of its test, if that has one.
func askZone() {
	if at := os.Getenv(zoneVariable); at != "" {
		net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "udp", at)
		}}
	}
}

// zone is a DNS whose answers a test changes while a gateway runs.
type zone struct {
	mu    sync.Mutex
	names map[string]string // name → IPv4 address
}

// newZone serves a zone to the gateways that the test starts from here on.
func newZone(t *testing.T) *zone {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	z := &zone{names: map[string]string{}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		z.serve(c)
	}()
	t.Cleanup(func() {
		c.Close()
		<-ended
	})
	t.Setenv(zoneVariable, c.LocalAddr().String())
	return z
}

// set makes a name lead to an address.
func (z *zone) set(name, address string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.names[name+"."] = address
}

func (z *zone) serve(c net.PacketConn) {
	b := make([]byte, 4096)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		if answer, err := z.answer(b[:n]); err == nil {
			_, _ = c.WriteTo(answer, from)
		}
	}
}

// answer answers one question: names have one IPv4 address and nothing else.
func (z *zone) answer(query []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil, err
	}
	q := m.Questions[0]
	z.mu.Lock()
	address, known := z.names[q.Name.String()]
	z.mu.Unlock()
	out := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true}, Questions: m.Questions[:1]}
	switch {
	case !known:
		out.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA:
		out.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1},
			Body:   &dnsmessage.AResource{A: netip.MustParseAddr(address).As4()},
		}}
	}
	return out.Pack()
}
