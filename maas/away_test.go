package maas_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"

	"github.com/egret-gateway/egret/maas"
	"github.com/egret-gateway/egret/store"
)

// absent is a database and a cluster that cannot be asked.
type absent struct {
	shelf
	maas.Cluster
	err error
}

type shelf struct{ store.Keys }

func (a absent) Keys(context.Context, string) ([]store.Key, error) { return nil, a.err }

func (a absent) EnsureNamespace(context.Context, string, map[string]string) error { return a.err }

// TestAway asks while the database or the cluster cannot be reached: the caller
// is told so, and to come again.
func TestAway(t *testing.T) {
	w := newWorld(t)
	f := func(name string, err error, code int) {
		t.Run(name, func(t *testing.T) {
			away := absent{shelf{w.store}, w.realm, err}
			w.server.Keys, w.server.Cluster = away, away
			for _, call := range [][3]string{
				{"POST", "/v1/tokens", ""}, {"GET", "/v1/api-keys", ""}, {"POST", "/v1/api-keys", `{"name":"n"}`}, {"GET", "/v1/models", ""},
			} {
				a := w.as(alice, call[0], call[1], call[2])
				if retry := a.head.Get("Retry-After"); a.code != code || (code == http.StatusServiceUnavailable) != (retry == "1") {
					t.Errorf("%s %s: %d, Retry-After %q", call[0], call[1], a.code, retry)
				}
			}
		})
	}
	f("a database that cannot be reached", fmt.Errorf("keys: %w: EOF", store.ErrAway), http.StatusServiceUnavailable)
	f("an API server that refuses connections", fmt.Errorf("make: %w", &net.OpError{Op: "dial", Err: errors.New("refused")}), http.StatusServiceUnavailable)
	f("what is not away but wrong", errors.New("no such table"), http.StatusInternalServerError)
}
