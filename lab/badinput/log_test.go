package badinput

import (
	"bytes"
	"context"
	"strings"
	"sync"
)

// lines is a log that one can wait for.
type lines struct {
	mu   sync.Mutex
	all  []string
	grew chan struct{} // closed and renewed by each write
}

func newLines() *lines { return &lines{grew: make(chan struct{})} }

// Write takes whole lines, as slog's handlers write them.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(bytes.TrimSpace(b)))
	close(l.grew)
	l.grew = make(chan struct{})
	return len(b), nil
}

// mark is where the log ends now.
func (l *lines) mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

// since returns what was written after a mark.
func (l *lines) since(mark int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all[mark:], "\n")
}

// find waits for a line after mark that holds all parts.
func (l *lines) find(ctx context.Context, mark int, parts ...string) bool {
	for {
		l.mu.Lock()
		fresh, grew := l.all[mark:], l.grew
		l.mu.Unlock()
		for _, line := range fresh {
			if holds(line, parts) {
				return true
			}
		}
		select {
		case <-grew:
		case <-ctx.Done():
			return false
		}
	}
}

func holds(line string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(line, p) {
			return false
		}
	}
	return true
}
