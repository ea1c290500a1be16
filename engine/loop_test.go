package engine

import (
	"context"
	"net/http"
	"testing"

	"github.com/egret-gateway/egret/plan"
)

// TestLoop: a request that comes back is refused, whoever wrote the tag; those
// of other gateways and of others' networks are none of ours.
func TestLoop(t *testing.T) {
	own, twin := loopTag("here", "ns/gw"), loopTag("there", "ns/gw")
	if own == twin {
		t.Fatal("gateways of one name in two clusters have one tag")
	}
	others := func(n int) (out string) {
		for i := range n {
			out += ", " + loopTag("there", string(rune('a'+i)))
		}
		return out[2:]
	}
	f := func(title string, sent []string, backend plan.Backend, want string) {
		t.Helper()
		t.Run("gateway-115 "+title, func(t *testing.T) {
			backend.Name, backend.Protocol = "b", plan.HTTP
			p := &plan.Plan{
				Ports: []plan.Port{{Gateway: "ns/gw", Number: 80, Listeners: []plan.Listener{{Name: "l", VHosts: []plan.VHost{{Domain: "*", Entries: []plan.Entry{
					{ID: "e", Match: plan.Match{Path: plan.PathMatch{Kind: plan.PathPrefix, Value: "/"}}, Rule: "r"}}}}}}}},
				Rules:    []plan.Rule{{Name: "r", Targets: []plan.Target{{Backend: "b", Weight: 1}}, Request: plan.Edits{Remove: []string{"cdn-loop"}}}},
				Backends: []plan.Backend{backend},
			}
			w := newWorld(t, p)
			w.deps.Instance = "here"
			e := New(w.deps)
			if err := e.Load(p); err != nil {
				t.Fatal(err)
			}
			h := Head{Gateway: "ns/gw", Port: 80, Method: http.MethodGet, Scheme: "http", Host: "x", Path: "/", Protocol: "HTTP/1.1", Header: http.Header{"Cdn-Loop": sent}}
			x, step := e.Begin(context.Background(), h)
			got := ""
			if step == Refuse {
				got = http.StatusText(x.Refusal.Status)
			} else if a, refusal := x.Attempt(1); refusal == nil {
				got = a.Header.Get("Cdn-Loop")
			}
			if got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
	parent := plan.Backend{Parent: true}
	f("a parent is told", nil, parent, own)
	f("so is a Service of the cluster", nil, plan.Backend{Platform: true}, own)
	f("and a gateway of this process", nil, plan.Backend{Endpoints: []plan.Endpoint{{Gateway: "ns/other", Port: 80}}}, own)
	f("a provider is not", nil, plan.Backend{Host: "api.example.com"}, "")
	f("a request that comes back is refused", []string{own}, parent, "Loop Detected")
	f("wherever it stands, and with parameters", []string{"cdn; x=1", "other , " + own + ";hops=2"}, parent, "Loop Detected")
	f("a gateway of the same name elsewhere is another", []string{twin}, plan.Backend{}, "")
	f("so many hops pass", []string{others(mostHops - 1)}, plan.Backend{}, "")
	f("and no more", []string{others(mostHops)}, plan.Backend{}, "Loop Detected")
	f("others' networks are no hops", []string{"a, b, c, d, e, f, g, h, i, j"}, plan.Backend{}, "")
}
