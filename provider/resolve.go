package provider

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
)

// Mapping is a set of host:port → address rules (--resolve NAME:PORT:IP[:PORT]).
// The zero Mapping maps nothing. It may be read and changed at the same time.
type Mapping struct{ m sync.Map }

// Set maps name:port to address ("IP:port").
func (m *Mapping) Set(name string, port int32, address string) {
	m.m.Store(mappingKey(name, port), address)
}

// Lookup is a Dialer's Names. Host names are compared as DNS does: without
// case and without a trailing dot.
func (m *Mapping) Lookup(host string, port int32) (string, bool) {
	a, ok := m.m.Load(mappingKey(host, port))
	if !ok {
		return "", false
	}
	return a.(string), true
}

func mappingKey(host string, port int32) string {
	return net.JoinHostPort(strings.ToLower(strings.TrimSuffix(host, ".")), strconv.Itoa(int(port)))
}

// ParseResolve reads NAME:PORT:IP[:PORT]; IPv6 addresses stand in brackets, or
// bare where no port follows.
func ParseResolve(s string) (name string, port int32, address string, err error) {
	bad := func(why string) error {
		return fmt.Errorf("--resolve %q: %s; write NAME:PORT:IP or NAME:PORT:IP:PORT, for example api.example.com:443:127.0.0.1:8443", s, why)
	}
	name, rest, _ := strings.Cut(s, ":")
	p, target, ok := strings.Cut(rest, ":")
	if !ok || name == "" || target == "" {
		return "", 0, "", bad("three or four parts are needed")
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil || n == 0 {
		return "", 0, "", bad(p + " is not a port")
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(target, "["), "]")
	if a, err := netip.ParseAddr(bare); err == nil {
		return name, int32(n), netip.AddrPortFrom(a, uint16(n)).String(), nil
	}
	ap, err := netip.ParseAddrPort(target)
	if err != nil || ap.Port() == 0 {
		return "", 0, "", bad(target + " is not an IP address with an optional port")
	}
	return name, int32(n), ap.String(), nil
}
