package local

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/store"
)

func TestEnsureAccount(t *testing.T) {
	s := newScene(t)
	ctx := t.Context()
	ensure := func(a store.Account) store.Account {
		t.Helper()
		got, err := s.realm.EnsureAccount(ctx, a)
		s.must(err)
		stored, err := s.realm.FindAccount(ctx, a.Namespace, a.Name)
		s.must(err)
		if diff := cmp.Diff(got, stored); diff != "" {
			t.Errorf("returned and stored differ (-returned +stored):\n%s", diff)
		}
		return got
	}
	mint := time.Unix(1771002000, 0).UTC()
	labels := map[string]string{"a": "b"}
	first := ensure(store.Account{Namespace: "n", Name: "a", Labels: labels})
	if len(first.UID) != 36 || !first.Created.Equal(s.now) {
		t.Errorf("account %+v", first)
	}
	owned := ensure(store.Account{Namespace: "n", Name: "a", Owner: "alice", LastHumanMint: mint})
	want := first
	want.Owner, want.LastHumanMint = "alice", mint
	if diff := cmp.Diff(want, owned); diff != "" {
		t.Errorf("the first owner (-want +got):\n%s", diff)
	}
	if got := ensure(store.Account{Namespace: "n", Name: "a", Owner: "alice", LastHumanMint: mint.Add(-time.Hour)}); !got.LastHumanMint.Equal(mint) {
		t.Errorf("an earlier mint is recorded: %v", got.LastHumanMint)
	}
	if got := ensure(store.Account{Namespace: "n", Name: "a", Owner: "eve", LastHumanMint: mint.Add(time.Hour)}); !cmp.Equal(owned, got) {
		t.Errorf("somebody else changes the account:\n%s", cmp.Diff(owned, got))
	}
	s.must(s.realm.DeleteAccount(ctx, "n", "a"))
	s.must(s.realm.DeleteAccount(ctx, "n", "a"))
	if _, err := s.realm.FindAccount(ctx, "n", "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("error %v of an account that was deleted", err)
	}
	if got := ensure(store.Account{Namespace: "n", Name: "a"}); got.UID == first.UID {
		t.Error("an account that was made again has its old UID")
	}
	if _, err := s.realm.EnsureAccount(ctx, store.Account{Namespace: "n", Name: "Upper"}); err == nil {
		t.Error("a name that Kubernetes refuses was accepted")
	}
}

func TestAccountsByLabel(t *testing.T) {
	s := newScene(t)
	for _, ns := range []string{"b", "a", "c"} {
		labels := map[string]string{"instance": "gw", "tier": ns}
		if ns == "c" {
			labels = map[string]string{"instance": "other"}
		}
		_, err := s.realm.EnsureAccount(t.Context(), store.Account{Namespace: ns, Name: "x", Labels: labels})
		s.must(err)
	}
	got, err := s.realm.Accounts(t.Context(), "x", map[string]string{"instance": "gw"})
	s.must(err)
	if len(got) != 2 || got[0].Namespace != "a" || got[1].Namespace != "b" {
		t.Errorf("accounts %+v", got)
	}
}

func TestTokenLimits(t *testing.T) {
	s := newScene(t)
	f := func(name string, a store.Account, ttl time.Duration, want string) {
		t.Run(name, func(t *testing.T) {
			if _, _, err := s.realm.Token(t.Context(), a, "aud", ttl); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want one with %q", err, want)
			}
		})
	}
	former := s.account
	former.UID = "former"
	f("too short", s.account, 10*time.Minute-time.Second, "not 9m59s")
	f("too long", s.account, maxLife+time.Second, "can live from")
	f("an account that is not there", store.Account{Namespace: "ns", Name: "none"}, time.Hour, "not found")
	f("an account that was made again", former, time.Hour, "was deleted meanwhile")
}

func TestEnsureNamespace(t *testing.T) {
	s := newScene(t)
	s.must(s.realm.EnsureNamespace(t.Context(), "n", map[string]string{"a": "1"}))
	s.must(s.realm.EnsureNamespace(t.Context(), "n", map[string]string{"a": "2"}))
	got, err := s.realm.state.Namespaces(t.Context())
	s.must(err)
	if diff := cmp.Diff([]store.Namespace{{Name: "n", Labels: map[string]string{"a": "1"}}}, got); diff != "" {
		t.Errorf("namespaces (-want +got):\n%s", diff)
	}
	if err := s.realm.EnsureNamespace(t.Context(), "gw-tier-Big Spenders", nil); err == nil {
		t.Error("a name that Kubernetes refuses was accepted")
	}
}
