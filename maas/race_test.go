package maas_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	api "github.com/egret-gateway/egret/api/maas"
)

// Whoever holds a stolen token and keeps exchanging it while its owner revokes
// everything ends up with nothing that works.
func TestRevokeWhileMinting(t *testing.T) {
	w := newWorld(t)
	for round := range 20 {
		stolen := w.mint(alice).Token
		var mu sync.Mutex
		got := []string{stolen}
		var thieves sync.WaitGroup
		for range 4 {
			thieves.Go(func() {
				for range 5 {
					a := w.with(stolen, "POST", "/v1/tokens", "")
					if a.code != http.StatusCreated {
						continue
					}
					var next api.Token
					a.into(t, &next)
					mu.Lock()
					got = append(got, next.Token)
					mu.Unlock()
				}
			})
		}
		if a := w.as(alice, "DELETE", "/v1/tokens", ""); a.code != http.StatusNoContent {
			t.Errorf("revoke: %d %s", a.code, a.body)
		}
		thieves.Wait()
		for _, token := range got {
			if a := w.with(token, "GET", "/v1/models", ""); a.code != http.StatusUnauthorized {
				t.Fatalf("round %d: a token still works: %d", round, a.code)
			}
		}
	}
}

// People who mint at once get one ServiceAccount each, and all keys are kept.
func TestParallelKeys(t *testing.T) {
	w := newWorld(t)
	const people, each = 5, 6
	var group sync.WaitGroup
	for p := range people {
		someone := who{fmt.Sprintf("user%d@example.com", p), alice.groups}
		for range each {
			group.Go(func() {
				if a := w.as(someone, "POST", "/v1/api-keys", `{"name":"n"}`); a.code != http.StatusCreated {
					t.Errorf("create: %d %s", a.code, a.body)
				}
			})
		}
	}
	group.Wait()
	accounts, err := w.store.Accounts(t.Context())
	w.must(err)
	if len(accounts) != people {
		t.Errorf("%d ServiceAccounts, want %d", len(accounts), people)
	}
	for p := range people {
		var keys []api.Key
		w.as(who{fmt.Sprintf("user%d@example.com", p), alice.groups}, "GET", "/v1/api-keys", "").into(t, &keys)
		if len(keys) != each {
			t.Errorf("user %d has %d keys, want %d", p, len(keys), each)
		}
	}
}
