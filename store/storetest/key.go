package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/egret-gateway/egret/store"
)

func keys(t *testing.T, s store.Store) {
	ctx := t.Context()
	key := func(id string, age time.Duration) store.Key {
		return store.Key{
			ID: id, Owner: "kube:admin", Name: "ci", Description: "for the build",
			Created: Noon.Add(-age), Expires: Noon.Add(720 * time.Hour), Account: "maas-default-gateway-tier-free/kube-admin-81378af5",
		}
	}
	ids := func(keys []store.Key) (ids []string) {
		for _, k := range keys {
			ids = append(ids, k.ID)
		}
		return ids
	}

	t.Run("a new user has no keys", func(t *testing.T) {
		got, err := s.Keys(ctx, "kube:admin")
		must(t, err)
		equal(t, got, nil)
	})
	t.Run("a key comes back as it was made", func(t *testing.T) {
		must(t, s.PutKey(ctx, key("b", time.Hour)))
		got, err := s.Key(ctx, "kube:admin", "b")
		must(t, err)
		equal(t, got, key("b", time.Hour))
		all, err := s.Keys(ctx, "kube:admin")
		must(t, err)
		equal(t, all, []store.Key{key("b", time.Hour)})
	})
	t.Run("maas-51 the newest comes first, of one second the one stored last", func(t *testing.T) {
		must(t, s.PutKey(ctx, key("c", 2*time.Hour)))
		must(t, s.PutKey(ctx, key("a", 0)))
		must(t, s.PutKey(ctx, key("d", 0)))
		got, err := s.Keys(ctx, "kube:admin")
		must(t, err)
		equal(t, ids(got), []string{"d", "a", "b", "c"})
	})
	t.Run("an unknown id is not found", func(t *testing.T) {
		_, err := s.Key(ctx, "kube:admin", "x")
		is(t, err, store.ErrNotFound)
	})
	t.Run("a key of somebody else is not found, not listed and not ended", func(t *testing.T) {
		_, err := s.Key(ctx, "alice", "a")
		is(t, err, store.ErrNotFound)
		is(t, s.ExpireKey(ctx, "alice", "a", Noon), store.ErrNotFound)
		must(t, s.ExpireKeys(ctx, "alice", Noon))
		all, err := s.Keys(ctx, "alice")
		must(t, err)
		equal(t, all, nil)
		kept, err := s.Key(ctx, "kube:admin", "a")
		must(t, err)
		equal(t, kept, key("a", 0))
	})
	t.Run("an id is taken once, whoever asks", func(t *testing.T) {
		foreign := key(" a ", 0)
		foreign.Owner = "alice"
		is(t, s.PutKey(ctx, foreign), store.ErrExists)
		kept, err := s.Key(ctx, "kube:admin", "a")
		must(t, err)
		equal(t, kept.Owner, "kube:admin")
	})
	t.Run("id, name and description are trimmed, times are cut to seconds and turned to UTC", func(t *testing.T) {
		must(t, s.PutKey(ctx, store.Key{
			ID: "\te ", Owner: "bob", Name: " laptop\n", Description: "  ",
			Created: Noon.Add(999 * time.Millisecond).In(time.FixedZone("", 3600)), Expires: Noon.Add(time.Hour),
		}))
		got, err := s.Key(ctx, "bob", "e")
		must(t, err)
		equal(t, got, store.Key{ID: "e", Owner: "bob", Name: "laptop", Created: Noon, Expires: Noon.Add(time.Hour)})
	})
	t.Run("a key without id, owner or name is invalid", func(t *testing.T) {
		for _, k := range []store.Key{
			{ID: " ", Owner: "bob", Name: "n"}, {ID: "i", Name: "n"}, {ID: "i", Owner: "bob", Name: " \t"},
		} {
			is(t, s.PutKey(ctx, k), store.ErrInvalid)
		}
	})
	t.Run("one key is ended, at once and for good", func(t *testing.T) {
		must(t, s.ExpireKey(ctx, "kube:admin", "a", Noon))
		must(t, s.ExpireKey(ctx, "kube:admin", "a", Noon.Add(time.Minute)))
		got, err := s.Key(ctx, "kube:admin", "a")
		must(t, err)
		equal(t, got.Expires, Noon)
		equal(t, got.Expired(Noon), true)
		is(t, s.ExpireKey(ctx, "kube:admin", "x", Noon), store.ErrNotFound)
	})
	t.Run("maas-55 all keys are ended and stay listed; earlier ends stay", func(t *testing.T) {
		must(t, s.ExpireKeys(ctx, "kube:admin", Noon.Add(time.Minute)))
		got, err := s.Keys(ctx, "kube:admin")
		must(t, err)
		equal(t, ids(got), []string{"d", "a", "b", "c"})
		for _, k := range got {
			equal(t, k.Expired(Noon.Add(time.Minute)), true)
		}
		i := slices.IndexFunc(got, func(k store.Key) bool { return k.ID == "a" })
		equal(t, got[i].Expires, Noon)
		others, err := s.Keys(ctx, "bob")
		must(t, err)
		equal(t, others[0].Expired(Noon.Add(time.Minute)), false)
	})
}
