//go:build cluster

package kube

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/store"
)

// shelf is a Cluster with a deny-list of its own, in its own namespace.
func shelf(t *testing.T, namespace string) (*Cluster, *bytes.Buffer) {
	t.Helper()
	direct, err := NewClient(server.Config())
	if err == nil {
		err = direct.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	}
	if err != nil {
		t.Fatal(err)
	}
	log := &bytes.Buffer{}
	return &Cluster{
		Client: direct, Namespace: namespace, Log: slog.New(slog.NewTextHandler(log, nil)), Now: time.Now, Patience: 50 * time.Millisecond,
	}, log
}

func TestDeny(t *testing.T) {
	c, log := shelf(t, "deny")
	soon := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
	deny := func(subject string) {
		t.Helper()
		if err := c.Deny(t.Context(), store.Denial{Subject: subject, Until: soon}); err != nil {
			t.Fatal(err)
		}
	}
	list := func() (m corev1.ConfigMap) {
		t.Helper()
		if err := c.Client.Get(t.Context(), client.ObjectKey{Namespace: "deny", Name: source.DenialsConfigMap}, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	t.Run("the list carries its label and what was denied", func(t *testing.T) {
		deny("jti:a")
		m := list()
		got, _ := source.Denials(&m)
		if len(got) != 1 || got[0] != (source.Denial{Subject: "jti:a", Until: soon}) || m.Labels[source.LabelDenials] != "true" {
			t.Errorf("labels %v, denials %v", m.Labels, got)
		}
	})
	t.Run("no controller has ever said a word: that is told once", func(t *testing.T) {
		deny("jti:b")
		if n := strings.Count(log.String(), "any controller"); n != 1 {
			t.Errorf("told %d times: %s", n, log)
		}
	})
	t.Run("a controller that is silent is waited for once, until it speaks again", func(t *testing.T) {
		name := source.DeliveredAnnotation("example.com/silent")
		for _, version := range []string{"", "older"} {
			m := list()
			metav1.SetMetaDataAnnotation(&m.ObjectMeta, name, version)
			if err := c.Client.Update(t.Context(), &m); err != nil {
				t.Fatal(err)
			}
			log.Reset()
			deny("jti:c" + version)
			deny("jti:d" + version)
			if n := strings.Count(log.String(), "example.com-silent"); n != 1 {
				t.Errorf("after version %q it was waited for %d times", version, n)
			}
		}
	})
	t.Run("many at once are all written", func(t *testing.T) {
		many := errgroup.Group{}
		for i := range 40 {
			many.Go(func() error {
				return c.Deny(t.Context(), store.Denial{Subject: fmt.Sprintf("jti:many-%d", i), Until: soon})
			})
		}
		if err := many.Wait(); err != nil {
			t.Error(err)
		}
		m := list()
		got, _ := source.Denials(&m)
		n := 0
		for _, d := range got {
			if strings.HasPrefix(d.Subject, "jti:many-") {
				n++
			}
		}
		if n != 40 {
			t.Errorf("%d of 40 are there", n)
		}
	})
	t.Run("what has ended is dropped, and a subject keeps the later end", func(t *testing.T) {
		err := c.Deny(t.Context(), store.Denial{Subject: "jti:a", Until: soon.Add(-time.Minute)}, store.Denial{Subject: "jti:gone", Until: time.Now().Add(-time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		deny("jti:e")
		m := list()
		got, _ := source.Denials(&m)
		for _, d := range got {
			if d.Subject == "jti:gone" || !d.Until.Equal(soon) {
				t.Errorf("%v", d)
			}
		}
	})
	t.Run("a subject that is no subject", func(t *testing.T) {
		for _, bad := range []string{"", "jti:a b", "jti:\n", strings.Repeat("x", 100)} {
			if err := c.Deny(t.Context(), store.Denial{Subject: bad, Until: soon}); !errors.Is(err, store.ErrInvalid) {
				t.Errorf("%q: %v", bad, err)
			}
		}
	})
	t.Run("a full ConfigMap is followed by another that knows the same controllers", func(t *testing.T) {
		var many []store.Denial
		for i := range shardEntries - 1 {
			many = append(many, store.Denial{Subject: "jti:0b5ee2a4-6d0c-4f55-b4ad-" + strings.Repeat("0", 7) + string(rune('a'+i%26)) + time.Unix(int64(i), 0).Format("150405"), Until: soon})
		}
		if err := c.Deny(t.Context(), many...); err != nil {
			t.Fatal(err)
		}
		var second corev1.ConfigMap
		if err := c.Client.Get(t.Context(), client.ObjectKey{Namespace: "deny", Name: "maas-denials-1"}, &second); err != nil {
			t.Fatal(err)
		}
		if got, _ := source.Denials(&second); len(got) != len(many) || len(source.Delivered(&second)) != 1 {
			t.Errorf("%d denials, controllers %v", len(got), source.Delivered(&second))
		}
	})
}

// TestDenyNowhere: a revocation that cannot be written is not confirmed.
func TestDenyNowhere(t *testing.T) {
	direct, err := NewClient(server.As("nobody"))
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{Client: direct, Namespace: home, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	if err := c.Deny(t.Context(), store.Denial{Subject: "jti:a", Until: time.Now().Add(time.Hour)}); err == nil || !strings.Contains(err.Error(), "forbidden") {
		t.Errorf("error %v", err)
	}
}

// TestReferenceRights: with the ClusterRole of the reference, which lacks
// patch, tokens are made, and an account that is nobody's is not taken.
func TestReferenceRights(t *testing.T) {
	ctx := t.Context()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "reference"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"serviceaccounts"}, Verbs: []string{"get", "list", "watch", "create", "delete"}},
		{APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, Verbs: []string{"create"}},
	}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "reference"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "reference"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "reference"}},
	}
	for _, o := range []client.Object{role, binding, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "reference"}}, newServiceAccount("reference", "ownerless")} {
		if err := admin.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	direct, err := NewClient(server.As("reference"))
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{Client: direct, Namespace: home, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	want := store.Account{Namespace: "reference", Name: "alice", Owner: "alice", LastHumanMint: time.Now()}
	for range 2 {
		a, err := c.EnsureAccount(ctx, want)
		if err != nil || a.Owner != "alice" {
			t.Fatalf("account %+v, error %v", a, err)
		}
		if token, _, err := c.Token(ctx, a, "x", time.Hour); err != nil || token == "" {
			t.Errorf("token: %v", err)
		}
		want.LastHumanMint = want.LastHumanMint.Add(time.Minute)
	}
	if _, err := c.EnsureAccount(ctx, store.Account{Namespace: "reference", Name: "ownerless", Owner: "alice"}); err == nil || !strings.Contains(err.Error(), "verb patch") {
		t.Errorf("an account that is nobody's: %v", err)
	}
}

// TestAccountOfManyMints: somebody who mints several times at once gets as many
// tokens.
func TestAccountOfManyMints(t *testing.T) {
	c, _ := shelf(t, "hasty")
	var group errgroup.Group
	for i := range 8 {
		group.Go(func() error {
			_, err := c.EnsureAccount(t.Context(), store.Account{Namespace: "hasty", Name: "alice", Owner: "alice", LastHumanMint: time.Now().Add(time.Duration(i) * time.Minute)})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

// TestTokenOfADeletedAccount: between asking who one is and the TokenRequest,
// a revocation wins.
func TestTokenOfADeletedAccount(t *testing.T) {
	c, _ := shelf(t, "deleted")
	a, err := c.EnsureAccount(t.Context(), store.Account{Namespace: "deleted", Name: "alice", Owner: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteAccount(t.Context(), "deleted", "alice"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.FindAccount(t.Context(), "deleted", "alice"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("find: %v", err)
	}
	if _, err := c.EnsureAccount(t.Context(), store.Account{Namespace: "deleted", Name: "alice", Owner: "alice"}); err != nil {
		t.Fatal(err)
	}
	if token, _, err := c.Token(t.Context(), a, "x", time.Hour); err == nil {
		t.Errorf("token %.20s", token)
	}
}
