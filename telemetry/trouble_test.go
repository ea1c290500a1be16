package telemetry_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/telemetry"
)

func TestTrouble(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(0, 0)
	told := telemetry.Trouble{Log: slog.New(slog.NewTextHandler(&out, nil)), Now: func() time.Time { return now }}
	lines := func() string {
		defer out.Reset()
		return out.String()
	}
	failed := engine.Record{Backend: "default-openai-443", Route: "default/chat", Code: string(engine.NoConnect), Status: 502, Reason: "x509: certificate has expired"}

	told.Record(&failed)
	if got := lines(); !strings.Contains(got, `backend=default-openai-443 route=default/chat code=no_connection status=502 calls=1 reason="x509: certificate has expired"`) {
		t.Errorf("the first: %q", got)
	}
	for range 5 {
		told.Record(&failed)
	}
	told.Record(&engine.Record{Backend: "default-openai-443", Status: 429, Code: "limited"})
	told.Record(&engine.Record{Backend: "default-openai-443", Status: 200})
	if got := lines(); got != "" {
		t.Errorf("soon after: %q", got)
	}
	other := failed
	other.Backend = "default-other-443"
	told.Record(&other)
	if got := lines(); strings.Count(got, "\n") != 1 {
		t.Errorf("another backend: %q", got)
	}
	now = now.Add(11 * time.Second)
	told.Record(&failed)
	if got := lines(); !strings.Contains(got, "calls=6 ") {
		t.Errorf("later: %q", got)
	}
}
