//go:build cluster

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/egret-gateway/egret/lab/cluster"
	"github.com/egret-gateway/egret/policy/ident/kube"
	"github.com/egret-gateway/egret/policy/ident/local/localtest"
)

// TestAccess asks a cluster, with the controllers that aggregate roles, what
// policy/ident/local is asked as well: both give the same answers.
func TestAccess(t *testing.T) {
	c := cluster.Open(t)
	c.Apply(t, string(localtest.Objects))
	defer c.Remove(t, string(localtest.Objects))
	cases, err := localtest.Cases()
	if err != nil || len(cases) == 0 {
		t.Fatalf("%d cases, error %v", len(cases), err)
	}
	asker, err := kube.New(c.Config(), nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Eventually(t, time.Minute, "the authorizer has seen every role", func() error {
		for _, one := range cases {
			if allowed, _, err := asker.Access(t.Context(), one.Access()); err != nil || one.Allowed && !allowed {
				return fmt.Errorf("%s: not allowed yet, error %v", one.Name, err)
			}
		}
		return nil
	})
	for _, want := range cases {
		t.Run("maas-89 maas-90 "+want.Name, func(t *testing.T) {
			allowed, reason, err := asker.Access(t.Context(), want.Access())
			// An API server of 1.37 names the authorizer before its complaint.
			if reason = strings.TrimPrefix(reason, "rbac: "); err != nil || allowed != want.Allowed || reason != want.Reason {
				t.Errorf("allowed %v because %q, error %v\nwant    %v because %q", allowed, reason, err, want.Allowed, want.Reason)
			}
		})
	}
}
