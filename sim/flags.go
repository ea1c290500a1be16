package sim

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// option is one setting: by the same name a command-line flag and a key of the configuration file.
type option struct {
	name, usage string
	arity       arity
	set         func(c *Config, values []string) error
	show        func(c *Config) string // the default, for Help
}

// arity is how many values a flag takes on the command line.
type arity int

const (
	single arity = iota
	many         // all arguments up to the next flag
	toggle       // none, or one behind an equals sign
)

// flags are those of llm-d-inference-sim v0.6.1, but for --config, which Parse reads first.
func flags() []option {
	all := []option{
		value("port", "port of rank 0", integer, func(c *Config) *int { return &c.Port }),
		value("model", "name of the simulated model, required", text, func(c *Config) *string { return &c.Model }),
		several("served-model-name", "public names of the model, the first one is shown in answers (default: the model)", text, func(c *Config) *[]string { return &c.ServedModelName }),
		value("mode", "random (preset sentences) or echo (what the user said)", text, func(c *Config) *string { return &c.Mode }),
		value("seed", "makes texts and ids repeatable (default: the clock)", seed, func(c *Config) **int64 { return &c.Seed }),
		value("max-model-len", "tokens of prompt and completion together", integer, func(c *Config) *int { return &c.MaxModelLen }),
		value("max-num-seqs", "requests served at once", integer, func(c *Config) *int { return &c.MaxNumSeqs }),
		value("max-waiting-queue-length", "requests that may wait; more get 429", integer, func(c *Config) *int { return &c.MaxWaitingQueueLength }),
		several("lora-modules", `LoRA adapters, each as '{"name":…,"path":…,"base_model_name":…}'`, object[Adapter], func(c *Config) *[]Adapter { return &c.LoRAModules }),
		value("max-loras", "adapters in use at once", integer, func(c *Config) *int { return &c.MaxLoRAs }),
		value("max-cpu-loras", "adapters kept in memory (default: max-loras)", integer, func(c *Config) *int { return &c.MaxCPULoRAs }),
		several("failure-types", "failures to inject (default: all of "+strings.Join(failureTypes(), ", ")+")", text, func(c *Config) *[]string { return &c.FailureTypes }),
		value("failure-injection-rate", "percentage of requests that fail", integer, func(c *Config) *int { return &c.FailureInjectionRate }),
		value("fake-metrics", "JSON of the metrics to show in place of the real ones", pointer[FakeMetrics], func(c *Config) **FakeMetrics { return &c.FakeMetrics }),
		value("data-parallel-size", "ranks, each on a port of its own", integer, func(c *Config) *int { return &c.DataParallelSize }),
		value("ssl-certfile", "TLS certificate", text, func(c *Config) *string { return &c.SSLCertFile }),
		value("ssl-keyfile", "TLS private key", text, func(c *Config) *string { return &c.SSLKeyFile }),
		boolean("self-signed-certs", "serve TLS with a certificate made at start", func(c *Config) *bool { return &c.SelfSignedCerts }),
		value("dataset-path", "refused: recorded conversations are not played", text, func(c *Config) *string { return &c.DatasetPath }),
		value("dataset-url", "refused, see dataset-path", text, func(c *Config) *string { return &c.DatasetURL }),
		boolean("dataset-in-memory", "without effect, see dataset-path", func(c *Config) *bool { return &c.DatasetInMemory }),
		value("v", "log verbosity; 4 logs every request", integer, func(c *Config) *int { return &c.Verbosity }),
	}
	all = append(all, latencyFlags()...)
	all = append(all, toolFlags()...)
	all = append(all, cacheFlags()...)
	return append(all, klogFlags()...)
}

func latencyFlags() []option {
	latency := func(name, usage string, field func(l *Latency) *time.Duration) option {
		return value(name, usage+", in ms", milliseconds, func(c *Config) *time.Duration { return field(&c.Latency) })
	}
	return []option{
		latency("time-to-first-token", "time before the first token", func(l *Latency) *time.Duration { return &l.FirstToken }),
		latency("time-to-first-token-std-dev", "its standard deviation, at most 30 % of it", func(l *Latency) *time.Duration { return &l.FirstTokenStdDev }),
		latency("inter-token-latency", "time before each further token", func(l *Latency) *time.Duration { return &l.InterToken }),
		latency("inter-token-latency-std-dev", "its standard deviation, at most 30 % of it", func(l *Latency) *time.Duration { return &l.InterTokenStdDev }),
		latency("kv-cache-transfer-latency", "in place of time-to-first-token after a remote prefill", func(l *Latency) *time.Duration { return &l.KVTransfer }),
		latency("kv-cache-transfer-latency-std-dev", "its standard deviation, at most 30 % of it", func(l *Latency) *time.Duration { return &l.KVTransferStdDev }),
		latency("prefill-overhead", "constant part of a prefill, when time-to-first-token is 0", func(l *Latency) *time.Duration { return &l.PrefillOverhead }),
		latency("prefill-time-per-token", "prefill of one uncached prompt token", func(l *Latency) *time.Duration { return &l.PrefillPerToken }),
		latency("prefill-time-std-dev", "standard deviation of a prefill", func(l *Latency) *time.Duration { return &l.PrefillStdDev }),
		latency("kv-cache-transfer-time-per-token", "transfer of one prompt token, when kv-cache-transfer-latency is 0", func(l *Latency) *time.Duration { return &l.KVTransferPerToken }),
		latency("kv-cache-transfer-time-std-dev", "standard deviation of such a transfer", func(l *Latency) *time.Duration { return &l.KVTransferTokensStdDev }),
		value("time-factor-under-load", "how many times slower a full simulator is", number, func(c *Config) *float64 { return &c.Latency.LoadFactor }),
	}
}

func toolFlags() []option {
	return []option{
		value("max-tool-call-integer-param", "largest integer in tool calls", integer, func(c *Config) *int { return &c.MaxToolCallIntegerParam }),
		value("min-tool-call-integer-param", "smallest integer in tool calls", integer, func(c *Config) *int { return &c.MinToolCallIntegerParam }),
		value("max-tool-call-number-param", "largest number in tool calls", number, func(c *Config) *float64 { return &c.MaxToolCallNumberParam }),
		value("min-tool-call-number-param", "smallest number in tool calls", number, func(c *Config) *float64 { return &c.MinToolCallNumberParam }),
		value("max-tool-call-array-param-length", "longest array in tool calls", integer, func(c *Config) *int { return &c.MaxToolCallArrayParamLength }),
		value("min-tool-call-array-param-length", "shortest array in tool calls", integer, func(c *Config) *int { return &c.MinToolCallArrayParamLength }),
		value("tool-call-not-required-param-probability", "percentage of optional parameters that are given", integer, func(c *Config) *int { return &c.ToolCallNotRequiredParamProbability }),
		value("object-tool-call-not-required-field-probability", "percentage of optional fields of objects that are given", integer, func(c *Config) *int { return &c.ObjectToolCallNotRequiredFieldProbability }),
	}
}

func cacheFlags() []option {
	return []option{
		boolean("enable-kvcache", "simulate a prefix cache for text completions; no events are published", func(c *Config) *bool { return &c.KVCache.Enabled }),
		value("kv-cache-size", "blocks of the cache", integer, func(c *Config) *int { return &c.KVCache.Size }),
		value("block-size", "tokens of a block: 8, 16, 32, 64 or 128", integer, func(c *Config) *int { return &c.KVCache.BlockSize }),
		value("tokenizers-cache-dir", "without effect: no tokenizer is loaded", text, func(c *Config) *string { return &c.KVCache.TokenizersCacheDir }),
		value("hash-seed", "without effect: no events are published (environment: PYTHONHASHSEED)", text, func(c *Config) *string { return &c.KVCache.HashSeed }),
		value("zmq-endpoint", "without effect: no events are published", text, func(c *Config) *string { return &c.KVCache.ZMQEndpoint }),
		value("zmq-max-connect-attempts", "without effect, at most 10", integer, func(c *Config) *int { return &c.KVCache.ZMQMaxConnectAttempts }),
		value("event-batch-size", "without effect: no events are published", integer, func(c *Config) *int { return &c.KVCache.EventBatchSize }),
	}
}

// klogFlags are accepted because deployments pass them; logging is the process's own affair.
func klogFlags() []option {
	ignored := func(name string, a arity) option {
		return option{name: name, usage: "klog's, without effect", arity: a, set: func(*Config, []string) error { return nil }}
	}
	var all []option
	for _, name := range []string{"add_dir_header", "alsologtostderr", "logtostderr", "one_output", "skip_headers", "skip_log_headers"} {
		all = append(all, ignored(name, toggle))
	}
	for _, name := range []string{"log_backtrace_at", "log_dir", "log_file", "log_file_max_size", "stderrthreshold", "vmodule"} {
		all = append(all, ignored(name, single))
	}
	return all
}

// value is a flag with one value.
func value[T any](name, usage string, parse func(string) (T, error), field func(*Config) *T) option {
	return option{
		name: name, usage: usage,
		set: func(c *Config, values []string) error {
			if len(values) != 1 {
				return fmt.Errorf("wants one value, got %d", len(values))
			}
			v, err := parse(values[0])
			if err == nil {
				*field(c) = v
			}
			return err
		},
		show: func(c *Config) string { return show(*field(c)) },
	}
}

// several is a flag with any number of values.
func several[T any](name, usage string, parse func(string) (T, error), field func(*Config) *[]T) option {
	return option{
		name: name, usage: usage, arity: many,
		set: func(c *Config, values []string) error {
			all := make([]T, len(values))
			for i, s := range values {
				v, err := parse(s)
				if err != nil {
					return err
				}
				all[i] = v
			}
			*field(c) = all
			return nil
		},
	}
}

// boolean is a flag that is true when its value is left out.
func boolean(name, usage string, field func(*Config) *bool) option {
	f := value(name, usage, strconv.ParseBool, field)
	f.arity = toggle
	return f
}

func show(v any) string {
	switch v := v.(type) {
	case time.Duration:
		return strconv.FormatInt(v.Milliseconds(), 10)
	case string, int, bool, float64:
		return fmt.Sprint(v)
	}
	return ""
}

func text(s string) (string, error) { return s, nil }

func integer(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number", s)
	}
	return n, nil
}

func seed(s string) (*int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%q is not a whole number", s)
	}
	return &n, nil
}

func number(s string) (float64, error) {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || n != n || n > 1e15 || n < -1e15 {
		return 0, fmt.Errorf("%q is not a number between -1e15 and 1e15", s)
	}
	return n, nil
}

// milliseconds reads a latency. An hour is more than anybody simulates, and bounds the arithmetic.
func milliseconds(s string) (time.Duration, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > time.Hour.Milliseconds() || n < 0 {
		return 0, fmt.Errorf("%q is not a number of milliseconds up to one hour", s)
	}
	return time.Duration(n) * time.Millisecond, nil
}

func object[T any](s string) (T, error) {
	var v T
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		return v, fmt.Errorf("%s is not the JSON object it should be: %w", s, err)
	}
	return v, nil
}

func pointer[T any](s string) (*T, error) {
	v, err := object[T](s)
	return &v, err
}
