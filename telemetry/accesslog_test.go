package telemetry

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/egret-gateway/egret/engine"
)

// What a caller can make long must not make the log long.
func TestAccessLogLinesAreBounded(t *testing.T) {
	var out bytes.Buffer
	a := &AccessLog{Log: slog.New(slog.NewJSONHandler(&out, nil))}
	long := strings.Repeat("é", 1<<19)
	a.Record(&engine.Record{Method: "GET", Host: long, Path: "/" + long, Code: "no_route", Reason: "no route matches " + long, Dialect: "openai", Served: long})
	if n := out.Len(); n > 16<<10 {
		t.Errorf("the line has %d bytes", n)
	}
	if !strings.Contains(out.String(), `"path":"/é`) && !strings.Contains(out.String(), "\"path\":\"/é") {
		t.Errorf("the path does not begin the line's path: %.300s", out.String())
	}
}
