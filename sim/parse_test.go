package sim

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	t.Setenv("PYTHONHASHSEED", "")
	t.Setenv("POD_NAME", "")
	t.Setenv("POD_NAMESPACE", "")
	file := filepath.Join(t.TempDir(), "config.yaml")
	err := os.WriteFile(file, []byte(`
model: from-file
port: 9000
seed: 9007199254740993
served-model-name: [one, two]
lora-modules:
- '{"name":"a"}'
- {name: b, path: /b}
fake-metrics: {running-requests: 3}
self-signed-certs: true
time-to-first-token: 200
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	f := func(name string, args []string, change func(*Config)) {
		t.Run(name, func(t *testing.T) {
			want := Default()
			change(&want)
			got, err := Parse(args)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	f("as the quickstart calls it", []string{"--port", "8000", "--model", "gpt-4-external", "--mode", "random"}, func(c *Config) { c.Model = "gpt-4-external" })
	f("lists end at the next flag", []string{"--served-model-name", "a", "b", "--model=m", "--enable-kvcache", "-v", "5", "--logtostderr=false"}, func(c *Config) {
		c.Model, c.ServedModelName, c.KVCache.Enabled, c.Verbosity = "m", []string{"a", "b"}, true, 5
	})
	f("latencies are milliseconds", []string{"--model", "m", "--time-to-first-token", "200", "--time-to-first-token-std-dev", "60", "--time-factor-under-load", "1.5"}, func(c *Config) {
		c.Model, c.Latency = "m", Latency{FirstToken: 200 * time.Millisecond, FirstTokenStdDev: 60 * time.Millisecond, LoadFactor: 1.5}
	})
	f("the command line wins over the file", []string{"--port", "9001", "--config", file}, func(c *Config) {
		c.Model, c.Port, c.Seed, c.ServedModelName = "from-file", 9001, new(int64(9007199254740993)), []string{"one", "two"}
		c.LoRAModules = []Adapter{{Name: "a"}, {Name: "b", Path: "/b"}}
		c.FakeMetrics, c.SelfSignedCerts, c.Latency.FirstToken = &FakeMetrics{Running: 3}, true, 200*time.Millisecond
	})
	t.Run("help", func(t *testing.T) {
		if _, err := Parse([]string{"--help"}); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("got %v", err)
		}
		for _, part := range []string{"--max-model-len\n", "(default 1024)", "--config"} {
			if !strings.Contains(Help(), part) {
				t.Errorf("%q is not in the help", part)
			}
		}
	})
}

func TestParseRefuses(t *testing.T) {
	f := func(args string, want ...string) {
		t.Helper()
		_, err := Parse(strings.Fields(args))
		if err == nil {
			t.Errorf("%s is accepted", args)
			return
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q is not in %q", args, part, err)
			}
		}
	}
	f("", "model parameter is empty")
	f("--model", "--model wants a value")
	f("--modle m", "there is no flag --modle")
	f("m", "is not a flag")
	f("--model m --port x", "--port", `"x" is not a whole number`)
	f("--model m --port 0 --mode loud", "--port 0", `--mode "loud"`)
	f("--model m --max-loras 3 --max-cpu-loras 2", "--max-cpu-loras 2 is less")
	f(`--model m --lora-modules {"name":"a","base_model_name":"x"}`, `"x"`)
	f("--model m --time-to-first-token 100 --time-to-first-token-std-dev 31", "30%")
	f("--model m --time-factor-under-load 0.5", "--time-factor-under-load")
	f("--model m --block-size 9", "--block-size 9")
	f("--model m --zmq-max-connect-attempts 11", "--zmq-max-connect-attempts 11")
	f("--model m --failure-injection-rate 101", "--failure-injection-rate 101")
	f("--model m --failure-types flood", `"flood"`)
	f("--model m --data-parallel-size 9", "--data-parallel-size 9")
	f("--model m --port 65535 --data-parallel-size 2", "leaves no room")
	f("--model m --ssl-certfile x", "go together")
	f("--model m --ssl-certfile x --ssl-keyfile y --self-signed-certs", "exclude")
	f("--model m --dataset-path x", "--dataset-path")
	f("--model m --dataset-url x", "--dataset-url needs")
	f("--model m --fake-metrics {", "--fake-metrics")
	f("--model m --config nowhere.yaml", "nowhere.yaml")
}
