//go:build cluster

package fleet

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestOwner: the binding goes with the class that there is, and stays with a
// Gateway whose class is gone.
func TestOwner(t *testing.T) {
	f := plain("egret", "owner", "g")
	f.Reviews = true
	w := newWorld(t, "owner", f.Class.Controller, "")
	classes := func(uid types.UID) []types.UID {
		t.Helper()
		f.Class.UID = uid
		w.apply(f)
		var binding rbacv1.ClusterRoleBinding
		if err := w.client.Get(t.Context(), client.ObjectKeyFromObject(f.reviewers()), &binding); err != nil {
			t.Fatal(err)
		}
		out := []types.UID{}
		for _, o := range binding.OwnerReferences {
			out = append(out, o.UID)
		}
		return out
	}
	const one, two types.UID = "22222222-2222-3333-4444-555555555555", "33333333-2222-3333-4444-555555555555"
	for _, uid := range []types.UID{one, two, "", one} {
		want := []types.UID{}
		if uid != "" {
			want = append(want, uid)
		}
		if diff := cmp.Diff(want, classes(uid)); diff != "" {
			t.Errorf("with class %q the owners are (-want +got):\n%s", uid, diff)
		}
	}
	w.patches.Store(0)
	if classes(one); w.patches.Load() != 0 {
		t.Errorf("%d patches although nothing differs", w.patches.Load())
	}
	if err := w.client.Delete(t.Context(), f.reviewers()); err != nil {
		t.Fatal(err)
	}
}
