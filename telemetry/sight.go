package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/egret-gateway/egret/sight"
)

var (
	seenGood = prometheus.NewDesc("egret_backend_good", "1 when what was last seen of a backend was good: its name leads somewhere (Resolved), connections succeed (Connected), the provider takes the credential (Authenticated).", []string{"backend", "kind"}, nil)
	seenAt   = prometheus.NewDesc("egret_backend_seen_timestamp_seconds", "When that was, in Unix time.", []string{"backend", "kind"}, nil)
	seenEnds = prometheus.NewDesc("egret_backend_certificate_end_timestamp_seconds", "When the certificate ends that a backend showed last, in Unix time.", []string{"backend"}, nil)
)

// Watch adds what was last seen of backends to the metrics; seen is called when
// they are read.
func (m *Metrics) Watch(seen func() []sight.Fact) { m.Registry.MustRegister(watch(seen)) }

type watch func() []sight.Fact

// Describe implements prometheus.Collector.
func (watch) Describe(out chan<- *prometheus.Desc) {
	out <- seenGood
	out <- seenAt
	out <- seenEnds
}

// Collect implements prometheus.Collector.
func (w watch) Collect(out chan<- prometheus.Metric) {
	for _, f := range w() {
		good := 0.0
		if f.Good {
			good = 1
		}
		out <- prometheus.MustNewConstMetric(seenGood, prometheus.GaugeValue, good, f.Object, string(f.Kind))
		out <- prometheus.MustNewConstMetric(seenAt, prometheus.GaugeValue, float64(f.At.UnixMilli())/1000, f.Object, string(f.Kind))
		if !f.Ends.IsZero() {
			out <- prometheus.MustNewConstMetric(seenEnds, prometheus.GaugeValue, float64(f.Ends.Unix()), f.Object)
		}
	}
}
