package kube

import (
	"testing"

	"github.com/egret-gateway/egret/source"
)

// FuzzDecode reads arbitrary bytes as an object of any kind: it is an object,
// a problem or an error, and never a panic (acceptance gateway 38).
func FuzzDecode(f *testing.F) {
	f.Add(byte(0), []byte(`{"metadata":{"name":"a","annotations":{"a":"b"}},"spec":{}}`))
	f.Add(byte(9), []byte(`{"metadata":{"name":"a"},"spec":{"targetRef":{"kind":"Gateway","name":"g"},"rules":[]}}`))
	f.Add(byte(5), []byte(`{"metadata":{},"spec":{"targetRefs":7}}`))
	f.Add(byte(3), []byte(`{"metadata":null,"spec":{"parentRefs":[null]},"status":[]}`))
	f.Add(byte(14), []byte(`null`))
	all := kinds()
	f.Fuzz(func(t *testing.T, which byte, raw []byte) {
		k := &all[int(which)%len(all)]
		i, err := k.decode(raw, ours)
		if err != nil {
			return
		}
		if i.object == nil && i.problem == nil {
			t.Fatal("neither an object nor a problem")
		}
		if i.object != nil && (i.object.GetResourceVersion() != "" || i.object.GetManagedFields() != nil) {
			t.Error("the object is not trimmed")
		}
		s := &store{kind: k, items: map[source.Key]*item{}, changed: func() {}, drifted: func() {}}
		s.Update(i)
		var snapshot source.Snapshot
		var problems source.Problems
		s.add(&snapshot, &problems)
		k.patch(i, asked{conditions: []source.Condition{{Type: "Accepted", Generation: 1 << 60}}}, ours, now)
	})
}
