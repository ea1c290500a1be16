package kube

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/source"
)

// TestAncestors: kinds whose spec names no parents have an entry for each
// Gateway that they have to do with.
func TestAncestors(t *testing.T) {
	const old, fresh = "2020-01-01T00:00:00Z", "2026-01-02T03:04:05Z"
	cond := func(status, time string) string {
		return `{"type":"Accepted","status":"` + status + `","observedGeneration":2,"lastTransitionTime":"` + time + `","reason":"Because","message":"so"}`
	}
	for _, k := range []struct{ kind, list, ref string }{{"BackendTLSPolicy", "ancestors", "ancestorRef"}, {"XBackend", "parents", "parentRef"}} {
		entry := func(gateway, controller, conditions string) string {
			return fmt.Sprintf(`{%q:{"group":"gateway.networking.k8s.io","kind":"Gateway","namespace":"default","name":%q},"controllerName":%q,"conditions":[%s]}`, k.ref, gateway, controller, conditions)
		}
		f := func(name string, have []string, want []string, cs ...source.Condition) {
			t.Helper()
			t.Run(k.kind+" "+name, func(t *testing.T) {
				text := fmt.Sprintf(`{"metadata":{"name":"p","namespace":"default","generation":2},"spec":{},"status":{%q:[%s]}}`, k.list, strings.Join(have, ","))
				wanted := ""
				if want != nil {
					wanted = fmt.Sprintf(`{%q:[%s]}`, k.list, strings.Join(want, ","))
				}
				if diff := cmp.Diff(wanted, patched(t, object(t, k.kind, text), asked{conditions: cs})); diff != "" {
					t.Errorf("patch (-want +got):\n%s", diff)
				}
			})
		}
		theirs := entry("g", "example.com/x", "")
		g, h := accepted(ref("g", ""), "True"), accepted(ref("h", ""), "False")
		f("has an entry for each Gateway", nil, []string{entry("g", ours, cond("True", fresh)), entry("h", ours, cond("False", fresh))}, g, h)
		f("leaves the entries of others", []string{theirs}, []string{theirs, entry("g", ours, cond("True", fresh))}, g)
		f("is not written when it says so", []string{theirs, entry("g", ours, cond("True", old))}, nil, g)
		f("loses what nobody asks for", []string{theirs, entry("g", ours, cond("True", old)), entry("h", ours, cond("True", old))}, []string{theirs, entry("g", ours, cond("True", old))}, g)
		f("loses all of ours", []string{theirs, entry("g", ours, cond("True", old))}, []string{theirs})
		f("has no entry for itself", nil, nil, accepted(source.Ref{}, "False"))
	}
	t.Run("a policy has room for 16", func(t *testing.T) {
		var cs []source.Condition
		for n := range 20 {
			cs = append(cs, accepted(ref(fmt.Sprint("g", n), ""), "True"))
		}
		i := object(t, "BackendTLSPolicy", `{"metadata":{"name":"p","namespace":"default","generation":2},"spec":{}}`)
		if got := strings.Count(patched(t, i, asked{conditions: cs}), "ancestorRef"); got != maxAncestors {
			t.Errorf("%d entries", got)
		}
	})
}
