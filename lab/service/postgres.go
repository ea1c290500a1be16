package service

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Postgres starts a PostgreSQL server with an empty database "egret", which
// its only user "egret" may use without a password from loopback. Commits are
// not forced to the disk: they survive Kill, which is what tests need.
func Postgres(t testing.TB) *Server {
	t.Helper()
	initdb, err := filepath.EvalSymlinks(program(t, "postgresql", "initdb")) // the others are beside it
	if err != nil {
		t.Fatal(err)
	}
	dir, p := t.TempDir(), Port(t)
	s := &Server{
		URL: fmt.Sprintf("postgres://egret@127.0.0.1:%d/egret?sslmode=disable", p), Port: p,
		t: t, path: filepath.Join(filepath.Dir(initdb), "postgres"), log: filepath.Join(dir, "log"), as: unprivileged(t, dir),
	}
	data := filepath.Join(dir, "data")
	s.args = []string{
		"-D", data, "-p", strconv.Itoa(p), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "fsync=off", "-c", "shared_buffers=64MB", "-c", "max_connections=60",
	}
	s.run(initdb, "-D", data, "-U", "egret", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	isready := filepath.Join(filepath.Dir(initdb), "pg_isready")
	s.ready = func(ctx context.Context) error {
		return exec.CommandContext(ctx, isready, "-h", "127.0.0.1", "-p", strconv.Itoa(p), "-U", "egret", "-d", "postgres").Run()
	}
	t.Cleanup(func() { s.end(syscall.SIGQUIT) })
	s.Start()
	s.Database("egret")
	return s
}

// Database makes an empty database and returns its URL.
func (s *Server) Database(name string) string {
	s.t.Helper()
	s.run(filepath.Join(filepath.Dir(s.path), "createdb"), "-h", "127.0.0.1", "-p", strconv.Itoa(s.Port), "-U", "egret", "-T", "template0", name)
	return fmt.Sprintf("postgres://egret@127.0.0.1:%d/%s?sslmode=disable", s.Port, name)
}

// run runs one of the server's tools as the server's user.
func (s *Server) run(path string, args ...string) {
	s.t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.SysProcAttr = filepath.Dir(s.log), s.as
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", path, err, out)
	}
}

// unprivileged gives dir to the user "postgres" when this is root, because
// PostgreSQL runs for nobody who may do everything.
func unprivileged(t testing.TB, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatalf("%v; the package postgresql makes it", err)
	}
	uid, uerr := strconv.Atoi(u.Uid)
	gid, gerr := strconv.Atoi(u.Gid)
	if uerr != nil || gerr != nil {
		t.Fatalf("user postgres has the ids %s and %s", u.Uid, u.Gid)
	}
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil { // the way to dir
		t.Fatal(err)
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}
