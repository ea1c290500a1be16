package kube

import (
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/egret-gateway/egret/store"
)

// TestDatabaseAway starts with a database that is not there: who asks about
// keys is told, at once.
func TestDatabaseAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	ctx := t.Context()
	d := &database{address: "postgres://u:p@" + address + "/d?sslmode=disable", log: slog.New(slog.DiscardHandler)}
	at := time.Now()
	_, listed := d.Keys(ctx, "o")
	_, shown := d.Key(ctx, "o", "k")
	for what, err := range map[string]error{
		"Keys": listed, "Key": shown, "PutKey": d.PutKey(ctx, store.Key{}), "ExpireKey": d.ExpireKey(ctx, "o", "k", at), "ExpireKeys": d.ExpireKeys(ctx, "o", at),
	} {
		if !errors.Is(err, store.ErrAway) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if _, err := openDatabase(ctx, "postgres://u:p@"+address+"/d?sslmode=never", d.log); err == nil || errors.Is(err, store.ErrAway) {
		t.Errorf("an address that is wrong: %v", err)
	}
}
