package provider

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/egret-gateway/egret/plan"
)

// TestFence: no name from outside, and no address that a user wrote down, leads
// to what is the cluster's own; a Service's endpoints are there, and are dialled.
func TestFence(t *testing.T) {
	around, err := NewFence([]string{"10.244.0.0/16", "10.96.0.0/12", "fd00:10::/64"}, []string{"10.244.7.7/32"})
	if err != nil {
		t.Fatal(err)
	}
	f := func(address string, refused bool) {
		t.Helper()
		if err := around.Outside(netip.MustParseAddr(address)); (err != nil) != refused {
			t.Errorf("%s: %v", address, err)
		}
	}
	f("10.244.1.2", true)
	f("::ffff:10.244.1.2", true)
	f("64:ff9b::10.244.1.2", true)
	f("10.96.0.1", true)
	f("fd00:10::5%eth0", true)
	f("10.244.7.7", false)
	f("10.1.2.3", false)
	f("192.0.2.1", false)
	if _, err := NewFence([]string{"10.0.0.0/33"}, nil); err == nil {
		t.Error("half a fence is none")
	}
	type is struct{ local, stray bool }
	for name, want := range map[string]is{
		"a.ns.svc": {local: true}, "A.ns.SVC.cluster.local.": {local: true}, "a.ns": {}, "a.example.com": {}, "svc": {}, "cluster.local": {},
		"10-96-0-1.ns.pod.cluster.local": {stray: true}, "_a._b.x.ns.svc.cluster.local": {stray: true}, "_a._b.x.ns.SVC.": {stray: true},
		"pod-0.a.ns.svc": {stray: true}, "_a.ns.svc": {stray: true}, "a._ns.svc": {stray: true}, "ns.svc": {stray: true}, ".ns.svc": {stray: true},
		"a.ns.cluster.local": {stray: true}, "a.ns.svc.cluster.local.cluster.local": {stray: true}, "any.any.svc.cluster.local.svc": {stray: true},
	} {
		if got := (is{plan.LocalName(name), Stray(name) != nil}); got != want {
			t.Errorf("%s is a Service's, or a stray: %v", name, got)
		}
	}
}

// TestOutside: which dials the fence is asked about.
func TestOutside(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := int32(l.Addr().(*net.TCPAddr).Port)
	var m Mapping
	m.Set("inside.ns.svc.cluster.local", port, l.Addr().String())
	d := &Dialer{Names: m.Lookup, Guard: func(netip.Addr) error { return nil }, Outside: func(netip.Addr) error { return errors.New("behind the fence") }}
	f := func(title, address, want string) {
		t.Run(title, func(t *testing.T) {
			c, err := d.Dial(t.Context(), "tcp", address)
			if err == nil {
				c.Close()
			}
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q", err, want)
			}
		})
	}
	f("an endpoint of a Service", Address(plan.Endpoint{Address: "127.0.0.1", Port: port}), "")
	f("a name of the cluster", destination("inside.ns.svc.cluster.local", port), "")
	f("a name from outside", destination("localhost", port), "behind the fence")
	f("an address that a user wrote down", destination("127.0.0.1", port), "behind the fence")
	f("also of IPv6", destination("::1", port), "behind the fence")
	d.Outside = nil
	f("without a fence", destination("127.0.0.1", port), "")
	if a, b := destination("127.0.0.1", port), fmt.Sprintf("127.0.0.1:%d", port); a == b {
		t.Error("a written address shares connections with an endpoint")
	}
}
