package telemetry

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/egret-gateway/egret/engine"
)

// Bounds on label values that come from callers.
const (
	maxUsers  = 10_000
	maxModels = 500
	maxTiers  = 100
)

// other stands for every value beyond a bound.
const other = "other"

// Metrics are the Prometheus metrics of one process, on a registry of their
// own. The names of Limitador, Authorino and Istio are kept, so that existing
// dashboards work (acceptance maas 117-119, 121).
type Metrics struct {
	Registry *prometheus.Registry

	hits, calls, limited         *prometheus.CounterVec
	authTotal, authStatus        *prometheus.CounterVec
	authResponses                *prometheus.CounterVec
	authDuration                 *prometheus.HistogramVec
	istioRequests                *prometheus.CounterVec
	istioDuration                *prometheus.HistogramVec
	requests, tokens             *prometheus.CounterVec
	duration, firstByte          *prometheus.HistogramVec
	users, models, tiers         *bound
	reloads                      *prometheus.CounterVec
	draws                        *prometheus.HistogramVec
	partitioned                  prometheus.Gauge
	planTime, objects, badStates prometheus.Gauge
}

var (
	seconds      = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}
	milliseconds = []float64{.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000}
	fast         = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1}
)

// NewMetrics registers every metric.
func NewMetrics() *Metrics {
	m := &Metrics{Registry: prometheus.NewRegistry(), users: newBound(maxUsers), models: newBound(maxModels), tiers: newBound(maxTiers)}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		m.Registry.MustRegister(c)
		return c
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
		m.Registry.MustRegister(h)
		return h
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		m.Registry.MustRegister(g)
		return g
	}
	m.hits = counter("authorized_hits", "Tokens charged.", "user", "tier", "model", "limitador_namespace")
	m.calls = counter("authorized_calls", "Calls that passed their limits.", "user", "tier", "limitador_namespace")
	m.limited = counter("limited_calls", "Calls refused by a limit.", "user", "tier", "limitador_namespace", "limit_name")
	gauge("limitador_up", "1 while limits are served.").Set(1)
	m.partitioned = gauge("datastore_partitioned", "1 while the counters are out of reach.")
	m.draws = histogram("datastore_latency", "Seconds that a draw on the counters took.", fast)
	m.authTotal = counter("auth_server_authconfig_total", "Evaluations per policy.", "namespace", "authconfig")
	m.authStatus = counter("auth_server_authconfig_response_status", "Answers per policy.", "namespace", "authconfig", "status")
	m.authDuration = histogram("auth_server_authconfig_duration_seconds", "Seconds that a policy took.", fast, "namespace", "authconfig")
	m.authResponses = counter("auth_server_response_status", "Answers of all policies.", "status")
	m.istioRequests = counter("istio_requests_total", "Requests.", "response_code", "destination_service_name", "tier")
	m.istioDuration = histogram("istio_request_duration_milliseconds", "Milliseconds per request.", milliseconds, "response_code", "destination_service_name", "tier")
	m.requests = counter("egret_requests_total", "Requests by gateway, route and outcome.", "gateway", "route", "backend", "code", "outcome")
	m.tokens = counter("egret_tokens_total", "Tokens seen, by kind; estimated is 1 when no provider reported them.", "gateway", "route", "model", "kind", "estimated")
	m.duration = histogram("egret_request_duration_seconds", "Seconds from arrival to the last byte.", seconds, "gateway", "route")
	m.firstByte = histogram("egret_first_byte_seconds", "Seconds from arrival to the head of the backend's answer.", seconds, "gateway", "route")
	m.reloads = counter("egret_reloads_total", "Configurations taken in, by result.", "result")
	m.planTime = gauge("egret_plan_loaded_timestamp_seconds", "When the plan in force was loaded.")
	m.objects = gauge("egret_config_objects", "Objects in the last configuration that was read.")
	m.badStates = gauge("egret_config_problems", "Problems and bad conditions of the last configuration that was read.")
	return m
}

// Gauge adds a gauge that is asked when scraped.
func (m *Metrics) Gauge(name, help string, f func() float64) {
	m.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
}

// Reload counts a configuration that was read. ok says whether it is served.
func (m *Metrics) Reload(ok bool, objects, problems int, now time.Time) {
	result := "kept_previous"
	if ok {
		result = "loaded"
		m.planTime.Set(float64(now.Unix()))
	}
	m.reloads.WithLabelValues(result).Inc()
	m.objects.Set(float64(objects))
	m.badStates.Set(float64(problems))
}

// Record counts one exchange.
func (m *Metrics) Record(r *engine.Record) {
	code := strconv.Itoa(r.Status)
	user, tier := m.users.value(r.User), m.tiers.value(r.Tier)
	model := m.model(r)
	m.requests.WithLabelValues(r.Gateway, r.Route, r.Backend, code, string(r.Outcome)).Inc()
	m.duration.WithLabelValues(r.Gateway, r.Route).Observe(r.Duration.Seconds())
	m.istioRequests.WithLabelValues(code, r.Backend, tier).Inc()
	m.istioDuration.WithLabelValues(code, r.Backend, tier).Observe(float64(r.Duration) / float64(time.Millisecond))
	if r.FirstByte > 0 {
		m.firstByte.WithLabelValues(r.Gateway, r.Route).Observe(r.FirstByte.Seconds())
	}
	m.auth(r)
	m.limits(r, user, tier, model)
	m.count(r, model)
}

// model is the label of a call that cost something, "" for others: nothing is
// counted for those, and a caller who asks for models that do not exist must
// not use up the names.
func (m *Metrics) model(r *engine.Record) string {
	if r.Usage.Total == 0 && !r.Charged {
		return ""
	}
	return m.models.value(firstOf(r.Served, r.Asked))
}

func (m *Metrics) limits(r *engine.Record, user, tier, model string) {
	switch {
	case r.Limit != "":
		m.limited.WithLabelValues(user, tier, r.Route, r.Limit).Inc()
	case r.Checked:
		m.calls.WithLabelValues(user, tier, r.Route).Inc()
	}
	if r.Charged {
		m.hits.WithLabelValues(user, tier, model, r.Route).Add(float64(r.Usage.Total))
	}
}

// auth reports in the auth server's terms.
func (m *Metrics) auth(r *engine.Record) {
	if r.Policy == "" {
		return
	}
	status := "OK"
	switch r.Code {
	case "unauthenticated":
		status = "UNAUTHENTICATED"
	case "unauthorized":
		status = "PERMISSION_DENIED"
	case "identity_unavailable":
		status = "UNAVAILABLE"
	}
	namespace, name, _ := strings.Cut(r.Policy, "/")
	m.authTotal.WithLabelValues(namespace, name).Inc()
	m.authStatus.WithLabelValues(namespace, name, status).Inc()
	m.authResponses.WithLabelValues(status).Inc()
	m.authDuration.WithLabelValues(namespace, name).Observe(r.Auth.Seconds())
}

func (m *Metrics) count(r *engine.Record, model string) {
	if r.Usage.Total == 0 {
		return
	}
	estimated := "1"
	if r.Usage.Exact {
		estimated = "0"
	}
	add := func(kind string, n int64) {
		if n > 0 {
			m.tokens.WithLabelValues(r.Gateway, r.Route, model, kind, estimated).Add(float64(n))
		}
	}
	add("input", r.Usage.Input)
	add("output", r.Usage.Output)
	add("cached", r.Usage.Cached)
	add("cache_write", r.Usage.CacheWrite)
	add("reasoning", r.Usage.Reasoning)
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
