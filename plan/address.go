package plan

import (
	"fmt"
	"net/netip"
	"strings"
)

// never are the addresses that no backend has any business at: those at which
// clouds hand out credentials, and those that mean "here" or "everybody".
var never = []struct {
	prefix netip.Prefix
	what   string
}{
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local, where clouds serve metadata"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("fd00:ec2::/32"), "metadata of AWS"},
	{netip.MustParsePrefix("fd20:ce::254/128"), "metadata of Google Cloud"},
	{netip.MustParsePrefix("100.100.100.200/32"), "metadata of Alibaba Cloud"},
	{netip.MustParsePrefix("192.0.0.192/32"), "metadata of Oracle Cloud"},
	{netip.MustParsePrefix("168.63.129.16/32"), "the host service of Azure"},
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast"},
}

// embedding are the IPv6 prefixes whose last four bytes are an IPv4 address
// that a translator or the kernel may send the packets to (RFC 6052, and the
// IPv4-compatible addresses of RFC 4291).
var embedding = []netip.Prefix{netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("::/96")}

// Refused is the guard that always applies: metadata services, link-local,
// unspecified, multicast and broadcast addresses are never dialled, whatever
// name led there. It is asked about the address itself, after resolution, so
// that a name cannot change its mind in between. IPv4 addresses are recognised
// in their IPv6 clothes, and zones do not hide an address.
func Refused(a netip.Addr) error {
	inner := a.WithZone("").Unmap()
	for _, p := range never {
		if p.prefix.Contains(inner) {
			return fmt.Errorf("address %s is never dialled (%s)", a, p.what)
		}
	}
	if plain := PlainAddr(a); plain != inner {
		return Refused(plain)
	}
	return nil
}

// PlainAddr is an address without its zone, and as the IPv4 address that it
// stands for.
func PlainAddr(a netip.Addr) netip.Addr {
	a = a.WithZone("").Unmap()
	for _, p := range embedding {
		if b := a.As16(); a.Is6() && !a.IsLoopback() && p.Contains(a) {
			return netip.AddrFrom4([4]byte(b[12:]))
		}
	}
	return a
}

// LocalName reports whether a name is one of the cluster's own, which leads to its
// Services: it ends in ".svc" or in ".cluster.local".
func LocalName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return strings.HasSuffix(host, ".svc") || strings.HasSuffix(host, ".cluster.local")
}
