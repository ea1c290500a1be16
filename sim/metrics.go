package sim

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Names that changed between the generations of the simulator are exposed under both (maas 121).
const (
	cacheUseOld = "vllm:gpu_cache_usage_perc"
	cacheUseNew = "vllm:kv_cache_usage_perc"
)

// histogram describes one histogram, its names in all generations, and where --fake-metrics holds its buckets.
type histogram struct {
	names   []string
	help    string
	buckets []float64
	fake    func(*FakeMetrics) []uint64
}

// Indices into histograms.
const (
	firstToken = iota
	perToken
	endToEnd
	queueTime
	inference
	prefill
	decode
	promptTokens
	generationTokens
	maxTokensParam
)

func histograms(maxModelLen int) [maxTokensParam + 1]histogram {
	request := []float64{.3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680}
	sizes := oneTwoFive(maxModelLen)
	one := func(name, help string, buckets []float64, fake func(*FakeMetrics) []uint64) histogram {
		return histogram{[]string{"vllm:" + name}, help, buckets, fake}
	}
	return [...]histogram{
		firstToken: one("time_to_first_token_seconds", "Time to the first token in seconds.",
			[]float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560},
			func(f *FakeMetrics) []uint64 { return f.FirstToken }),
		perToken: {[]string{"vllm:time_per_output_token_seconds", "vllm:inter_token_latency_seconds"}, "Time between two tokens in seconds.",
			[]float64{.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80},
			func(f *FakeMetrics) []uint64 { return f.PerToken }},
		endToEnd:         one("e2e_request_latency_seconds", "Time from arrival to the last token in seconds.", request, func(f *FakeMetrics) []uint64 { return f.EndToEnd }),
		queueTime:        one("request_queue_time_seconds", "Time spent waiting in seconds.", request, func(f *FakeMetrics) []uint64 { return f.QueueTime }),
		inference:        one("request_inference_time_seconds", "Time spent running in seconds.", request, func(f *FakeMetrics) []uint64 { return f.Inference }),
		prefill:          one("request_prefill_time_seconds", "Time spent in prefill in seconds.", request, func(f *FakeMetrics) []uint64 { return f.Prefill }),
		decode:           one("request_decode_time_seconds", "Time spent in decode in seconds.", request, func(f *FakeMetrics) []uint64 { return f.Decode }),
		promptTokens:     one("request_prompt_tokens", "Tokens of a prompt.", sizes, func(f *FakeMetrics) []uint64 { return f.PromptTokens }),
		generationTokens: one("request_generation_tokens", "Tokens of a reply.", sizes, func(f *FakeMetrics) []uint64 { return f.GenerationTokens }),
		maxTokensParam:   one("request_params_max_tokens", "Tokens that a request allows its reply.", sizes, func(f *FakeMetrics) []uint64 { return f.MaxTokensParam }),
	}
}

// oneTwoFive is the series 1, 2, 5, 10, … up to a limit.
func oneTwoFive(limit int) []float64 {
	var series []float64
	for power := 1; ; power *= 10 {
		for _, m := range [...]int{1, 2, 5} {
			if m*power > limit {
				return series
			}
			series = append(series, float64(m*power))
		}
	}
}

// metrics are the real metrics of one rank, in a registry of their own.
type metrics struct {
	registry   *prometheus.Registry
	success    *prometheus.CounterVec
	histograms [maxTokensParam + 1][]prometheus.Histogram
	prompt     prometheus.Counter
	generation prometheus.Counter
}

func newMetrics(c *Config, q *queue, cache *prefixes) *metrics {
	labels := prometheus.Labels{"model_name": c.ServedModelName[0]}
	m := &metrics{registry: prometheus.NewRegistry()}
	for i, h := range histograms(c.MaxModelLen) {
		for _, name := range h.names {
			histogram := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: h.help, Buckets: h.buckets, ConstLabels: labels})
			m.histograms[i] = append(m.histograms[i], histogram)
			m.registry.MustRegister(histogram)
		}
	}
	m.success = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vllm:request_success_total", Help: "Requests served, by why they ended.", ConstLabels: labels}, []string{"finish_reason"})
	m.prompt = prometheus.NewCounter(prometheus.CounterOpts{Name: "vllm:prompt_tokens_total", Help: "Prompt tokens processed.", ConstLabels: labels})
	m.generation = prometheus.NewCounter(prometheus.CounterOpts{Name: "vllm:generation_tokens_total", Help: "Tokens generated.", ConstLabels: labels})
	gauge := func(name, help string, read func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, read)
	}
	m.registry.MustRegister(m.success, m.prompt, m.generation,
		gauge("vllm:num_requests_running", "Requests being served.", func() float64 { return float64(q.load().running) }),
		gauge("vllm:num_requests_waiting", "Requests in the queue.", func() float64 { return float64(q.load().waiting) }),
		gauge(cacheUseOld, "Fraction of the KV cache in use, 0 to 1.", cache.use),
		gauge(cacheUseNew, "Fraction of the KV cache in use, 0 to 1.", cache.use),
		loraInfo{max: c.MaxLoRAs, read: func() []loraLoad {
			l := q.load()
			return []loraLoad{{strings.Join(l.active, ","), strings.Join(l.wanted, ","), float64(l.changed.Unix())}}
		}},
	)
	return m
}

func (m *metrics) observe(histogram int, v float64) {
	for _, h := range m.histograms[histogram] {
		h.Observe(v)
	}
}

func (m *metrics) time(histogram int, d time.Duration) { m.observe(histogram, d.Seconds()) }

// served counts a request that was played to its end.
func (m *metrics) served(u usage, limit int, finish string) {
	m.success.WithLabelValues(finish).Inc()
	m.prompt.Add(float64(u.PromptTokens))
	m.generation.Add(float64(u.CompletionTokens))
	m.observe(promptTokens, float64(u.PromptTokens))
	m.observe(generationTokens, float64(u.CompletionTokens))
	if limit > 0 {
		m.observe(maxTokensParam, float64(limit))
	}
}

// loraInfo shows the present use of adapters as labels; the value says since when. Past uses leave no series behind.
type loraInfo struct {
	max  int
	read func() []loraLoad
}

type loraLoad struct {
	running, waiting string
	since            float64 // Unix seconds
}

func (i loraInfo) desc() *prometheus.Desc {
	return prometheus.NewDesc("vllm:lora_requests_info", "Adapters of running and waiting requests, and since when.",
		[]string{"max_lora", "running_lora_adapters", "waiting_lora_adapters"}, nil)
}

// Describe implements prometheus.Collector.
func (i loraInfo) Describe(out chan<- *prometheus.Desc) { out <- i.desc() }

// Collect implements prometheus.Collector.
func (i loraInfo) Collect(out chan<- prometheus.Metric) {
	for _, l := range i.read() {
		out <- prometheus.MustNewConstMetric(i.desc(), prometheus.GaugeValue, l.since, strconv.Itoa(i.max), l.running, l.waiting)
	}
}
