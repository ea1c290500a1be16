package engine

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/plan"
)

func TestDropCookie(t *testing.T) {
	f := func(in []string, want string) {
		t.Helper()
		h := http.Header{"Cookie": in}
		dropCookie(h, "key")
		if got := h.Get("Cookie"); got != want || want == "" && h["Cookie"] != nil {
			t.Errorf("%q without key: %q, want %q", in, got, want)
		}
	}
	f([]string{"key=a"}, "")
	f([]string{"a=1; key=a; b=2"}, "a=1; b=2")
	f([]string{"a=1;key=x;key=y"}, "a=1")
	f([]string{"a=1", "key=x", "b=2"}, "a=1; b=2")
	f([]string{"key"}, "")
	f([]string{"monkey=1; Key=2; key2=3"}, "monkey=1; Key=2; key2=3")
	f([]string{"; ;a=1;"}, "a=1")
}

func TestKeepParameters(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := keepParameters(in, func(name string) bool { return name != "key" }); got != want {
			t.Errorf("%q without key: %q, want %q", in, got, want)
		}
	}
	f("key=a", "")
	f("a=1&key=x&b=%2F", "a=1&b=%2F")
	f("key=x&key=y&a", "a")
	f("%6bey=x&a=1", "a=1")
	f("k%65y", "")
	f("keys=1&a=key", "keys=1&a=key")
	f("%zz=1&key=2", "%zz=1")
	f("a=1;key=2&b=3", "b=3") // whether a server splits there is not known
}

func TestWantsSocket(t *testing.T) {
	f := func(connection, upgrade string, want bool) {
		t.Helper()
		if got := wantsSocket(http.Header{"Connection": {connection}, "Upgrade": {upgrade}}); got != want {
			t.Errorf("Connection %q, Upgrade %q: %v, want %v", connection, upgrade, got, want)
		}
	}
	f("Upgrade", "websocket", true)
	f("keep-alive, upgrade", "WebSocket", true)
	f("keep-alive", "websocket", false)
	f("Upgrade, HTTP2-Settings", "h2c", false)
	f("Upgrade", "h2c, websocket", false)
	f("Upgrade", "TLS/1.0", false)
}

// TestClaim: headers that a policy sets are the policy's, however a client
// spells them, and a credential in one of them is read before it goes.
func TestClaim(t *testing.T) {
	p := asksAlice()
	p.Auth.Authentication[0].Credential = plan.Credential{In: plan.InHeader, Name: "x-key"}
	value := plan.Value{Static: []byte(`"theirs"`)}
	p.Auth.Headers = []plan.Success{
		{Step: plan.Step{Name: "a"}, Key: "x-key", Plain: &value},
		{Step: plan.Step{Name: "b"}, Key: "x-team", Plain: &value},
		{Step: plan.Step{Name: "c"}, Key: "x-none", Plain: &plan.Value{Selector: "auth.identity.nothing"}},
	}
	w := newWorld(t, onePlan(p))
	h := get("/x")
	h.Header = http.Header{
		"X-Key": {"good"}, "X_key": {"other"}, "X-Team": {"mine"}, "X_Team": {"mine"}, "X-None": {"mine"},
		"X-Maas-Username": {"root"}, "X_maas_Tier": {"gold"}, "X-Free": {"mine"},
	}
	before := h.Header.Clone()
	x, step := w.Begin(t.Context(), h)
	if step != Forward {
		t.Fatalf("step %v, refusal %+v", step, x.Refusal)
	}
	a, _ := x.Attempt(1)
	for _, name := range []string{"X-Request-Id", "Traceparent", "X-Envoy-Expected-Rq-Timeout-Ms"} {
		delete(a.Header, name)
	}
	want := http.Header{"X-Key": {"theirs"}, "X-Team": {"theirs"}, "X-Free": {"mine"}}
	if diff := cmp.Diff(want, a.Header); diff != "" {
		t.Errorf("headers sent (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(before, h.Header); diff != "" {
		t.Errorf("the head that was given changed (-want +got)\n%s", diff)
	}
}

// TestEdits: no edit can set what frames a request, and Host is no field.
func TestEdits(t *testing.T) {
	p := onePlan()
	p.Rules[0].Request = plan.Edits{
		Set:    []plan.Header{{Name: "Host", Value: "set.example.com"}, {Name: "transfer-encoding", Value: "chunked"}},
		Add:    []plan.Header{{Name: "content-length", Value: "7"}, {Name: "x-a", Value: "2"}},
		Remove: []string{"x-gone"},
	}
	p.Rules[0].Targets[0].Request = plan.Edits{Add: []plan.Header{{Name: "x-a", Value: "3"}}}
	w := newWorld(t, p)
	h := get("/x")
	h.Header = http.Header{"X-A": {"1"}, "X-Gone": {"1"}, "Content-Length": {"0"}, "X-Request-Id": {"id"}, "Expect": {"100-continue"}}
	x, _ := w.Begin(t.Context(), h)
	a, _ := x.Attempt(1)
	delete(a.Header, "Traceparent")
	delete(a.Header, "X-Envoy-Expected-Rq-Timeout-Ms")
	if diff := cmp.Diff(http.Header{"X-A": {"1", "2", "3"}, "X-Request-Id": {"id"}}, a.Header); diff != "" || a.Host != "set.example.com" {
		t.Errorf("host %q, headers (-want +got)\n%s", a.Host, diff)
	}
}

// FuzzHeaders: whatever a client sends, nothing that is not its to say goes on.
func FuzzHeaders(f *testing.F) {
	f.Add("X-Maas-Username", "root")
	f.Add("x_maas_tier", "gold")
	f.Add("Connection", "x-team, authorization, traceparent")
	f.Add("Transfer-Encoding", "chunked")
	f.Add("Te", "gzip, Trailers")
	f.Add("X-Team", "mine")
	f.Add("Authorization", "Bearer good")
	f.Add("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	p := asksAlice()
	p.Auth.Headers = []plan.Success{{Step: plan.Step{Name: "b"}, Key: "x-team", Plain: &plan.Value{Static: []byte(`"theirs"`)}}}
	w := newWorld(f, onePlan(p))
	f.Fuzz(func(t *testing.T, name, value string) {
		h := get("/x")
		h.Header.Set("Authorization", "Bearer good")
		if name == "" || strings.ContainsAny(name, "\r\n: ") {
			return
		}
		h.Header.Add(name, value)
		x, step := w.Begin(t.Context(), h)
		defer x.End(t.Context(), Done, 0)
		if step != Forward {
			return // a second credential, say
		}
		a, refusal := x.Attempt(1)
		if refusal != nil {
			t.Fatal(refusal.Reason)
		}
		for n := range a.Header {
			switch k := fieldName(n); {
			case strings.HasPrefix(k, "X-Maas-"), k == "Authorization" && n == k, k == "Connection" && n == k, k == "Transfer-Encoding" && n == k, k == "Te" && n == k && a.Header.Get(n) != "trailers":
				t.Errorf("%s went on", n)
			}
		}
		if got := a.Header.Values("X-Team"); len(got) != 1 || got[0] != "theirs" {
			t.Errorf("X-Team is %q", got)
		}
		if got := a.Header.Get("Traceparent"); len(got) != 55 {
			t.Errorf("traceparent is %q", got)
		}
	})
}
