package sim

import (
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// rank is one data-parallel instance: an http.Handler with its own queue, adapters, cache, metrics and randomness.
type rank struct {
	cfg      Config
	port     string
	mux      *http.ServeMux
	queue    *queue
	adapters *adapters
	cache    *prefixes // nil unless enabled
	metrics  *metrics

	mu     sync.Mutex
	source *rand.Rand // seeds the randomness of requests, in the order of their arrival
}

func newRank(c Config, index int) *rank {
	k := &rank{
		cfg: c, port: strconv.Itoa(c.Port + index), mux: http.NewServeMux(),
		queue: newQueue(&c), adapters: newAdapters(c.LoRAModules), source: c.source(index),
	}
	if c.KVCache.Enabled {
		k.cache = newPrefixes(c.KVCache)
	}
	k.metrics = newMetrics(&c, k.queue, k.cache)
	shown := k.metrics.registry
	if c.FakeMetrics != nil {
		shown = fakeRegistry(&c)
	}
	k.mux.HandleFunc("POST /v1/chat/completions", k.chat)
	k.mux.HandleFunc("POST /v1/completions", k.text)
	k.mux.HandleFunc("GET /v1/models", k.models)
	k.mux.HandleFunc("POST /v1/load_lora_adapter", k.loadAdapter)
	k.mux.HandleFunc("POST /v1/unload_lora_adapter", k.unloadAdapter)
	k.mux.HandleFunc("POST /tokenize", k.tokenize)
	k.mux.HandleFunc("GET /health", healthy)
	k.mux.HandleFunc("GET /ready", healthy)
	k.mux.Handle("GET /metrics", promhttp.HandlerFor(shown, promhttp.HandlerOpts{}))
	return k
}

// ServeHTTP implements http.Handler.
func (k *rank) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if k.cfg.Verbosity >= 4 {
		k.cfg.Log.LogAttrs(r.Context(), slog.LevelDebug, "simulator request", slog.String("method", r.Method), slog.String("path", r.URL.Path))
	}
	k.mux.ServeHTTP(w, r)
}

// arrive gives a request its randomness.
func (k *rank) arrive() *rand.Rand {
	k.mu.Lock()
	defer k.mu.Unlock()
	return rand.New(rand.NewPCG(k.source.Uint64(), k.source.Uint64()))
}

func healthy(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, struct{}{}) }

// tokenize answers for a model without a known tokenizer: only input that no tokenizer could take is told apart.
func (k *rank) tokenize(w http.ResponseWriter, r *http.Request) {
	body, failed := readBody(w, r)
	if failed != nil {
		failed.write(w)
		return
	}
	var q struct {
		Model    string        `json:"model"`
		Prompt   *string       `json:"prompt"`
		Messages []chatMessage `json:"messages"`
	}
	if err := json.Unmarshal(body, &q); err != nil {
		unreadable("%v", err).write(w)
		return
	}
	switch {
	case q.Prompt != nil && q.Messages != nil:
		refuse(http.StatusBadRequest, "both prompt and messages are given: give one of them").write(w)
	case q.Model != "" && !k.serves(q.Model):
		unknownModel(q.Model).write(w)
	default:
		refusePlain(http.StatusInternalServerError, "no tokenizer is known for model %s", k.cfg.Model).write(w)
	}
}
