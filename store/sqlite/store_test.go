package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/egret-gateway/egret/store"
	"github.com/egret-gateway/egret/store/sqlite"
	"github.com/egret-gateway/egret/store/storetest"
)

func open(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMemory(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, "") })
}

func TestFile(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, filepath.Join(t.TempDir(), "egret.db")) })
}
