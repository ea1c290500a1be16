package plan

import (
	"net/netip"
	"testing"
)

func TestRefused(t *testing.T) {
	f := func(address string, refused bool) {
		t.Helper()
		if err := Refused(netip.MustParseAddr(address)); (err != nil) != refused {
			t.Errorf("%s: %v, want refused %v", address, err, refused)
		}
	}
	for _, a := range []string{
		"169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192",
		"168.63.129.16", "0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "239.255.255.255", "ff02::1", "ff05::2%eth0", "255.255.255.255",
		"::ffff:169.254.169.254", "::ffff:0.0.0.0", "64:ff9b::169.254.169.254", "::169.254.169.254",
		"64:ff9b:1::169.254.169.254", "2002:a9fe:a9fe::1", "fd00:c1::a9fe:a9fe", "fd00:42::42",
	} {
		f(a, true)
	}
	for _, a := range []string{"127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "100.64.0.1", "8.8.8.8", "2001:db8::1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::8.8.8.8", "64:ff9b:1::8.8.8.8", "2002:808:808::1"} {
		f(a, false)
	}
}
