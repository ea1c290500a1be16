package kube

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strconv"

	"github.com/egret-gateway/egret/maas"
	"github.com/egret-gateway/egret/store"
	"github.com/egret-gateway/egret/store/sqlite"
)

// keys is where metadata of API keys is kept.
type keys interface {
	store.Keys
	io.Closer
}

func openKeys(ctx context.Context, c maas.Config, log *slog.Logger) (keys, error) {
	switch c.Storage {
	case maas.StorageMemory:
		log.Info("API keys are kept in memory and end with this process", "storage", c.Storage)
		return sqlite.Open(ctx, "")
	case maas.StorageDisk:
		log.Info("API keys are kept in a file", "storage", c.Storage, "path", c.DataPath)
		return sqlite.Open(ctx, c.DataPath)
	case maas.StorageExternal:
		log.Info("API keys are kept in a database", "storage", c.Storage)
		return openDatabase(ctx, address(c), log)
	}
	return nil, fmt.Errorf("--storage=%s: choose in-memory, disk or external", c.Storage)
}

// address is the database's, with the bounds of the configuration where it has
// none of its own. One that is no URL stays as it is, to be refused.
func address(c maas.Config) string {
	u, err := url.Parse(string(c.DBURL))
	if err != nil {
		return string(c.DBURL)
	}
	q := u.Query()
	if c.DBConns > 0 && !q.Has("pool_max_conns") {
		q.Set("pool_max_conns", strconv.Itoa(c.DBConns))
	}
	if c.DBLifetime > 0 && !q.Has("pool_max_conn_lifetime") {
		q.Set("pool_max_conn_lifetime", c.DBLifetime.String())
	}
	u.RawQuery = q.Encode()
	return u.String()
}
