package service

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// patience is how long a server may take until it answers.
const patience = 20 * time.Second

// Server is a process that a test may crash. Its address stays the same.
type Server struct {
	URL  string // to connect to, without a password unless the test set one
	Port int    // on 127.0.0.1

	t     testing.TB
	path  string
	args  []string
	as    *syscall.SysProcAttr
	ready func(context.Context) error
	cmd   *exec.Cmd
	log   string
}

// Start starts the server, again after Kill, and returns when it answers.
func (s *Server) Start() {
	s.t.Helper()
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.cmd = exec.Command(s.path, s.args...)
	s.cmd.Dir, s.cmd.SysProcAttr, s.cmd.Stdout, s.cmd.Stderr = filepath.Dir(s.log), s.as, log, log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		if err = s.ready(ctx); err == nil {
			return
		}
		select {
		case <-ctx.Done():
			text, _ := os.ReadFile(s.log)
			s.t.Fatalf("%s does not answer after %s: %v\n%s", s.path, patience, err, text)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Kill ends the server as a crash does (SIGKILL) and returns when it is gone.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Freeze stops the server in its tracks: connections are still accepted by the
// kernel and what is sent still arrives, but nothing is answered until Thaw.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw lets a frozen server go on; it reads what has come meanwhile.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// end is without effect on a server that has ended.
func (s *Server) end(sig syscall.Signal) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(sig)
	_ = s.cmd.Wait()
	s.cmd = nil
}

// program finds one of the programs of a package, or fails with the way to get it.
func program(t testing.TB, pkg string, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		found, _ := filepath.Glob(filepath.Join("/usr/lib/postgresql/*/bin", name))
		if len(found) > 0 {
			return slices.Max(found)
		}
	}
	t.Fatalf("%s is not installed; install it with: apt-get install -y --no-install-recommends %s", names[0], pkg)
	return ""
}

// port finds a free port of the loopback.
func port(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// exchange sends a text to a port and insists on how the answer begins.
func exchange(ctx context.Context, port int, send, want string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.Write([]byte(send)); err != nil {
		return err
	}
	got := make([]byte, len(want))
	n, err := c.Read(got)
	if string(got[:n]) != want {
		return fmt.Errorf("it answers %q: %w", got[:n], err)
	}
	return nil
}
