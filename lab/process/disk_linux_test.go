package process

import (
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/egret-gateway/egret/lab/child"
)

// TestDiskFull lets no file of the process grow beyond a limit, which needs no
// privilege and looks to it like a full disk, and takes the limit away again.
func TestDiskFull(t *testing.T) {
	dir, env, data := child.Fixed(t), filepath.Join(t.TempDir(), "egret.env"), t.TempDir()
	p := child.StartShell(t, "", "ulimit -S -f 256; exec egret "+strings.Join(child.QuickstartArgs(env, "--manifests", dir, "--data", data), " "))
	g := child.QuickstartOf(t, p, env)
	token := g.Mint(t, g.UserToken) // minting itself keeps state, so it fails while the disk is full
	var spent int64
	call := func(t *testing.T) {
		t.Helper()
		a := g.Call(t, http.MethodPost, chat, token, ask("Hello"))
		switch a.Status {
		case http.StatusOK:
			spent += cost(t, a)
		case http.StatusTooManyRequests: // goes into the ledger as well
		default:
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	child.Until(t, "the disk is full", func() bool {
		call(t)
		return g.Page(t, "/readyz").Status != http.StatusOK
	})
	t.Run("requests go on", func(t *testing.T) {
		for range 20 {
			call(t)
		}
	})
	t.Run("/readyz and /status say what is wrong and what to do", func(t *testing.T) {
		for _, page := range []string{"/readyz", "/status"} {
			a := g.Page(t, page)
			if !strings.Contains(a.Body, "usage ledger cannot be written") || !strings.Contains(a.Body, "free space") {
				t.Errorf("%s: %d %s", page, a.Status, a.Body)
			}
		}
		if a := g.Page(t, "/healthz"); a.Status != http.StatusOK {
			t.Errorf("/healthz: %d, want 200: a restart would not help", a.Status)
		}
	})
	t.Run("the log says it once, not per retry", func(t *testing.T) {
		if n := strings.Count(g.Stderr.String(), "usage ledger cannot be written"); n != 1 {
			t.Errorf("%d lines", n)
		}
	})
	t.Run("with room again everything that waited is kept", func(t *testing.T) {
		unlimit(t, p.PID())
		child.Until(t, "ready again", func() bool { return g.Page(t, "/readyz").Status == http.StatusOK })
		if _, tokens := g.Usage(t, "kube-admin-81378af5"); tokens != spent {
			t.Errorf("the ledger has %d tokens, %d were spent", tokens, spent)
		}
		if lost := g.Metric(t, "egret_ledger_lost_entries"); lost != 0 {
			t.Errorf("%v entries are lost", lost)
		}
	})
	p.Signal(syscall.SIGTERM)
	if code := p.Wait(t); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// TestDiskFullAtTheEnd counts what a process takes with it.
func TestDiskFullAtTheEnd(t *testing.T) {
	t.Parallel() // it waits, mostly
	dir, env, data := child.Fixed(t), filepath.Join(t.TempDir(), "egret.env"), t.TempDir()
	p := child.StartShell(t, "", "ulimit -S -f 256; exec egret "+strings.Join(child.QuickstartArgs(env, "--manifests", dir, "--data", data), " "))
	g := child.QuickstartOf(t, p, env)
	token := g.Mint(t, g.UserToken)
	child.Until(t, "the disk is full", func() bool {
		g.Call(t, http.MethodPost, chat, token, ask("Hello"))
		return g.Page(t, "/readyz").Status != http.StatusOK
	})
	began := time.Now()
	p.Signal(syscall.SIGTERM)
	if code := p.Wait(t); code != 1 || !strings.Contains(p.Stderr.String(), "could not be written") {
		t.Errorf("exit status %d, want 1 and the number of entries that could not be written", code)
	}
	if took := time.Since(began); took > child.Patience/2 {
		t.Errorf("the end took %s", took)
	}
}

// unlimit lets the files of a process grow.
func unlimit(t *testing.T, pid int) {
	t.Helper()
	const fileSize = 1 // RLIMIT_FSIZE
	infinite := struct{ soft, hard uint64 }{^uint64(0), ^uint64(0)}
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(pid), fileSize, uintptr(unsafe.Pointer(&infinite)), 0, 0, 0); errno != 0 {
		t.Fatal(errno)
	}
}
