package proxy

import (
	"fmt"
	"net"
	"net/http"
	"testing"

	"github.com/egret-gateway/egret/plan"
)

// echo says who it is and what it was asked.
func echo(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-From", "backend")
		w.Header().Set("X-Gone", "1")
		fmt.Fprintf(w, "%s %s %s%s", name, r.Method, r.Host, r.RequestURI)
	}
}

func TestRoutes(t *testing.T) {
	r := newRig(t, false)
	get, post, rest := r.backend("get", echo("get")), r.backend("post", echo("post")), r.backend("rest", echo("rest"))
	method := func(m plan.Match, method string) plan.Match { m.Method = method; return m }
	rewrite := func(w plan.Rewrite) func(*plan.Rule) { return func(r *plan.Rule) { r.Rewrite = &w } }
	replace := func(prefix, value string) func(*plan.Rule) {
		return rewrite(plan.Rewrite{Path: &plan.PathRewrite{Prefix: prefix, Value: value}})
	}
	d := newDraft().listener(80, "a", "a.example.com").listener(80, "b", "b.example.com").listener(80, "any", "").
		route("a", exact("/equal"), get).route("a", exact("/equal"), rest).
		route("a", exact("/health"), get).route("a", prefix("/get"), get).
		route("a", method(prefix("/m"), "GET"), get).route("a", method(prefix("/m"), "POST"), post).
		route("a", plan.Match{Path: prefix("/match").Path, Headers: []plan.ValueMatch{{Name: "x-kind", Value: "one"}, {Name: "x-rx", Value: "v[0-9]+", Regex: true}},
			Query: []plan.ValueMatch{{Name: "q", Value: "1"}}}, get).
		route("a", prefix("/match"), rest).
		route("a", prefix("/openai"), get, replace("/openai", "/")).
		route("a", prefix("/foo"), get, replace("/foo", "/xyz")).
		route("a", prefix("/host"), get, rewrite(plan.Rewrite{Host: "other.example.net"})).
		route("a", prefix("/edit"), get, func(r *plan.Rule) {
			r.Request = plan.Edits{Set: []plan.Header{{Name: "host", Value: "set.example.net"}}}
			r.Response = plan.Edits{Set: []plan.Header{{Name: "x-from", Value: "gateway"}}, Add: []plan.Header{{Name: "x-more", Value: "1"}}, Remove: []string{"x-gone"}}
		}).
		route("a", prefix("/308"), get, func(r *plan.Rule) {
			r.Redirect = &plan.Redirect{Scheme: "https", Host: "new.example.com", Status: 308}
		}).
		route("b", prefix("/"), rest)
	r.apply(d)
	f := func(name, method, url string, header []string, status int, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			res, body := r.send(method, url, "", header...)
			if res.StatusCode != status || status == 200 && body != want {
				t.Errorf("%s %s: %d %q, want %d %q", method, url, res.StatusCode, body, status, want)
			}
			if status >= 300 && status < 400 && res.Header.Get("Location") != want {
				t.Errorf("Location %q, want %q", res.Header.Get("Location"), want)
			}
		})
	}
	const a = "http://a.example.com"
	f("gateway-62 the prefix itself", "GET", a+"/get", nil, 200, "get GET a.example.com/get")
	f("gateway-62 below the prefix", "GET", a+"/get/x", nil, 200, "get GET a.example.com/get/x")
	f("gateway-62 not a whole segment", "GET", a+"/getx", nil, 404, "")
	f("gateway-63 exact", "GET", a+"/health", nil, 200, "get GET a.example.com/health")
	f("gateway-64 GET", "GET", a+"/m", nil, 200, "get GET a.example.com/m")
	f("gateway-64 POST", "POST", a+"/m", nil, 200, "post POST a.example.com/m")
	f("gateway-65 headers and query", "GET", a+"/match?q=1", []string{"X-KIND", "one", "x-Rx", "v12"}, 200, "get GET a.example.com/match?q=1")
	f("gateway-65 one header differs", "GET", a+"/match?q=1", []string{"X-Kind", "one", "X-Rx", "v12x"}, 200, "rest GET a.example.com/match?q=1")
	f("gateway-67 of equals the first in the plan", "GET", a+"/equal", nil, 200, "get GET a.example.com/equal")
	f("gateway-69 a single slash", "GET", a+"/openai/v1/chat/completions", nil, 200, "get GET a.example.com/v1/chat/completions")
	f("gateway-70 / and /foo", "GET", a+"/openai", nil, 200, "get GET a.example.com/")
	f("gateway-70 /xyz and /foo/bar", "GET", a+"/foo/bar?a=%2F", nil, 200, "get GET a.example.com/xyz/bar?a=%2F")
	f("gateway-70 /xyz and /foo", "GET", a+"/foo", nil, 200, "get GET a.example.com/xyz")
	f("gateway-70 no match", "GET", a+"/foobar", nil, 404, "")
	f("gateway-71 the host alone", "GET", a+"/host/x", nil, 200, "get GET other.example.net/host/x")
	f("gateway-72 redirect", "GET", a+"/308/x?y=1", nil, 308, "https://new.example.com/308/x?y=1")
	f("gateway-74 Host in a header modifier", "GET", a+"/edit", nil, 200, "get GET set.example.net/edit")
	f("gateway-77 another host", "GET", "http://b.example.com/get", nil, 200, "rest GET b.example.com/get")
	f("gateway-77 a third host", "GET", "http://c.example.com/get", nil, 404, "")
	f("gateway-78 the port in Host is not looked at", "GET", "http://a.example.com:80/get", nil, 200, "get GET a.example.com:80/get")
	f("escapes leave as they came", "GET", a+"/get/a%2Fb%7Bc?d=%41", nil, 200, "get GET a.example.com/get/a%2Fb%7Bc?d=%41")
	t.Run("gateway-73 response header modifiers", func(t *testing.T) {
		res, _ := r.send("GET", a+"/edit", "")
		if h := res.Header; h.Get("X-From") != "gateway" || h.Get("X-More") != "1" || h["X-Gone"] != nil {
			t.Errorf("headers %v", h)
		}
	})
}

func TestHostOfBackends(t *testing.T) {
	t.Run("gateway-82 the backend's name is the upstream Host", func(t *testing.T) {
		r := newRig(t, true)
		b := r.backend("httpbin.example.org", echo("b"))
		b.Authority = b.Host
		r.apply(simple(b))
		if _, body := r.send("GET", "http://client.example.com/x", ""); body != "b GET httpbin.example.org/x" {
			t.Errorf("got %q", body)
		}
	})
	for _, ip := range []string{"127.0.0.1", "::1"} {
		t.Run("gateway-84 an address for a name "+ip, func(t *testing.T) {
			r := newRig(t, false)
			l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
			if err != nil {
				t.Logf("no %s here: %v", ip, err)
				return
			}
			s := &http.Server{Handler: echo("b")}
			go s.Serve(l)
			t.Cleanup(func() { s.Close() })
			r.apply(simple(plan.Backend{Name: "b", Protocol: plan.HTTP, Host: ip, Port: int32(l.Addr().(*net.TCPAddr).Port)}))
			if res, body := r.send("GET", "http://x/y", ""); res.StatusCode != 200 || body != "b GET x/y" {
				t.Errorf("got %d %q", res.StatusCode, body)
			}
		})
	}
}
