package engine

import (
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/egret-gateway/egret/dialect"
	"github.com/egret-gateway/egret/plan"
)

func TestHostname(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := hostname(in); got != want {
			t.Errorf("hostname(%q) = %q, want %q", in, got, want)
		}
	}
	f("a.example.com", "a.example.com")
	f("a.example.com:80", "a.example.com")
	f("A.Example.COM:8080", "a.example.com")
	f("a.example.com.", "a.example.com")
	f("a.example.com.:443", "a.example.com")
	f("127.0.0.1:80", "127.0.0.1")
	f("[::1]:80", "::1")
	f("[::1]", "::1")
	f("[FE80::1%eth0]:80", "fe80::1%eth0")
	f("::1", "::1")
	f("[::1", "[::1")
	f("", "")
	f(":80", "")
	f("a:b:c", "a:b:c")
}

func TestHostMatches(t *testing.T) {
	f := func(domain, host string, want bool) {
		t.Helper()
		if got := hostMatches(domain, host); got != want {
			t.Errorf("hostMatches(%q, %q) = %v, want %v", domain, host, got, want)
		}
	}
	f("*", "", true)
	f("*", "a.b", true)
	f("a.example.com", "a.example.com", true)
	f("a.example.com", "b.a.example.com", false)
	f("*.example.com", "a.example.com", true)
	f("*.example.com", "b.a.example.com", true) // Gateway API: one label or more
	f("*.example.com", "example.com", false)
	f("*.example.com", ".example.com", false)
	f("*.example.com", "aexample.com", false)
	f("*.example.com", "a.example.com.evil.org", false)
}

func TestDotted(t *testing.T) {
	f := func(in string, want bool) {
		t.Helper()
		if got := dotted(in); got != want {
			t.Errorf("dotted(%q) = %v, want %v", in, got, want)
		}
	}
	for _, p := range []string{"/..", "/a/..", "/a/../b", "/./a", "/a/.", "/%2e%2e/a", "/.%2E/a", "/a%2f..%2Fb", "/a%2f%2e%2e", "/..;x=1/a", "/.;/a", `/a\..\b`, "/a%5c..", "/a%00b"} {
		f(p, true)
	}
	for _, p := range []string{"/", "/a/b", "/.well-known/x", "/a..b", "/...", "/a./b", "/..a", "/%2e%2ea", "/v1.5/models", "/a%20b"} {
		f(p, false)
	}
}

// FuzzPath holds what no path may do: mean something else behind us than here,
// or become one that does by being rewritten.
func FuzzPath(f *testing.F) {
	for _, p := range []string{"/", "/a/../b", "/a/%2e%2e/b", "/a%2fb", "/foo", "/foo/", "/foo/bar", "/foo//bar", "/foo/..;/b", `/foo/\b`, "/foo/%00", "/foo%", "//foo", "/foo#x"} {
		f.Add(p, "/foo", "/xyz")
		f.Add(p, "/foo/", "/")
		f.Add(p, "", "")
	}
	f.Fuzz(func(t *testing.T, p, prefix, value string) {
		if checkHead(&Head{}, p) != nil {
			return
		}
		if plain, err := url.PathUnescape(p); err == nil {
			for seg := range strings.SplitSeq(plain, "/") {
				if seg == "." || seg == ".." {
					t.Errorf("%q passes with a dot segment", p)
				}
			}
			if clean := path.Clean(plain); strings.Count(plain, "..") == 0 && strings.Contains(clean, "..") {
				t.Errorf("%q cleans to %q", p, clean)
			}
		}
		m := strings.TrimRight(prefix, "/")
		if !hasPathPrefix(p, m) || dotted(value) || strings.Contains(value, "//") {
			return
		}
		got := rewritePath(p, &plan.PathRewrite{Prefix: m, Value: value})
		if !strings.HasPrefix(got, "/") {
			t.Errorf("%q with %q for %q becomes %q, which has no root", p, value, m, got)
		}
		if !strings.Contains(p, "//") && strings.Contains(got, "//") {
			t.Errorf("%q with %q for %q becomes %q: a double slash", p, value, m, got)
		}
		if dotted(got) {
			t.Errorf("%q with %q for %q becomes %q, which has dot segments", p, value, m, got)
		}
	})
}

func TestRewritePath(t *testing.T) {
	f := func(prefix, value, in, want string) {
		t.Helper()
		if got := rewritePath(in, &plan.PathRewrite{Prefix: prefix, Value: value}); got != want {
			t.Errorf("%s with %q for %q: %s, want %s", in, value, prefix, got, want)
		}
	}
	f("/foo", "/", "/foo/bar", "/bar")
	f("/foo", "", "/foo/bar", "/bar")
	f("/foo", "/", "/foo", "/")
	f("/foo", "", "/foo/", "/")
	f("/foo", "/xyz", "/foo/bar", "/xyz/bar")
	f("/foo", "/xyz/", "/foo/bar", "/xyz/bar")
	f("/foo", "/xyz", "/foo", "/xyz")
	f("/foo", "xyz", "/foo/a", "/xyz/a")
	f("", "/xyz", "/bar", "/xyz/bar")
	f("", "/xyz", "/", "/xyz/")
	if got := rewritePath("/a", &plan.PathRewrite{Full: true}); got != "/" {
		t.Errorf("an empty full path becomes %q, want /", got)
	}
}

func TestRedirect(t *testing.T) {
	f := func(r plan.Redirect, scheme, host, path, query, want string) {
		t.Helper()
		h := Head{Scheme: scheme, Host: host, Port: 80}
		if scheme == "https" {
			h.Port = 443
		}
		if got := redirect(&r, &h, path, query).Header.Get("Location"); got != want {
			t.Errorf("gateway-72 %+v of %s://%s%s: %s, want %s", r, scheme, host, path, got, want)
		}
	}
	f(plan.Redirect{}, "http", "a.b", "/x", "", "http://a.b/x")
	f(plan.Redirect{}, "http", "a.b:8080", "/x", "q=1", "http://a.b/x?q=1") // the listener's port, as Gateway API has it
	f(plan.Redirect{Scheme: "https"}, "http", "a.b:80", "/", "", "https://a.b/")
	f(plan.Redirect{Scheme: "http"}, "https", "a.b", "/", "", "http://a.b/")
	f(plan.Redirect{Port: 443}, "http", "a.b", "/", "", "http://a.b:443/")
	f(plan.Redirect{Port: 443}, "https", "a.b", "/", "", "https://a.b/")
	f(plan.Redirect{Port: 8443, Scheme: "https", Host: "c.d"}, "http", "a.b", "/", "", "https://c.d:8443/")
	f(plan.Redirect{}, "http", "[::1]:80", "/", "", "http://[::1]/")
	f(plan.Redirect{Path: &plan.PathRewrite{Full: true, Value: "/y"}}, "http", "a.b", "/x/z", "q", "http://a.b/y?q")
	f(plan.Redirect{Path: &plan.PathRewrite{Prefix: "/x", Value: "/"}}, "http", "a.b", "/x//c.d", "", "http://a.b//c.d")
}

func TestRedirectOfAnotherListener(t *testing.T) {
	h := Head{Scheme: "http", Host: "a.b", Port: 8080}
	if got := redirect(&plan.Redirect{}, &h, "/", "").Header.Get("Location"); got != "http://a.b:8080/" {
		t.Errorf("gateway-72 from port 8080: %s", got)
	}
}

// TestSuggested: a call cannot hide its dialect by how it spells the path.
func TestSuggested(t *testing.T) {
	f := func(method, path string, want dialect.Dialect) {
		t.Helper()
		if got := suggested(method, path); got != want {
			t.Errorf("%s %s suggests %q, want %q", method, path, got, want)
		}
	}
	f("POST", "/external/v1/chat/completions", dialect.OpenAIChat)
	f("POST", "/v1/chat%2fcompletions", dialect.OpenAIChat)
	f("POST", "/v1/chat/completion%73", dialect.OpenAIChat)
	f("POST", "/v1/chat/completions;v=1", dialect.OpenAIChat)
	f("POST", "/v1/chat/completions%3Bv", dialect.OpenAIChat)
	f("POST", "/v1/messages/", dialect.AnthropicMessages)
	f("POST", "/v1/chat/completions%zz", dialect.None)
	f("POST", "/v1/models", dialect.None)
	f("GET", "/v1/chat/completions", dialect.None)
}
