package sight

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/plan"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func backend(name, object string, edit func(*plan.Backend)) plan.Backend {
	b := plan.Backend{Name: name, Object: object, Host: name + ".example.com", Port: 443}
	if edit != nil {
		edit(&b)
	}
	return b
}

func secured(c plan.ClientTLS) func(*plan.Backend) {
	return func(b *plan.Backend) { b.TLS = &c }
}

// said are facts in short: "+" good, "-" bad.
func said(facts []Fact) (out []string) {
	for _, f := range facts {
		sign := "-"
		if f.Good {
			sign = "+"
		}
		out = append(out, sign+string(f.Kind)+" "+f.Object+": "+f.Text+" "+f.At.Format("15:04:05"))
	}
	return out
}

func TestFacts(t *testing.T) {
	const object = "XBackendDestination ns/x"
	ends := noon.Add(30 * 24 * time.Hour)
	f := func(name string, edit func(*plan.Backend), do func(*Backend), want ...string) {
		t.Helper()
		var book Book
		book.Use(&plan.Plan{Backends: []plan.Backend{backend("x", object, edit)}})
		do(book.Of("x"))
		if diff := cmp.Diff(want, said(book.Facts())); diff != "" {
			t.Errorf("%s (-want +got): %s", name, diff)
		}
	}
	f("nobody called", nil, func(*Backend) {})
	f("in the clear", nil, func(b *Backend) { b.Answered(noon, time.Time{}) },
		"+Connected "+object+": The server answered; the connection is not encrypted. 12:00:00")
	f("TLS", secured(plan.ClientTLS{}), func(b *Backend) { b.Answered(noon, ends) },
		"+Connected "+object+": The server proved who it is; its certificate ends at 2026-12-23T12:00:00Z. 12:00:00")
	f("TLS that nobody verifies", secured(plan.ClientTLS{SkipVerify: true}), func(b *Backend) { b.Answered(noon, ends) },
		"+Connected "+object+": The server answered over TLS and was not asked to prove who it is; its certificate ends at 2026-12-23T12:00:00Z. 12:00:00")
	f("TLS of which a key is pinned", secured(plan.ClientTLS{SkipVerify: true, Pins: []string{"x"}}), func(b *Backend) { b.Answered(noon, ends) },
		"+Connected "+object+": The server proved who it is; its certificate ends at 2026-12-23T12:00:00Z. 12:00:00")
	f("an answer of which the connection is not known takes nothing back", secured(plan.ClientTLS{}), func(b *Backend) {
		b.Answered(noon, ends)
		b.Answered(noon.Add(time.Minute), time.Time{})
	}, "+Connected "+object+": The server proved who it is; its certificate ends at 2026-12-23T12:00:00Z. 12:01:00")
	f("the same within a second is not noted again", nil, func(b *Backend) {
		b.Answered(noon, time.Time{})
		b.Answered(noon.Add(999*time.Millisecond), time.Time{})
	}, "+Connected "+object+": The server answered; the connection is not encrypted. 12:00:00")
	f("the last counts", nil, func(b *Backend) {
		b.Answered(noon, time.Time{})
		b.Unreached(noon.Add(time.Millisecond), "connection refused")
	}, "-Connected "+object+": connection refused 12:00:00")
	f("and when it is good again", nil, func(b *Backend) {
		b.Unreached(noon, "connection refused")
		b.Answered(noon.Add(time.Second), time.Time{})
	}, "+Connected "+object+": The server answered; the connection is not encrypted. 12:00:01")
	f("credential", nil, func(b *Backend) {
		b.Took(noon)
		b.Refused(noon.Add(time.Second), "The provider answers 401 to credential a.")
	}, "-Authenticated "+object+": The provider answers 401 to credential a. 12:00:01")
	f("credential taken again", nil, func(b *Backend) {
		b.Refused(noon, "no")
		b.Took(noon.Add(time.Second))
		b.Took(noon.Add(2 * time.Second))
	}, "+Authenticated "+object+": The provider takes the credential. 12:00:02")
	f("name", nil, func(b *Backend) {
		b.Looked(noon, []netip.Addr{netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.1")}, nil)
	}, "+Resolved "+object+": x.example.com is at 192.0.2.1, 192.0.2.2. 12:00:00")
	f("no name", nil, func(b *Backend) { b.Looked(noon, nil, errors.New("no such host")) },
		"-Resolved "+object+": no such host 12:00:00")
	f("what others say is shown as one line of bounded length", nil, func(b *Backend) { b.Unreached(noon, "a\n\x1b[31mb"+strings.Repeat("é", maxText)) },
		"-Connected "+object+": a  [31mb"+strings.Repeat("é", (maxText-8)/2)+"… 12:00:00")
	f("a nil book notes nothing", nil, func(*Backend) {
		var none *Book
		none.Use(&plan.Plan{})
		none.Of("x").Answered(noon, ends)
		none.Of("x").Unreached(noon, "")
		none.Of("x").Took(noon)
		none.Of("x").Looked(noon, nil, nil)
		none.Turned(noon, "AuthPolicy ns/p", "unauthorized", 403, "")
		if len(none.Facts()) > 0 || len(none.Refusals()) > 0 {
			t.Error("it did")
		}
	})
}

func TestManyAddresses(t *testing.T) {
	var book Book
	book.Use(&plan.Plan{Backends: []plan.Backend{backend("x", "o", nil)}})
	var found []netip.Addr
	for i := range 20 {
		found = append(found, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
	}
	book.Of("x").Looked(noon, found, nil)
	if got := book.Facts()[0].Text; !strings.HasSuffix(got, "192.0.2.7 and 12 more addresses.") {
		t.Error(got)
	}
}

// TestPorts: an object with several ports is as bad as the worst of them.
func TestPorts(t *testing.T) {
	var book Book
	book.Use(&plan.Plan{Backends: []plan.Backend{backend("a", "o", nil), backend("b", "o", nil)}})
	book.Of("a").Unreached(noon, "refused")
	book.Of("b").Answered(noon.Add(time.Hour), time.Time{})
	if diff := cmp.Diff([]string{"-Connected o: refused 12:00:00"}, said(book.Facts())); diff != "" {
		t.Error(diff)
	}
}

func TestUse(t *testing.T) {
	var book Book
	p := &plan.Plan{Backends: []plan.Backend{backend("kept", "1", nil), backend("moved", "2", nil), backend("gone", "3", nil), backend("trusted", "4", secured(plan.ClientTLS{}))}}
	book.Use(p)
	kept := book.Of("kept")
	for _, b := range p.Backends {
		book.Of(b.Name).Unreached(noon, "refused")
	}
	next := &plan.Plan{Backends: []plan.Backend{backend("kept", "1", func(b *plan.Backend) { b.AskUsage = true }),
		backend("moved", "2", func(b *plan.Backend) { b.Host = "other" }), backend("trusted", "4", secured(plan.ClientTLS{SNI: "other"}))}}
	book.Use(next)
	if diff := cmp.Diff([]string{"-Connected 1: refused 12:00:00"}, said(book.Facts())); diff != "" {
		t.Error(diff)
	}
	kept.Answered(noon.Add(time.Second), time.Time{}) // by a request that began before
	if got := book.Facts(); !got[0].Good {
		t.Errorf("%v: what requests under way see is lost", said(got))
	}
	if book.Of("gone") != nil {
		t.Error("a backend that is gone is kept")
	}
}

func TestLook(t *testing.T) {
	var book Book
	book.Use(&plan.Plan{Backends: []plan.Backend{
		backend("named", "1", nil), backend("literal", "2", func(b *plan.Backend) { b.Host = "2001:db8::1" }),
		backend("service", "3", func(b *plan.Backend) { b.Host = "" }), backend("never", "4", nil),
	}})
	book.Look(func(b *plan.Backend) ([]netip.Addr, time.Time, error) {
		switch b.Name {
		case "never":
			return nil, time.Time{}, nil
		case "named":
			return []netip.Addr{netip.MustParseAddr("2001:db8::2")}, noon, nil
		}
		t.Errorf("%s is looked up", b.Name)
		return nil, noon, nil
	})
	if diff := cmp.Diff([]string{"+Resolved 1: named.example.com is at 2001:db8::2. 12:00:00"}, said(book.Facts())); diff != "" {
		t.Error(diff)
	}
}

func TestRefusals(t *testing.T) {
	var book Book
	book.Turned(noon, "AuthPolicy ns/p", "unauthorized", 403, "no tier")
	book.Turned(noon.Add(time.Second), "AuthPolicy ns/p", "unauthorized", 403, "not a group")
	book.Turned(noon, "TokenRateLimitPolicy ns/q", "limited", 429, "free")
	book.Turned(noon, "", "no_route", 404, "no route")
	want := []Refusal{
		{Object: "AuthPolicy ns/p", Code: "unauthorized", Status: 403, Calls: 2, Text: "not a group", At: noon.Add(time.Second)},
		{Object: "TokenRateLimitPolicy ns/q", Code: "limited", Status: 429, Calls: 1, Text: "free", At: noon},
	}
	if diff := cmp.Diff(want, book.Refusals()); diff != "" {
		t.Error(diff)
	}
	if got := book.Refusals(); len(got) > 0 {
		t.Errorf("taken twice: %v", got)
	}
	for i := range mostRefusals + 10 {
		book.Turned(noon, "AuthPolicy ns/"+strings.Repeat("x", i+1), "unauthorized", 403, "")
	}
	if got := len(book.Refusals()); got != mostRefusals {
		t.Errorf("%d kinds of refusals are kept, want %d", got, mostRefusals)
	}
}

// TestCheck: what another process tells is refused, or fit to be shown.
func TestCheck(t *testing.T) {
	const nasty, clean = "a\n\x1b[2J\u202eb", "a  [2J b"
	fact := Fact{Object: "XBackend ns/x", Kind: Connected, Text: nasty, At: noon.Add(time.Hour)}
	if err := fact.Check(noon); err != nil || fact.Text != clean || !fact.At.Equal(noon) {
		t.Errorf("%+v, %v", fact, err)
	}
	refusal := Refusal{Object: "AuthPolicy ns/p", Code: "identity_unavailable", Calls: 1, Text: nasty, At: noon.Add(-time.Hour)}
	if err := refusal.Check(noon); err != nil || refusal.Text != clean || !refusal.At.Equal(noon.Add(-time.Hour)) {
		t.Errorf("%+v, %v", refusal, err)
	}
	for _, f := range []Fact{{Kind: "Other"}, {Kind: Resolved, Object: strings.Repeat("x", maxObject+1)}, {Kind: Resolved, Text: strings.Repeat("x", 2*maxText+1)}} {
		if f.Check(noon) == nil {
			t.Errorf("%.40v is taken", f)
		}
	}
	long := strings.Repeat("x", 2*maxText+1)
	for _, r := range []Refusal{
		{Code: "denied"}, {Code: "denied", Calls: -1}, {Code: "denied", Calls: mostCalls + 1}, {Code: "denied", Calls: 1, Text: long},
		{Calls: 1}, {Calls: 1, Code: strings.Repeat("x", 33)}, {Calls: 1, Code: "a b"}, {Calls: 1, Code: "A"}, {Calls: 1, Code: "a\x1b_"}, {Calls: 1, Code: "denied1"},
	} {
		if r.Check(noon) == nil {
			t.Errorf("%.40v is taken", r)
		}
	}
}

func BenchmarkAnswered(b *testing.B) {
	var book Book
	book.Use(&plan.Plan{Backends: []plan.Backend{backend("x", "o", secured(plan.ClientTLS{}))}})
	x, ends := book.Of("x"), noon.Add(time.Hour)
	for b.Loop() {
		x.Answered(noon, ends)
	}
}
