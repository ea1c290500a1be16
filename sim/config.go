package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"
	"unicode/utf8"
)

// Config says which model is simulated and how it behaves. The zero value is not usable: start from Default or Parse.
type Config struct {
	Port            int      // of rank 0; the others follow
	Model           string   // required
	ServedModelName []string // public names, the first is shown in all answers; empty means Model
	Mode            string   // "random" or "echo"
	Seed            *int64   // makes texts and ids repeatable; nil means the clock's nanoseconds

	MaxModelLen           int // tokens of prompt and requested completion together
	MaxNumSeqs            int // requests played at once
	MaxWaitingQueueLength int // requests beyond those; more get 429

	LoRAModules []Adapter // loaded from the start
	MaxLoRAs    int       // adapters in use at once
	MaxCPULoRAs int       // 0 means MaxLoRAs

	Latency Latency

	MaxToolCallIntegerParam, MinToolCallIntegerParam         int
	MaxToolCallNumberParam, MinToolCallNumberParam           float64
	MaxToolCallArrayParamLength, MinToolCallArrayParamLength int
	ToolCallNotRequiredParamProbability                      int // percent
	ObjectToolCallNotRequiredFieldProbability                int // percent

	KVCache KVCache

	FailureInjectionRate int      // percent of the requests
	FailureTypes         []string // empty means all
	FakeMetrics          *FakeMetrics

	DataParallelSize int // ranks, on ports Port … Port+DataParallelSize−1

	SSLCertFile, SSLKeyFile string
	SelfSignedCerts         bool

	// Of a dataset of recorded conversations: refused by Check, since only package store may open databases.
	DatasetPath, DatasetURL string
	DatasetInMemory         bool

	PodName, PodNamespace string // shown in headers of completions when set
	Verbosity             int    // klog's -v: from 4 on, every request is logged at debug level

	// Now is the clock, nil for time.Now. Wait passes simulated time and ends early with ctx's error; nil uses timers.
	Now  func() time.Time
	Wait func(ctx context.Context, d time.Duration) error
	Log  *slog.Logger // nil for slog.Default
}

// Latency is how long the simulated model takes. Flags give milliseconds.
type Latency struct {
	FirstToken, FirstTokenStdDev               time.Duration
	InterToken, InterTokenStdDev               time.Duration
	KVTransfer, KVTransferStdDev               time.Duration // in place of FirstToken for do_remote_prefill
	PrefillOverhead, PrefillPerToken           time.Duration // count only when FirstToken and its deviation are 0
	PrefillStdDev                              time.Duration
	KVTransferPerToken, KVTransferTokensStdDev time.Duration // count only when KVTransfer and its deviation are 0
	LoadFactor                                 float64       // how much slower a token is when all seats are taken, ≥ 1
}

// KVCache is the simulated prefix cache of text completions.
type KVCache struct {
	Enabled   bool
	Size      int // blocks
	BlockSize int // tokens: 8, 16, 32, 64 or 128

	// Read and checked for compatibility. No event is published and no tokenizer is loaded.
	TokenizersCacheDir, HashSeed, ZMQEndpoint string
	ZMQMaxConnectAttempts, EventBatchSize     int
}

// Adapter is a LoRA module.
type Adapter struct {
	Name          string `json:"name"`
	Path          string `json:"path"`
	BaseModelName string `json:"base_model_name"` // Model, when set
}

// Default is what the simulator does without flags, but for the model, which has no default.
func Default() Config {
	return Config{
		Port: 8000, Mode: "random",
		MaxModelLen: 1024, MaxNumSeqs: 5, MaxWaitingQueueLength: 1000, MaxLoRAs: 1,
		Latency:                 Latency{LoadFactor: 1},
		MaxToolCallIntegerParam: 100, MaxToolCallNumberParam: 100,
		MaxToolCallArrayParamLength: 5, MinToolCallArrayParamLength: 1,
		ToolCallNotRequiredParamProbability: 50, ObjectToolCallNotRequiredFieldProbability: 50,
		KVCache:          KVCache{Size: 1024, BlockSize: 16, ZMQEndpoint: "tcp://localhost:5557", EventBatchSize: 16},
		DataParallelSize: 1,
	}
}

// fill completes what follows from other settings.
func (c *Config) fill() {
	if len(c.ServedModelName) == 0 {
		c.ServedModelName = []string{c.Model}
	}
	if c.MaxCPULoRAs == 0 {
		c.MaxCPULoRAs = c.MaxLoRAs
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Wait == nil {
		c.Wait = wait
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Seed == nil {
		c.Seed = new(c.Now().UnixNano())
	}
}

// source makes the randomness of one rank.
func (c *Config) source(rank int) *rand.Rand {
	return rand.New(rand.NewPCG(uint64(*c.Seed), uint64(rank)))
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Check reports everything that is wrong with a configuration at once, each complaint naming the flag to change.
func (c *Config) Check() error {
	var p problems
	if c.Model == "" {
		p.add("model parameter is empty: say --model NAME")
	}
	for _, name := range append([]string{c.Model}, c.ServedModelName...) {
		p.unless(utf8.ValidString(name), "model name %q is not UTF-8", name)
	}
	p.unless(c.FakeMetrics == nil || 0 <= c.FakeMetrics.CacheUse && c.FakeMetrics.CacheUse <= 1, "--fake-metrics: kv-cache-usage is not between 0 and 1")
	p.unless(c.Mode == "random" || c.Mode == "echo", "--mode %q is neither random nor echo", c.Mode)
	p.unless(c.Port > 0 && c.Port <= 65535, "--port %d is not between 1 and 65535", c.Port)
	p.within("data-parallel-size", c.DataParallelSize, 1, 8)
	p.unless(c.Port+c.DataParallelSize-1 <= 65535, "--port %d leaves no room for %d ranks below 65536", c.Port, c.DataParallelSize)
	p.within("max-model-len", c.MaxModelLen, 1, 1<<30)
	p.within("max-num-seqs", c.MaxNumSeqs, 1, 1<<20)
	p.within("max-waiting-queue-length", c.MaxWaitingQueueLength, 1, 1<<20)
	p.within("failure-injection-rate", c.FailureInjectionRate, 0, 100)
	for _, name := range c.FailureTypes {
		p.unless(slices.Contains(failureTypes(), name), "--failure-types: %q is not one of %v", name, failureTypes())
	}
	p.unless((c.SSLCertFile == "") == (c.SSLKeyFile == ""), "--ssl-certfile and --ssl-keyfile go together: give both or neither")
	p.unless(!c.SelfSignedCerts || c.SSLCertFile == "", "--self-signed-certs and --ssl-certfile exclude each other: give one way to TLS")
	p.unless(c.DatasetURL == "" || c.DatasetPath != "", "--dataset-url needs --dataset-path")
	p.unless(c.DatasetPath == "", "--dataset-path: this simulator plays no recorded conversations; leave it out and replies are made of preset sentences")
	c.checkAdapters(&p)
	c.Latency.check(&p)
	c.checkTools(&p)
	c.KVCache.check(&p)
	return errors.Join(p...)
}

func (c *Config) checkAdapters(p *problems) {
	p.within("max-loras", c.MaxLoRAs, 1, 1<<20)
	p.unless(c.MaxCPULoRAs == 0 || c.MaxCPULoRAs >= c.MaxLoRAs, "--max-cpu-loras %d is less than --max-loras %d", c.MaxCPULoRAs, c.MaxLoRAs)
	p.unless(len(c.LoRAModules) <= maxAdapters, "--lora-modules: %d adapters are more than %d", len(c.LoRAModules), maxAdapters)
	for _, a := range c.LoRAModules {
		p.unless(a.Name != "", "--lora-modules: an adapter has no name")
		p.unless(a.BaseModelName == "" || a.BaseModelName == c.Model,
			"--lora-modules: adapter %q is for model %q, but --model is %q", a.Name, a.BaseModelName, c.Model)
	}
}

func (l *Latency) check(p *problems) {
	deviation := func(name string, mean, stdDev time.Duration) {
		p.unless(mean >= 0 && stdDev >= 0, "--%s and --%s-std-dev cannot be negative", name, name)
		p.unless(stdDev*10 <= mean*3, "--%s-std-dev %v is more than 30%% of --%s %v", name, stdDev, name, mean)
	}
	deviation("time-to-first-token", l.FirstToken, l.FirstTokenStdDev)
	deviation("inter-token-latency", l.InterToken, l.InterTokenStdDev)
	deviation("kv-cache-transfer-latency", l.KVTransfer, l.KVTransferStdDev)
	p.unless(l.PrefillOverhead >= 0, "--prefill-overhead cannot be negative")
	p.unless(l.PrefillPerToken >= 0, "--prefill-time-per-token cannot be negative")
	p.unless(l.PrefillStdDev >= 0, "--prefill-time-std-dev cannot be negative")
	p.unless(l.KVTransferPerToken >= 0, "--kv-cache-transfer-time-per-token cannot be negative")
	p.unless(l.KVTransferTokensStdDev >= 0, "--kv-cache-transfer-time-std-dev cannot be negative")
	p.unless(1 <= l.LoadFactor && l.LoadFactor <= 1000, "--time-factor-under-load %v is not between 1 and 1000", l.LoadFactor)
}

func (c *Config) checkTools(p *problems) {
	const widest = 1 << 53 // integers beyond it do not survive JSON readers that use floats
	p.within("min-tool-call-integer-param", c.MinToolCallIntegerParam, -widest, widest)
	p.within("max-tool-call-integer-param", c.MaxToolCallIntegerParam, c.MinToolCallIntegerParam, widest)
	p.unless(c.MaxToolCallNumberParam >= c.MinToolCallNumberParam, "--max-tool-call-number-param is less than --min-tool-call-number-param")
	p.within("min-tool-call-array-param-length", c.MinToolCallArrayParamLength, 0, maxValues)
	p.within("max-tool-call-array-param-length", c.MaxToolCallArrayParamLength, c.MinToolCallArrayParamLength, maxValues)
	p.within("tool-call-not-required-param-probability", c.ToolCallNotRequiredParamProbability, 0, 100)
	p.within("object-tool-call-not-required-field-probability", c.ObjectToolCallNotRequiredFieldProbability, 0, 100)
}

func (k *KVCache) check(p *problems) {
	p.within("kv-cache-size", k.Size, 1, 1<<24)
	p.unless(slices.Contains([]int{8, 16, 32, 64, 128}, k.BlockSize), "--block-size %d is not one of 8, 16, 32, 64, 128", k.BlockSize)
	p.within("zmq-max-connect-attempts", k.ZMQMaxConnectAttempts, 0, 10)
	p.within("event-batch-size", k.EventBatchSize, 1, 1<<20)
}

// problems collects complaints about a configuration.
type problems []error

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Errorf(format, args...)) }

func (p *problems) unless(ok bool, format string, args ...any) {
	if !ok {
		p.add(format, args...)
	}
}

func (p *problems) within(flag string, value, least, most int) {
	p.unless(least <= value && value <= most, "--%s %d is not between %d and %d", flag, value, least, most)
}
