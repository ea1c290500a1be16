package maas

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
)

// NewLog returns the API's log in the form that collectors of the reference's
// log know: JSON lines with keys level (in lower case), timestamp (ISO 8601),
// caller and message, and stacktrace from level error up. With console it is
// text to look at, from level debug up: the same in columns of its own, the
// level in capitals and colour, and the other fields as JSON at the end.
func NewLog(w io.Writer, console bool) *slog.Logger {
	if console {
		return slog.New(newConsole(w))
	}
	return slog.New(traced{slog.NewJSONHandler(w, &slog.HandlerOptions{AddSource: true, ReplaceAttr: rename})})
}

const timestampForm = "2006-01-02T15:04:05.000Z0700"

// rename gives what every line has the names and forms of NewLog.
func rename(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch v := a.Value.Any().(type) {
	case slog.Level:
		if a.Key == slog.LevelKey {
			return slog.String("level", strings.ToLower(v.String()))
		}
	case *slog.Source:
		return slog.String("caller", place(v))
	}
	switch {
	case a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime:
		return slog.String("timestamp", a.Value.Time().Format(timestampForm))
	case a.Key == slog.MessageKey:
		return slog.Attr{Key: "message", Value: a.Value}
	}
	return a
}

// place is a line of code, with the last folder of its file.
func place(s *slog.Source) string {
	return filepath.Join(filepath.Base(filepath.Dir(s.File)), filepath.Base(s.File)) + ":" + strconv.Itoa(s.Line)
}

// traced adds a stack to what is an error.
type traced struct{ slog.Handler }

func (h traced) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError && !has(r, "stacktrace") {
		r = r.Clone()
		r.AddAttrs(slog.String("stacktrace", string(debug.Stack())))
	}
	return h.Handler.Handle(ctx, r)
}

func (h traced) WithAttrs(a []slog.Attr) slog.Handler { return traced{h.Handler.WithAttrs(a)} }
func (h traced) WithGroup(name string) slog.Handler   { return traced{h.Handler.WithGroup(name)} }

func has(r slog.Record, key string) (found bool) {
	r.Attrs(func(a slog.Attr) bool {
		found = a.Key == key
		return !found
	})
	return found
}

// console writes lines to look at. Fields go through a JSON handler, whose
// lines it collects.
type console struct {
	slog.Handler
	out *sheet
}

// sheet is what console handlers with different fields share.
type sheet struct {
	mu     sync.Mutex
	w      io.Writer
	fields bytes.Buffer
}

func newConsole(w io.Writer) console {
	out := &sheet{w: w}
	fields := slog.NewJSONHandler(&out.fields, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: drop})
	return console{fields, out}
}

// drop leaves out what has a column of its own.
func drop(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
		return slog.Attr{}
	}
	return a
}

func (h console) Handle(ctx context.Context, r slog.Record) error {
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	h.out.fields.Reset()
	if err := h.Handler.Handle(ctx, r); err != nil {
		return err
	}
	line := []string{r.Time.Format(timestampForm), colour(r.Level) + r.Level.String() + "\x1b[0m"}
	if s := r.Source(); s != nil {
		line = append(line, place(s))
	}
	line = append(line, strings.ReplaceAll(r.Message, "\n", `\n`))
	if fields := strings.TrimSpace(h.out.fields.String()); fields != "{}" {
		line = append(line, fields)
	}
	_, err := io.WriteString(h.out.w, strings.Join(line, "\t")+"\n")
	return err
}

func (h console) WithAttrs(a []slog.Attr) slog.Handler { return console{h.Handler.WithAttrs(a), h.out} }
func (h console) WithGroup(name string) slog.Handler {
	return console{h.Handler.WithGroup(name), h.out}
}

// colour is the terminal's for a level: magenta, blue, yellow, red.
func colour(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "\x1b[31m"
	case l >= slog.LevelWarn:
		return "\x1b[33m"
	case l >= slog.LevelInfo:
		return "\x1b[34m"
	}
	return "\x1b[35m"
}
