package command

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
)

// respectMemory makes the garbage collector work harder from nine tenths of
// the container's limit of memory on, where GOMEMLIMIT does not say otherwise:
// the reference's manifest sets none, and its 128 MiB are few. root is the
// mount of control groups, of version 2 or 1.
func respectMemory(root string) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	for _, file := range []string{"memory.max", "memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			continue
		}
		// "max", and version 1's greatest number, are no limit.
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && limit < 1<<50 {
			debug.SetMemoryLimit(limit / 10 * 9)
		}
		return
	}
}
