package service

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Redis starts redis-server, with further arguments as its command line has
// them. Unless they say otherwise nothing is kept across a Kill.
func Redis(t testing.TB, args ...string) *Server {
	t.Helper()
	return keyValue(t, program(t, "redis-server", "redis-server"), args)
}

// Valkey starts valkey-server in the same way. It reports false when there is
// none: not every distribution has it yet.
func Valkey(t testing.TB, args ...string) (*Server, bool) {
	t.Helper()
	path, err := exec.LookPath("valkey-server")
	if err != nil {
		return nil, false
	}
	return keyValue(t, path, args), true
}

func keyValue(t testing.TB, path string, args []string) *Server {
	t.Helper()
	dir, p := t.TempDir(), port(t)
	s := &Server{
		URL: fmt.Sprintf("redis://127.0.0.1:%d/0", p), Port: p,
		t: t, path: path, log: filepath.Join(dir, "log"),
		args: append([]string{"--bind", "127.0.0.1", "--port", strconv.Itoa(p), "--dir", dir, "--save", ""}, args...),
	}
	s.ready = func(ctx context.Context) error {
		err := exchange(ctx, p, "PING\r\n", "+PONG\r\n")
		if err != nil && exchange(ctx, p, "PING\r\n", "-NOAUTH") == nil {
			return nil
		}
		return err
	}
	t.Cleanup(func() { s.end(syscall.SIGKILL) })
	s.Start()
	return s
}
