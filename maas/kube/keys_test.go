package kube

import (
	"testing"

	"github.com/egret-gateway/egret/maas"
)

func TestAddress(t *testing.T) {
	f := func(env map[string]string, want string) {
		t.Helper()
		c, err := maas.ParseConfig([]string{"--storage=external"}, func(name string) string { return env[name] }, t.Output(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := address(c); got != want {
			t.Errorf("%v\n%s\nwant\n%s", env, got, want)
		}
	}
	const plain = "postgres://u:p%40ss@h/db"
	f(map[string]string{"DB_CONNECTION_URL": plain}, plain)
	f(map[string]string{"DB_CONNECTION_URL": plain, "DB_MAX_OPEN_CONNS": "25", "DB_CONN_MAX_LIFETIME_SECONDS": "300", "DB_MAX_IDLE_CONNS": "5"},
		plain+"?pool_max_conn_lifetime=5m0s&pool_max_conns=25")
	f(map[string]string{"DB_CONNECTION_URL": plain + "?pool_max_conns=3&sslmode=disable", "DB_MAX_OPEN_CONNS": "25"},
		plain+"?pool_max_conns=3&sslmode=disable")
	f(map[string]string{"DB_CONNECTION_URL": plain, "DB_MAX_OPEN_CONNS": "many", "DB_CONN_MAX_LIFETIME_SECONDS": "-1"}, plain)
}
