package feed_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/xds"
)

const (
	gateway = "shop/egress"
	canary  = "sk-canary-0123456789"
)

// large is a feed with so many routes to so many backends on one host name.
func large(routes, backends int) *feed.Feed {
	p := &plan.Plan{}
	host := plan.VHost{Domain: "*"}
	for i := range backends {
		p.Backends = append(p.Backends, plan.Backend{Name: fmt.Sprintf("shop-model-%03d-443", i), Protocol: plan.HTTP, Host: fmt.Sprintf("m%d.example.com", i), Port: 443, TLS: &plan.ClientTLS{}})
	}
	for i := range routes {
		rule := fmt.Sprintf("shop/route-%03d/0", i)
		p.Rules = append(p.Rules, plan.Rule{Name: rule, Route: fmt.Sprintf("shop/route-%03d", i), Targets: []plan.Target{{Backend: p.Backends[i%backends].Name, Weight: 1}}})
		host.Entries = append(host.Entries, plan.Entry{
			ID: fmt.Sprintf("shop-route-%03d-rule0-match0", i), Rule: rule, Policy: "0123456789abcdef",
			Match: plan.Match{Path: plan.PathMatch{Kind: plan.PathPrefix, Value: fmt.Sprintf("/models/%03d", i)}},
		})
	}
	p.Policies = []plan.Policy{{Name: "0123456789abcdef"}}
	p.Secrets = []plan.Secret{{Name: "secret/shop/key", Kind: plan.SecretAPIKey, Digest: "d1", Data: []plan.Item{{Key: "api_key", Value: plan.Bytes(canary)}}}}
	p.Ports = []plan.Port{
		{Gateway: gateway, Number: 80, Listeners: []plan.Listener{{Name: "http", VHosts: []plan.VHost{host}}}},
		{Gateway: gateway, Number: 443, TLS: true, Listeners: []plan.Listener{
			{Name: "empty", Host: "a.example.com", VHosts: []plan.VHost{{Domain: "a.example.com", Entries: []plan.Entry{}}, {Domain: "b.example.com"}}},
			{Name: "none", TLS: &plan.ServerTLS{Certificates: []string{"secret/shop/cert"}}},
		}},
	}
	return &feed.Feed{
		Gateway: gateway, Plan: p, Settings: feed.Settings{Counters: "redis://:pw@counters:6379", AccessLog: true},
		Denied: []feed.Denial{{Subject: "uid:2", Until: time.Date(2030, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))}, {Subject: "jti:1", Until: time.Unix(1e9, 0)}},
		Keep:   []string{"0011223344556677"},
	}
}

func TestRoundTrip(t *testing.T) {
	f := func(want *feed.Feed) {
		t.Helper()
		got, err := feed.Join(want.Resources())
		if err != nil {
			t.Fatal(err)
		}
		if got.Plan.Hash() != want.Plan.Hash() || got.Epoch() != want.Epoch() || got.Settings.Counters != want.Settings.Counters ||
			got.Gateway != want.Gateway || !slices.Equal(got.Keep, want.Keep) {
			t.Errorf("got %+v", got)
		}
		if diff := cmp.Diff(want.Plan.Secrets, got.Plan.Secrets); diff != "" {
			t.Error(diff)
		}
		again := got.Resources()
		if diff := cmp.Diff(want.Resources(), again); diff != "" {
			t.Errorf("the parts of the joined feed differ: %s", diff)
		}
	}
	f(large(200, 7))
	f(large(0, 1))
	f(&feed.Feed{Gateway: gateway, Plan: &plan.Plan{}})

	t.Run("the order of parts does not matter", func(t *testing.T) {
		rs := large(100, 3).Resources()
		slices.Reverse(rs)
		if _, err := feed.Join(rs); err != nil {
			t.Error(err)
		}
	})
}

// TestOnlyWhole: nothing but exactly what was sent is taken.
// TestFormats: who needs nothing new writes as the first release did, which
// wrote no format; pods of that release then still read it, and ours read it.
func TestFormats(t *testing.T) {
	f := func(fronts string, want int) {
		t.Helper()
		full := large(2, 2)
		full.Plan.Backends[0].Fronts = fronts
		for _, r := range full.Resources() {
			if r.Type != feed.TypeHead {
				continue
			}
			var head map[string]any
			if err := json.Unmarshal(r.Value, &head); err != nil {
				t.Fatal(err)
			}
			if got, there := head["format"]; there != (want > 1) || there && got != float64(want) {
				t.Errorf("format %v, want %d", got, want)
			}
		}
	}
	f("", 1)
	f("shop/other", 2)
}

func TestOnlyWhole(t *testing.T) {
	whole := large(40, 3).Resources()
	f := func(name, want string, change func([]xds.Resource) []xds.Resource) {
		t.Helper()
		_, err := feed.Join(change(slices.Clone(whole)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", name, err, want)
		}
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("%s: the error holds a secret", name)
		}
	}
	for i := range whole {
		f("without "+whole[i].Type+" "+whole[i].Name, "", func(rs []xds.Resource) []xds.Resource { return slices.Delete(rs, i, i+1) })
	}
	edit := func(typ, old, new string) func([]xds.Resource) []xds.Resource {
		return func(rs []xds.Resource) []xds.Resource {
			i := slices.IndexFunc(rs, func(r xds.Resource) bool { return r.Type == typ })
			value := bytes.Replace(rs[i].Value, []byte(old), []byte(new), 1)
			if bytes.Equal(value, rs[i].Value) {
				t.Fatalf("%s does not hold %q: %s", typ, old, value)
			}
			rs[i] = xds.NewResource(typ, rs[i].Name, value)
			return rs
		}
	}
	f("unknown field", "different releases", edit(feed.TypeRule, `{"name"`, `{"new":1,"name"`))
	f("double field", "different releases", edit(feed.TypeSecret, `{"name"`, `{"kind":"tls","name"`))
	f("other case", "different releases", edit(feed.TypeRule, `"route"`, `"Route"`))
	f("other zone", "different releases", edit(feed.TypeDenial, "01:46:40Z", "02:46:40+01:00"))
	f("trailing data", "different releases", edit(feed.TypeSettings, `}`, `}{}`))
	f("other content", "the head says", edit(feed.TypeBackend, "example.com", "example.org"))
	f("other name", "calls itself", edit(feed.TypeRule, "route-000/0", "route-000/1"))
	f("other denial", "denials", edit(feed.TypeDenial, "2001", "2002"))
	f("other settings", "settings", edit(feed.TypeSettings, "counters:6379", "counters:6380"))
	f("foreign port", "belongs to", edit(feed.TypeHead, gateway, "other/egress"))
	f("one too many", "are used", func(rs []xds.Resource) []xds.Resource {
		return append(rs, xds.NewResource(feed.TypeEntries, "more", []byte(`[]`)))
	})
	f("another type", "none of a feed", func(rs []xds.Resource) []xds.Resource { return append(rs, xds.NewResource("x", "y", nil)) })
}

func TestSecretsTravelApart(t *testing.T) {
	t.Run("gateway-92 B-30 secret bytes are in Secret resources and in no other", func(t *testing.T) {
		found := 0
		for _, r := range large(3, 3).Resources() {
			var secret struct{ Data []struct{ Value []byte } }
			if r.Type == feed.TypeSecret && json.Unmarshal(r.Value, &secret) == nil && string(secret.Data[0].Value) == canary {
				found++
			}
			if bytes.Contains(r.Value, []byte(canary)) {
				t.Errorf("%s %s holds the secret", r.Type, r.Name)
			}
			if r.Type != feed.TypeSecret && bytes.Contains(r.Value, []byte("c2stY2FuYXJ5")) {
				t.Errorf("%s %s holds the secret in base64", r.Type, r.Name)
			}
		}
		if found != 1 {
			t.Errorf("the bytes travel %d times", found)
		}
	})
}

// TestLittleChanges: one change makes one part, and the head, other.
func TestLittleChanges(t *testing.T) {
	original := map[string]string{}
	for _, r := range large(500, 200).Resources() {
		original[r.Type+r.Name] = r.Version
	}
	f := func(name string, want int, change func(*plan.Plan)) {
		t.Helper()
		before, after := maps.Clone(original), large(500, 200)
		change(after.Plan)
		var other []string
		for _, r := range after.Resources() {
			if before[r.Type+r.Name] != r.Version {
				other = append(other, r.Type+" "+r.Name)
			}
			delete(before, r.Type+r.Name)
		}
		if len(other)+len(before) > want {
			t.Errorf("%s: changed %q, gone %v; want at most %d", name, other, before, want)
		}
	}
	entries := func(p *plan.Plan) *[]plan.Entry { return &p.Ports[0].Listeners[0].VHosts[0].Entries }
	f("nothing", 0, func(*plan.Plan) {})
	f("a rule", 2, func(p *plan.Plan) { p.Rules[7].Route = "x" })
	f("a backend", 2, func(p *plan.Plan) { p.Backends[7].Port = 8443 })
	f("a secret", 2, func(p *plan.Plan) { p.Secrets[0].Digest = "d2" })
	f("a match", 2, func(p *plan.Plan) { (*entries(p))[250].Policy = "fedcba9876543210" })
	for i := 0; i < 500; i += 7 {
		f("an entry less", 5, func(p *plan.Plan) { *entries(p) = slices.Delete(*entries(p), i, i+1) })
	}
}

func FuzzJoin(f *testing.F) {
	for _, r := range large(3, 1).Resources() {
		f.Add(r.Type, r.Name, r.Value)
	}
	f.Add(feed.TypePort, gateway+":80", []byte(`{"port":{"gateway":"`+gateway+`","number":80,"listeners":[{"name":"a","vhosts":[{"domain":"*","entries":null}]}]}}`))
	f.Add(feed.TypeHead, "head", []byte(`{"gateway":"","plan":"","epoch":"","settings":""}`))
	whole := large(20, 2).Resources()
	f.Fuzz(func(t *testing.T, typ, name string, value []byte) {
		rs := slices.DeleteFunc(slices.Clone(whole), func(r xds.Resource) bool { return r.Type == typ && r.Name == name })
		got, err := feed.Join(append(rs, xds.NewResource(typ, name, value)))
		if err != nil {
			return
		}
		// What is taken has one way to be written: back it comes the same.
		again := got.Resources()
		i := slices.IndexFunc(again, func(r xds.Resource) bool { return r.Type == typ && r.Name == name })
		if i < 0 || !bytes.Equal(again[i].Value, value) {
			t.Errorf("%s %q was taken as %s and is not written so again", typ, name, value)
		}
	})
}
