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
	{netip.MustParsePrefix("fd00:c1::a9fe:a9fe/128"), "metadata of Oracle Cloud"},
	{netip.MustParsePrefix("fd00:42::42/128"), "metadata of Scaleway"},
	{netip.MustParsePrefix("168.63.129.16/32"), "the host service of Azure"},
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast"},
}

// embedding are the IPv6 prefixes of addresses that hold one of IPv4, from byte
// at on, to which a translator or the kernel may send the packets: RFC 6052, RFC
// 8215 (with translators' prefixes of 96 bits), 6to4 (RFC 3056), and the
// IPv4-compatible addresses of RFC 4291.
var embedding = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12},
	{netip.MustParsePrefix("2002::/16"), 2},
	{netip.MustParsePrefix("::/96"), 12},
}

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
	for _, e := range embedding {
		if b := a.As16(); a.Is6() && !a.IsLoopback() && e.prefix.Contains(a) {
			return netip.AddrFrom4([4]byte(b[e.at : e.at+4]))
		}
	}
	return a
}

// ServiceName takes apart the name of a Service of the cluster: exactly
// "<service>.<namespace>.svc", or that with ".cluster.local". No other name of the
// cluster is as good: DNS answers for "10-0-0-5.<namespace>.pod.cluster.local" with
// whatever address it spells, and for what stands before a Service's name with the
// Service, also where that is a name from outside (ExternalName).
func ServiceName(host string) (service, namespace string, ok bool) {
	host = strings.TrimSuffix(plainName(host), ".cluster.local")
	rest, ok := strings.CutSuffix(host, ".svc")
	service, namespace, _ = strings.Cut(rest, ".")
	if !ok || service == "" || namespace == "" || strings.ContainsAny(namespace, "._") || strings.Contains(service, "_") {
		return "", "", false
	}
	return service, namespace, true
}

// LocalName reports whether a name is that of a Service of the cluster.
func LocalName(host string) bool {
	_, _, ok := ServiceName(host)
	return ok
}

// StrayName reports whether a name is under the cluster's own domains, ".svc" and
// ".cluster.local", and not a Service's. It is never dialled.
func StrayName(host string) bool {
	host = plainName(host)
	return (strings.HasSuffix(host, ".svc") || strings.HasSuffix(host, ".cluster.local")) && !LocalName(host)
}

func plainName(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }
