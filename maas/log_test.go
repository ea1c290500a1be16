package maas

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"testing"
)

// TestLog holds the log to the form of the reference (MaaS API 1.12).
func TestLog(t *testing.T) {
	line := func(level slog.Level) map[string]any {
		t.Helper()
		var b bytes.Buffer
		NewLog(&b, false).With("username", "kube:admin").Log(t.Context(), level, "no good", "error", errors.New("why"))
		out := map[string]any{}
		if b.Len() == 0 {
			return out
		}
		if err := json.Unmarshal(b.Bytes(), &out); err != nil {
			t.Fatalf("%s: %v", b.String(), err)
		}
		return out
	}
	holds := func(where map[string]any, key, pattern string) {
		t.Helper()
		got, _ := where[key].(string)
		if !regexp.MustCompile(pattern).MatchString(got) {
			t.Errorf("%s is %q, want %s", key, where[key], pattern)
		}
	}
	t.Run("a line of JSON", func(t *testing.T) {
		info := line(slog.LevelInfo)
		holds(info, "timestamp", `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d{4})$`)
		holds(info, "caller", `^maas/log_test\.go:\d+$`)
		holds(info, "message", `^no good$`)
		holds(info, "username", `^kube:admin$`)
		holds(info, "error", `^why$`)
		if _, there := info["stacktrace"]; there {
			t.Error("a stack for what is no error")
		}
	})
	t.Run("an error has a stack", func(t *testing.T) { holds(line(slog.LevelError), "stacktrace", `TestLog`) })
	t.Run("the level is in lower case", func(t *testing.T) {
		var b bytes.Buffer
		NewLog(&b, false).Warn("x")
		if !strings.Contains(b.String(), `"level":"warn"`) {
			t.Error(b.String())
		}
	})
	t.Run("nothing below info", func(t *testing.T) {
		if got := line(slog.LevelDebug); len(got) != 0 {
			t.Error(got)
		}
	})
	t.Run("console", func(t *testing.T) {
		var b bytes.Buffer
		log := NewLog(&b, true)
		log.With("tier", "free").Debug("two\nlines", "count", 2)
		log.Error("bare")
		want := "^\\S+\t\x1b\\[35mDEBUG\x1b\\[0m\tmaas/log_test.go:\\d+\ttwo\\\\nlines\t" + `\{"tier":"free","count":2\}` +
			"\n\\S+\t\x1b\\[31mERROR\x1b\\[0m\tmaas/log_test.go:\\d+\tbare\n$"
		if !regexp.MustCompile(want).MatchString(b.String()) {
			t.Errorf("%q\nis not %q", b.String(), want)
		}
	})
}
