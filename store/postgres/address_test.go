package postgres

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

// says insists that an address is refused with these words.
func says(t *testing.T, address string, words ...string) {
	t.Helper()
	s, err := Open(t.Context(), address)
	if err == nil {
		s.Close()
		t.Fatal("it opened")
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

func TestAddress(t *testing.T) {
	t.Run("maas-58 another scheme is refused", func(t *testing.T) {
		says(t, "mysql://u:s3cret@h/d", "postgres://")
		says(t, "host=h password=s3cret", "postgres://")
	})
	says(t, "postgres://u:s3cret%@h/d", "not a URL", "%XX")
	says(t, "postgres://u:s3cret@h:port/d", "not a URL")
	says(t, "postgres://u:s3cret@h/d?sslmode=never", "sslmode")
	says(t, "postgres://u@h/d?password=s3cret&connect_timeout=x", "connect_timeout")
}

func TestNobodyAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close() // nobody listens there any more
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = Open(ctx, "postgres://u:s3cret@"+address+"/ledger?sslmode=disable")
	for _, w := range []string{"ledger on " + address, "does not answer", "refused"} {
		if err == nil || !strings.Contains(err.Error(), w) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("error %v, want one that says %q and no password", err, w)
		}
	}
}
