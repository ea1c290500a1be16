package service

import (
	"context"
	"fmt"
	"os"
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

// Sentinel starts a sentinel that watches a primary by the name "main".
func Sentinel(t testing.TB, primary *Server) *Server {
	t.Helper()
	p, config := Port(t), filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 %d 1\n", p, primary.Port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, program(t, "redis-server", "redis-server"), p, config, "--sentinel")
}

func keyValue(t testing.TB, path string, args []string) *Server {
	t.Helper()
	p := Port(t)
	return start(t, path, p, append([]string{
		"--bind", "127.0.0.1", "--port", strconv.Itoa(p), "--dir", t.TempDir(), "--save", ""}, args...)...)
}

// start starts a server that speaks Redis' protocol.
func start(t testing.TB, path string, port int, args ...string) *Server {
	t.Helper()
	s := &Server{
		URL: fmt.Sprintf("redis://127.0.0.1:%d/0", port), Port: port,
		t: t, path: path, log: filepath.Join(t.TempDir(), "log"), args: args,
	}
	s.ready = func(ctx context.Context) error {
		err := exchange(ctx, port, "PING\r\n", "+PONG\r\n")
		if err != nil && exchange(ctx, port, "PING\r\n", "-NOAUTH") == nil {
			return nil
		}
		return err
	}
	t.Cleanup(func() { s.end(syscall.SIGKILL) })
	s.Start()
	return s
}
