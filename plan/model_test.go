package plan_test

import (
	"testing"

	"github.com/egret-gateway/egret/plan"
)

// TestModels: the backends of models belong to their rule like its own.
func TestModels(t *testing.T) {
	made := func(host string) *plan.Plan {
		return &plan.Plan{
			Ports: []plan.Port{{Gateway: "a/g", Number: 80, Listeners: []plan.Listener{{Name: "l", VHosts: []plan.VHost{{
				Domain: "*", Entries: []plan.Entry{{ID: "e", Rule: "r"}},
			}}}}}},
			Rules: []plan.Rule{{Name: "r", Targets: []plan.Target{{Backend: "own", Weight: 1}}, Models: &plan.Models{List: []plan.Model{
				{Name: "here"}, {Name: "there", Target: &plan.Target{Backend: "chosen", Weight: 1}},
			}}}},
			Backends: []plan.Backend{{Name: "chosen", Host: host}, {Name: "own"}, {Name: "unused"}},
		}
	}
	p := made("one.example.com")
	var got []string
	for _, b := range p.For("a/g").Backends {
		got = append(got, b.Name)
	}
	if len(got) != 2 || got[0] != "chosen" || got[1] != "own" {
		t.Errorf("a gateway's part has backends %v, want chosen and own", got)
	}
	const entry = "l/*/e"
	if q := made("two.example.com"); p.Digests(&p.Ports[0])[entry] == q.Digests(&q.Ports[0])[entry] {
		t.Error("another backend of a model leaves the digest of the entry as it was")
	}
	if n := p.Needs(); n != 3 {
		t.Errorf("models need format %d, want 3: an older plane would send every call to the rule's own backend", n)
	}
}
