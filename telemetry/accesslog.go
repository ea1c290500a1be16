package telemetry

import (
	"context"
	"log/slog"
	"strings"

	"github.com/egret-gateway/egret/engine"
)

// AccessLog writes one line per exchange: who, where, which model, how many
// tokens, what became of it. Never a prompt, a completion, a credential or a
// query string.
type AccessLog struct {
	Log *slog.Logger
}

// maxLogged bounds a text of a caller's making in a line, in bytes: a path may
// be a megabyte long, and the reason repeat it.
const maxLogged = 2 << 10

func logged(s string) string {
	if len(s) <= maxLogged {
		return s
	}
	return strings.ToValidUTF8(s[:maxLogged], "") + "…"
}

// Record writes r.
func (a *AccessLog) Record(r *engine.Record) {
	attrs := []slog.Attr{
		slog.String("request_id", r.ID),
		slog.String("trace", r.Trace),
		slog.String("gateway", r.Gateway),
		slog.String("route", r.Route),
		slog.String("backend", r.Backend),
		slog.String("remote", r.Remote.Addr().String()),
		slog.String("method", r.Method),
		slog.String("host", logged(r.Host)),
		slog.String("path", logged(r.Path)),
		slog.Int("status", r.Status),
		slog.String("outcome", string(r.Outcome)),
		slog.Int64("bytes", r.Sent),
		slog.Float64("duration_ms", float64(r.Duration.Microseconds())/1000),
		slog.Float64("first_byte_ms", float64(r.FirstByte.Microseconds())/1000),
	}
	if r.Subject != "" {
		attrs = append(attrs, slog.String("subject", r.Subject), slog.String("user", r.User), slog.String("tier", r.Tier))
	}
	if r.Account != "" {
		attrs = append(attrs, slog.String("account", r.Account))
	}
	if r.Code != "" {
		attrs = append(attrs, slog.String("code", r.Code))
	}
	if r.Reason != "" {
		attrs = append(attrs, slog.String("reason", logged(r.Reason)))
	}
	if r.Limit != "" {
		attrs = append(attrs, slog.String("limit", r.Limit))
	}
	if r.Dialect != "" {
		attrs = append(attrs, slog.String("dialect", string(r.Dialect)), slog.String("model", r.Asked), slog.String("model_served", logged(r.Served)),
			slog.Bool("stream", r.Stream), slog.Int("attempts", r.Attempts), tokens(r))
	}
	a.Log.LogAttrs(context.Background(), slog.LevelInfo, "request", attrs...)
}

func tokens(r *engine.Record) slog.Attr {
	u := r.Usage
	return slog.Group("tokens", slog.Int64("total", u.Total), slog.Int64("input", u.Input), slog.Int64("output", u.Output),
		slog.Int64("cached", u.Cached), slog.Int64("reasoning", u.Reasoning), slog.Bool("exact", u.Exact))
}
