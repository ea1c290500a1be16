package controller

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/egret-gateway/egret/source/kube"
	"github.com/egret-gateway/egret/xds"
)

// metrics of a controller, on a registry of their own.
type metrics struct {
	registry         *prometheus.Registry
	rounds           prometheus.Histogram
	gateways, routes prometheus.Gauge
	broken           prometheus.Gauge
	failed           prometheus.Counter
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		rounds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "egret_controller_round_seconds", Help: "Seconds from a snapshot to what planes are given.",
			Buckets: []float64{.001, .005, .01, .05, .1, .25, .5, 1, 2.5, 5},
		}),
		gateways: prometheus.NewGauge(prometheus.GaugeOpts{Name: "egret_controller_gateways", Help: "Gateways that are served."}),
		routes:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "egret_controller_routes", Help: "HTTPRoutes in the cluster."}),
		broken:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "egret_controller_unreadable_objects", Help: "Objects that could not be read."}),
		failed:   prometheus.NewCounter(prometheus.CounterOpts{Name: "egret_controller_status_failures_total", Help: "Rounds of status that could not be written whole."}),
	}
	m.registry.MustRegister(m.rounds, m.gateways, m.routes, m.broken, m.failed,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) round(took time.Duration, gateways, routes int) {
	m.rounds.Observe(took.Seconds())
	m.gateways.Set(float64(gateways))
	m.routes.Set(float64(routes))
}

func (m *metrics) problems(n int) { m.broken.Set(float64(n)) }
func (m *metrics) unwritten()     { m.failed.Inc() }

// collect exposes what other rooms count.
func (m *metrics) collect(server *xds.Server, from *kube.Source, l *lead) {
	m.registry.MustRegister(&counted{server: server, source: from, lead: l})
}

// counted reads the figures when it is asked for them.
type counted struct {
	server *xds.Server
	source *kube.Source
	lead   *lead
}

var (
	descPushes  = prometheus.NewDesc("egret_xds_pushes_total", "Responses sent to planes.", []string{"type"}, nil)
	descBytes   = prometheus.NewDesc("egret_xds_bytes_total", "Bytes of resources sent to planes.", []string{"type"}, nil)
	descNacks   = prometheus.NewDesc("egret_xds_nacks_total", "Responses that planes refused.", []string{"type"}, nil)
	descStreams = prometheus.NewDesc("egret_xds_subscriptions", "Streams that subscribe now.", []string{"type"}, nil)
	descMissing = prometheus.NewDesc("egret_controller_missing_kind", "1 for a kind that cannot be read.", []string{"kind", "why"}, nil)
	descLeading = prometheus.NewDesc("egret_controller_leading", "1 while this replica leads.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c *counted) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descPushes, descBytes, descNacks, descStreams, descMissing, descLeading} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *counted) Collect(out chan<- prometheus.Metric) {
	for typ, n := range c.server.Counts() {
		out <- prometheus.MustNewConstMetric(descPushes, prometheus.CounterValue, float64(n.Pushes), typ)
		out <- prometheus.MustNewConstMetric(descBytes, prometheus.CounterValue, float64(n.Bytes), typ)
		out <- prometheus.MustNewConstMetric(descNacks, prometheus.CounterValue, float64(n.Nacks), typ)
		out <- prometheus.MustNewConstMetric(descStreams, prometheus.GaugeValue, float64(n.Streams), typ)
	}
	for _, missing := range c.source.Missing() {
		out <- prometheus.MustNewConstMetric(descMissing, prometheus.GaugeValue, 1, missing.Kind, missing.Why)
	}
	leading := 0.0
	if c.lead.leading.Load() {
		leading = 1
	}
	out <- prometheus.MustNewConstMetric(descLeading, prometheus.GaugeValue, leading)
}
