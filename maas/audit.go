package maas

import (
	"context"
	"errors"
	"log/slog"
)

// The audit log says who got, ended or was refused what. It names tokens by
// their jti, which is no secret, and never holds one.

func (s *Server) minted(ctx context.Context, what string, who *caller, p person, g grant) {
	s.audit().LogAttrs(ctx, slog.LevelInfo, "minted",
		slog.String("what", what), slog.String("username", who.Username), slog.String("owner", p.Owner),
		slog.String("tier", g.Tier), slog.String("account", g.Account.Namespace+"/"+g.Account.Name),
		slog.String("jti", g.JTI), slog.Time("expires_at", g.Expires.UTC()))
}

func (s *Server) revoked(ctx context.Context, what string, who *caller, more ...any) {
	s.audit().With(more...).LogAttrs(ctx, slog.LevelInfo, "revoked",
		slog.String("what", what), slog.String("username", who.Username))
}

// refused is a warning when the caller may do something about it and an
// error when we must.
func (s *Server) refused(ctx context.Context, what string, who *caller, err error) {
	level := slog.LevelError
	if errors.Is(err, errChainOver) || errors.Is(err, errNoTier) || errors.Is(err, errManyKeys) {
		level = slog.LevelWarn
	}
	s.audit().LogAttrs(ctx, level, "refused",
		slog.String("what", what), slog.String("username", who.Username), slog.Any("groups", who.Groups),
		slog.String("error", err.Error()))
}
