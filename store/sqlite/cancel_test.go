package sqlite_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/egret-gateway/egret/store"
	"github.com/egret-gateway/egret/store/sqlite"
)

// A caller that goes away must not take the database with it, which in memory is one connection.
func TestCancel(t *testing.T) {
	for name, path := range map[string]string{"memory": "", "file": filepath.Join(t.TempDir(), "egret.db")} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			s := open(t, path)
			defer s.Close()
			check(t, s.PutKey(ctx, key))

			batch := func(round int) []store.Entry {
				entries := make([]store.Entry, 1000)
				for i := range entries {
					entries[i] = store.Entry{ID: fmt.Sprint(round, "-", i), Time: noon}
				}
				return entries
			}
			var want int64
			for round := range 8 { // from "before it began" over "in the middle" to "after it ended"
				gone, cancel := context.WithTimeout(ctx, time.Millisecond<<round/2)
				if err := s.Append(gone, batch(round)); err == nil {
					want += 1000
				}
				cancel()
				equal(t, requests(t, s), want) // all or nothing
				equal(t, got(s.Keys(ctx, key.Owner))(t), []store.Key{key})
			}
			check(t, s.Append(ctx, batch(-1)))
			equal(t, requests(t, s), want+1000)
		})
	}
}

func requests(t *testing.T, s *sqlite.Store) int64 {
	t.Helper()
	var n int64
	for _, total := range got(s.Usage(t.Context(), store.Query{}))(t) {
		n += total.Requests
	}
	return n
}
