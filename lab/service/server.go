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
	gone  chan struct{} // closed when cmd has ended
	log   string
}

// Start starts the server, again after Kill, and returns when it answers.
func (s *Server) Start() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.launch()
	for {
		err := s.ready(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			text, _ := os.ReadFile(s.log)
			s.t.Fatalf("%s does not answer after %s: %v\n%s", s.path, patience, err, text)
		case <-time.After(20 * time.Millisecond):
		}
		select {
		case <-s.gone: // children of a killed PostgreSQL keep the next one out for a moment
			s.launch()
		default:
		}
	}
}

// launch starts the process.
func (s *Server) launch() {
	s.t.Helper()
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	cmd, gone := exec.Command(s.path, s.args...), make(chan struct{})
	cmd.Dir, cmd.SysProcAttr, cmd.Stdout, cmd.Stderr = filepath.Dir(s.log), s.as, log, log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(gone)
		_ = cmd.Wait()
	}()
	s.cmd, s.gone = cmd, gone
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
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(sig)
		<-s.gone
	}
}

// program finds a program of a package, or fails with the way to get it.
// Debian keeps those of PostgreSQL out of the path, by version.
func program(t testing.TB, pkg, name string) string {
	t.Helper()
	if found, _ := filepath.Glob(filepath.Join("/usr/lib/postgresql/*/bin", name)); len(found) > 0 {
		return slices.Max(found)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed; install it with: apt-get install -y --no-install-recommends %s", name, pkg)
	}
	return path
}

// Port finds a free port of the loopback.
func Port(t testing.TB) int {
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
