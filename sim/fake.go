package sim

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// FakeMetrics is what --fake-metrics shows in place of the real metrics. A list of bucket values counts the samples of
// each bucket, from the lowest; buckets behind its end are empty.
type FakeMetrics struct {
	Running  float64 `json:"running-requests"`
	Waiting  float64 `json:"waiting-requests"`
	CacheUse float64 `json:"kv-cache-usage"` // 0 to 1
	LoRAs    []struct {
		Running   string  `json:"running"` // names, separated by commas
		Waiting   string  `json:"waiting"`
		Timestamp float64 `json:"timestamp"` // Unix seconds
	} `json:"loras"`
	FirstToken       []uint64           `json:"ttft-buckets-values"`
	PerToken         []uint64           `json:"tpot-buckets-values"`
	EndToEnd         []uint64           `json:"e2erl-buckets-values"`
	QueueTime        []uint64           `json:"queue-time-buckets-values"`
	Inference        []uint64           `json:"inf-time-buckets-values"`
	Prefill          []uint64           `json:"prefill-time-buckets-values"`
	Decode           []uint64           `json:"decode-time-buckets-values"`
	PromptTokens     []uint64           `json:"request-prompt-tokens"`
	GenerationTokens []uint64           `json:"request-generation-tokens"`
	MaxTokensParam   []uint64           `json:"request-params-max-tokens"`
	Success          map[string]float64 `json:"request-success-total"` // by finish reason
}

// fakeRegistry shows the fake metrics and nothing else.
func fakeRegistry(c *Config) *prometheus.Registry {
	f := c.FakeMetrics
	labels := prometheus.Labels{"model_name": c.ServedModelName[0]}
	registry := prometheus.NewRegistry()
	gauge := func(name, help string, v float64) {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels})
		g.Set(v)
		registry.MustRegister(g)
	}
	gauge("vllm:num_requests_running", "Requests being served.", f.Running)
	gauge("vllm:num_requests_waiting", "Requests in the queue.", f.Waiting)
	gauge(cacheUseOld, "Fraction of the KV cache in use, 0 to 1.", f.CacheUse)
	gauge(cacheUseNew, "Fraction of the KV cache in use, 0 to 1.", f.CacheUse)

	success := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vllm:request_success_total", Help: "Requests served, by why they ended.", ConstLabels: labels}, []string{"finish_reason"})
	for reason, n := range f.Success {
		success.WithLabelValues(reason).Add(max(0, n))
	}
	registry.MustRegister(success, loraInfo{max: c.MaxLoRAs, read: f.loras})
	for _, h := range histograms(c.MaxModelLen) {
		for _, name := range h.names {
			registry.MustRegister(newFrozen(prometheus.NewDesc(name, h.help, nil, labels), h.buckets, h.fake(f)))
		}
	}
	return registry
}

// loras gives each combination once: the latest entry of a combination counts.
func (f *FakeMetrics) loras() []loraLoad {
	index := map[string]int{}
	var all []loraLoad
	for _, l := range f.LoRAs {
		entry := loraLoad{l.Running, l.Waiting, l.Timestamp}
		key := strings.Join([]string{l.Running, l.Waiting}, ";")
		if i, seen := index[key]; seen {
			all[i] = entry
			continue
		}
		index[key] = len(all)
		all = append(all, entry)
	}
	return all
}

// frozen is a histogram that was filled once, bucket by bucket.
type frozen struct {
	desc   *prometheus.Desc
	metric prometheus.Metric
}

// newFrozen fills each bucket with its count; a sample is taken to lie at the bucket's upper end, and those beyond the
// last bucket at the end of that one.
func newFrozen(desc *prometheus.Desc, bounds []float64, counts []uint64) frozen {
	var total uint64
	var sum float64
	cumulative := make(map[float64]uint64, len(bounds))
	for i, bound := range bounds {
		if i < len(counts) {
			total += counts[i]
			sum += float64(counts[i]) * bound
		}
		cumulative[bound] = total
	}
	if n := len(bounds); len(counts) > n && n > 0 {
		total += counts[n]
		sum += float64(counts[n]) * bounds[n-1]
	}
	return frozen{desc, prometheus.MustNewConstHistogram(desc, total, sum, cumulative)}
}

// Describe implements prometheus.Collector.
func (f frozen) Describe(out chan<- *prometheus.Desc) { out <- f.desc }

// Collect implements prometheus.Collector.
func (f frozen) Collect(out chan<- prometheus.Metric) { out <- f.metric }
