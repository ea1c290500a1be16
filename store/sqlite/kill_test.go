package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/egret-gateway/egret/store"
	"github.com/egret-gateway/egret/store/sqlite"
)

// Environment of a process that this test binary starts from itself in order to kill it.
const (
	victimEnv = "EGRET_TEST_VICTIM" // which victim to be
	pathEnv   = "EGRET_TEST_DB"     // its database
)

func TestMain(m *testing.M) {
	victims := map[string]func(*sqlite.Store) error{"ended": ended, "busy": busy}
	victim, ok := victims[os.Getenv(victimEnv)]
	if !ok {
		os.Exit(m.Run())
	}
	s, err := sqlite.Open(context.Background(), os.Getenv(pathEnv))
	if err == nil {
		err = victim(s)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// ended is a gateway whose last response ended 100 ms ago. It never returns by itself.
func ended(s *sqlite.Store) error {
	w := store.NewWriter(s)
	go func() {
		w.Entry(entry)
		w.Counter(counter)
		<-time.After(100 * time.Millisecond) // the promise that is tested
		fmt.Println("100 ms have passed")
	}()
	return w.Run(context.Background())
}

// busy is a gateway that writes without a pause and says so after each transaction.
func busy(s *sqlite.Store) error {
	for i := 1; ; i++ {
		e, c, k := entry, counter, key
		e.ID, c.Used, k.ID = fmt.Sprint(i), int64(i), fmt.Sprint(i)
		if err := s.Save(context.Background(), []store.Entry{e}, []store.Counter{c}); err != nil {
			return err
		}
		if err := s.PutKey(context.Background(), k); err != nil {
			return err
		}
		fmt.Println(i)
	}
}

// killed starts a victim, kills it with SIGKILL when it has said so many lines, and reopens its database.
func killed(t *testing.T, victim string, lines int) *sqlite.Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "egret.db")
	cmd := exec.CommandContext(t.Context(), got(os.Executable())(t))
	cmd.Env = append(os.Environ(), victimEnv+"="+victim, pathEnv+"="+path)
	cmd.Stderr = os.Stderr
	out := got(cmd.StdoutPipe())(t)
	check(t, cmd.Start())
	said := bufio.NewScanner(out)
	for i := range lines {
		if !said.Scan() {
			t.Errorf("the victim ended by itself after %d lines", i)
			break
		}
	}
	check(t, cmd.Process.Kill())
	equal(t, cmd.Wait().Error(), "signal: killed")
	s := open(t, path)
	t.Cleanup(func() { s.Close() })
	return s
}

func TestKill(t *testing.T) {
	ctx := t.Context()
	t.Run("a response that ended 100 ms before the kill is in the ledger, its charge in the counter", func(t *testing.T) {
		s := killed(t, "ended", 1)
		equal(t, got(s.Recent(ctx, "", 10))(t), []store.Entry{entry})
		equal(t, got(s.Counters(ctx, noon))(t), []store.Counter{counter})
	})
	t.Run("a kill in the middle of writing takes nothing that was acknowledged", func(t *testing.T) {
		const lines = 100
		s := killed(t, "busy", lines)
		written := got(s.Usage(ctx, store.Query{}))(t)[0].Requests
		equal(t, written >= lines, true)
		equal(t, got(s.Counters(ctx, noon))(t)[0].Used, written) // one transaction: both or neither
		equal(t, len(got(s.Keys(ctx, key.Owner))(t)) >= lines, true)
		equal(t, got(s.Check(ctx))(t), "ok")
	})
}
