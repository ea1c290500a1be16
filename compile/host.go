package compile

import "strings"

// anyHost is the domain of a virtual host that takes every name.
const anyHost = "*"

// intersect returns the host names that both a listener and a route serve, as
// one name: the more specific of the two. An empty name serves all. A wildcard
// stands for one label or more, so *.example.com does not cover example.com
// (acceptance gateway 58).
func intersect(listener, route string) (host string, ok bool) {
	switch {
	case listener == "" && route == "":
		return anyHost, true
	case listener == "" || covers(listener, route):
		return route, true
	case route == "" || covers(route, listener):
		return listener, true
	}
	return "", false
}

// covers reports whether every name that b stands for is one of a's.
func covers(a, b string) bool {
	if a == b {
		return true
	}
	suffix, wild := strings.CutPrefix(a, "*")
	return wild && len(b) > len(suffix) && strings.HasSuffix(strings.TrimPrefix(b, "*"), suffix)
}

// moreSpecific orders host names as they are tried: exact names, then
// wildcards from the longest to the shortest, then the one that takes all.
func moreSpecific(a, b string) int {
	if c := hostRank(a) - hostRank(b); c != 0 {
		return c
	}
	if hostRank(a) == 1 && len(a) != len(b) {
		return len(b) - len(a)
	}
	return strings.Compare(a, b)
}

func hostRank(h string) int {
	switch {
	case h == "" || h == anyHost:
		return 2
	case strings.HasPrefix(h, "*"):
		return 1
	}
	return 0
}
