package redis

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/egret-gateway/egret/policy/quota"
)

func TestAddress(t *testing.T) {
	f := func(address string, words ...string) {
		t.Helper()
		l, err := Open(t.Context(), address, Options{})
		if err == nil {
			l.Close()
			t.Fatalf("%s opened", address)
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("error %v, want one that says %q", err, w)
			}
		}
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("error %v shows the password", err)
		}
	}
	f("http://u:s3cret@h", "redis://", "rediss://")
	f("", "redis://")
	f("redis://:s3cret@/0", "no host")
	f("redis://u:s3cret%@h/0", "invalid URL escape")
	f("redis://u:s3cret@h:port/0", "port")
	f("redis://u:s3cret@h/zero", "redis://h/zero", "database")
	f("redis://u:s3cret@h/0?no_such_option=1", "no_such_option")
	f("rediss://u:s3cret@h/0?skip_verify=true", "skip_verify", "certificate")
}

// TestSilence: a server that takes connections and never answers costs a call
// its quarter of a second, and after three nothing.
func TestSilence(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var log strings.Builder
	began := time.Now()
	l, err := Open(t.Context(), "redis://u:s3cret@"+listener.Addr().String(), Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.breaker.reset()
	b := []quota.Bucket{{Key: "k", Max: 1, Window: time.Minute, Settle: true}}
	for i := range 20 {
		if _, err := l.Reserve(t.Context(), b); err == nil {
			t.Fatal("a silent server should be an error")
		}
		if away := l.Partitioned(); away != (i+1 >= patience) {
			t.Fatalf("after %d failures: away is %v", i+1, away)
		}
	}
	if d := time.Since(began); d < patience*commandTimeout || d > (patience+3)*commandTimeout {
		t.Errorf("it took %s", d)
	}
	if n := strings.Count(log.String(), "\n"); n != 2 || strings.Contains(log.String(), "s3cret") || strings.Contains(l.Healthy().Error(), "s3cret") {
		t.Errorf("the log should say it at the start and once more, without the password: %s", log.String())
	}
}

// TestGone: a caller that has left says nothing about the counters.
func TestGone(t *testing.T) {
	client, name, err := dial("redis://127.0.0.1:1/0", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	l := newLimiter(client, name, Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 * patience {
		if _, err := l.Reserve(gone, []quota.Bucket{{Key: "k", Max: 1, Window: time.Minute, Take: 1}}); err == nil {
			t.Fatal("an ended context should be an error")
		}
	}
	if l.Partitioned() || l.Kept() != 0 {
		t.Errorf("away is %v, %d kept", l.Partitioned(), l.Kept())
	}
}
