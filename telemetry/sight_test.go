package telemetry

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/egret-gateway/egret/sight"
)

func TestWatch(t *testing.T) {
	const object = "XBackendDestination ns/x"
	facts := []sight.Fact{
		{Object: object, Kind: sight.Connected, Good: true, At: time.Unix(1000, 0), Ends: time.Unix(5000, 0)},
		{Object: object, Kind: sight.Authenticated, At: time.Unix(1001, 5e8)},
	}
	m := NewMetrics()
	m.Watch(func() []sight.Fact { return facts })
	read := func() string {
		w := httptest.NewRecorder()
		promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		return w.Body.String()
	}
	text := read()
	for _, want := range []string{
		`egret_backend_good{backend="` + object + `",kind="Connected"} 1` + "\n",
		`egret_backend_good{backend="` + object + `",kind="Authenticated"} 0` + "\n",
		`egret_backend_seen_timestamp_seconds{backend="` + object + `",kind="Authenticated"} 1001.5` + "\n",
		`egret_backend_certificate_end_timestamp_seconds{backend="` + object + `"} 5000` + "\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	facts = nil
	if strings.Contains(read(), object) {
		t.Error("what is not known any more is told")
	}
}
