package child

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience is how long tests wait for what should happen at once. It is long,
// because a machine under load is slow and a broken program is rare.
const Patience = 60 * time.Second

// Process is one egret.
type Process struct {
	Stdout, Stderr Output

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// Start starts egret with the arguments, in dir when that is not "".
func Start(t testing.TB, dir string, args ...string) *Process {
	t.Helper()
	cmd := exec.Command(self(t))
	cmd.Args = append([]string{name}, args...)
	cmd.Dir = dir
	return start(t, cmd)
}

// StartShell starts a bash script in which egret is in PATH. The script ends
// with `exec egret ...`, so that the process is egret.
func StartShell(t testing.TB, dir, script string) *Process {
	t.Helper()
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+Bin(t)+":"+os.Getenv("PATH"))
	return start(t, cmd)
}

func start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.Stdout, &p.Stderr
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.Signal(syscall.SIGKILL)
		<-p.done
		if t.Failed() {
			t.Logf("%s:\n%s\n%s", strings.Join(cmd.Args, " "), tail(p.Stdout.String()), tail(p.Stderr.String()))
		}
	})
	return p
}

// Signal sends a signal; a process that has ended takes none.
func (p *Process) Signal(s syscall.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		panic("BUG: " + err.Error())
	}
}

// Kill ends the process as kill -9 does and waits for its end.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Wait waits for the end and returns the exit status, -1 after a signal.
func (p *Process) Wait(t testing.TB) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(Patience):
		t.Fatalf("egret has not ended within %s", Patience)
	}
	return p.cmd.ProcessState.ExitCode()
}

// Ended reports whether the process is gone.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Output is what a process has written so far.
type Output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func tail(s string) string {
	const most = 6000
	if len(s) > most {
		return "..." + s[len(s)-most:]
	}
	return s
}

// Until polls until ok says yes, and fails the test when it has not within
// Patience.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within %s: %s", Patience, what)
		}
	}
}

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }
