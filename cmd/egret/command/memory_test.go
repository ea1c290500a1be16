package command

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
)

func TestRespectMemory(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	f := func(name, file, text, environment string, want int64) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Setenv("GOMEMLIMIT", environment)
			defer debug.SetMemoryLimit(before)
			root := t.TempDir()
			path := filepath.Join(root, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			respectMemory(root)
			if got := debug.SetMemoryLimit(-1); got != want {
				t.Errorf("limit %d, want %d", got, want)
			}
		})
	}
	const limit = 134217728
	f("version 2", "memory.max", "134217728\n", "", limit/10*9)
	f("version 1", "memory/memory.limit_in_bytes", "134217728\n", "", limit/10*9)
	f("version 2 without a limit", "memory.max", "max\n", "", before)
	f("version 1 without a limit", "memory/memory.limit_in_bytes", "9223372036854771712\n", "", before)
	f("somebody has decided", "memory.max", "134217728\n", "1GiB", before)
	f("no control groups", "other", "", "", before)
}
