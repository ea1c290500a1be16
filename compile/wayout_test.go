package compile

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/egret-gateway/egret/source"
)

// TestLiterals: an address that no plane will dial is told of before one tries,
// as far as that is known.
func TestLiterals(t *testing.T) {
	rules, err := source.ParseEgress(rulesOf("cluster: {services: [10.96.0.0/12], allow: [10.96.0.7/32]}\nnamespaces: [{addresses: {deny: [198.51.100.0/24]}}]"))
	if err != nil {
		t.Fatal(err)
	}
	c := &compiler{egress: rules, ways: map[string]*source.WayOut{}, index: newIndex(&source.Snapshot{})}
	f := func(alone bool, host, want string) {
		t.Helper()
		c.options.Alone = alone
		b := &backend{}
		b.plan.Host = host
		got := ""
		if p := c.outward("team", b); p != nil {
			got = p.reason + ": " + p.message
		}
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
	for _, alone := range []bool{true, false} {
		f(alone, "192.0.2.7", "")
		f(alone, "169.254.169.254", "AddressNotAllowed: address 169.254.169.254 is never dialled")
		f(alone, "64:ff9b::a9fe:a9fe", "AddressNotAllowed: ")
		f(alone, "198.51.100.7", "HostNotAllowed: 198.51.100.7: the operator denies this address")
		f(alone, "64:ff9b::c633:6407", "HostNotAllowed: ")
	}
	f(true, "127.0.0.1", "")
	f(false, "127.0.0.1", "AddressNotAllowed: address 127.0.0.1 is the gateway's own pod")
	f(true, "10.96.0.1", "")
	f(false, "10.96.0.1", "AddressNotAllowed: address 10.96.0.1 is in 10.96.0.0/12")
	f(false, "10.96.0.7", "")
}

func rulesOf(text string) *corev1.ConfigMap {
	return &corev1.ConfigMap{Data: map[string]string{source.EgressKey: text}}
}
