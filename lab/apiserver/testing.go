package apiserver

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"
)

// Main runs the tests of a package with a server of their own, once it is
// prepared. It returns the exit code.
func Main(m *testing.M, prepare func(*Server) error) int {
	code, err := with(prepare, m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func with(prepare func(*Server) error, run func() int) (int, error) {
	dir, err := os.MkdirTemp("", "apiserver")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	s, err := Start(dir)
	if err != nil {
		return 0, err
	}
	defer s.Stop()
	if err := prepare(s); err != nil {
		return 0, err
	}
	return run(), nil
}

// Must is Do for tests, which end where it fails.
func (s *Server) Must(t testing.TB, method, path, body string) []byte {
	t.Helper()
	out, err := s.Do(context.Background(), method, path, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Read returns the object at a path.
func Read[T any](t testing.TB, s *Server, path string) *T {
	t.Helper()
	o := new(T)
	if err := json.Unmarshal(s.Must(t, http.MethodGet, path, ""), o); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return o
}

// Has reports whether there is an object at a path.
func (s *Server) Has(path string) bool {
	_, err := s.Do(context.Background(), http.MethodGet, path, nil)
	return err == nil
}

// Await looks again and again until ok, and ends the test after the limit.
func Await(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	tick, timeout := time.NewTicker(20*time.Millisecond), time.After(limit)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("in %s there was no %s", limit, what)
		}
	}
}
