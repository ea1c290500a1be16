package sim

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// series gives the metrics page as sample → value, buckets left out.
func series(t *testing.T, page string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		if cut := strings.LastIndexByte(line, ' '); !strings.HasPrefix(line, "#") && !strings.Contains(line, "_bucket{") {
			all[line[:cut]] = line[cut+1:]
		}
	}
	return all
}

func TestMetrics(t *testing.T) {
	h := start(t, "--mode", "echo", "--max-model-len", "100")
	ask(t, h, chatPath, `{"model":"m","messages":[{"role":"user","content":"a b c"}],"max_tokens":2}`)
	page := do(h, "GET", "/metrics", "").Body.String()
	got := series(t, page)
	f := func(sample, want string) {
		t.Helper()
		if got[sample] != want {
			t.Errorf("%s is %q, want %q", sample, got[sample], want)
		}
	}
	t.Run("one request is counted once everywhere", func(*testing.T) {
		f(`vllm:request_success_total{finish_reason="length",model_name="m"}`, "1")
		f(`vllm:prompt_tokens_total{model_name="m"}`, "3")
		f(`vllm:generation_tokens_total{model_name="m"}`, "2")
		f(`vllm:request_prompt_tokens_sum{model_name="m"}`, "3")
		f(`vllm:request_generation_tokens_sum{model_name="m"}`, "2")
		f(`vllm:request_params_max_tokens_sum{model_name="m"}`, "2")
		for _, name := range []string{"time_to_first_token", "time_per_output_token", "inter_token_latency", "e2e_request_latency",
			"request_queue_time", "request_inference_time", "request_prefill_time", "request_decode_time"} {
			f("vllm:"+name+`_seconds_count{model_name="m"}`, "1")
		}
	})
	t.Run("maas-121 names of both generations are there", func(*testing.T) {
		f(`vllm:gpu_cache_usage_perc{model_name="m"}`, "0")
		f(`vllm:kv_cache_usage_perc{model_name="m"}`, "0")
	})
	t.Run("nothing about the process itself", func(t *testing.T) {
		for name := range got {
			if !strings.HasPrefix(name, "vllm:") {
				t.Errorf("%s is shown", name)
			}
		}
	})
	t.Run("buckets of token counts end at the model's length", func(t *testing.T) {
		if diff := cmp.Diff([]float64{1, 2, 5, 10, 20, 50, 100}, oneTwoFive(100)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestFakeMetrics(t *testing.T) {
	h := start(t, "--fake-metrics", `{"running-requests":10,"waiting-requests":30,"kv-cache-usage":0.4,
		"loras":[{"running":"a,b","waiting":"c","timestamp":12},{"running":"a","waiting":"","timestamp":13}],
		"ttft-buckets-values":[1,2],"request-success-total":{"stop":20}}`)
	ask(t, h, chatPath, hello)
	page := do(h, "GET", "/metrics", "").Body.String()
	got := series(t, page)
	for sample, want := range map[string]string{
		`vllm:num_requests_running{model_name="m"}`:                                                   "10",
		`vllm:num_requests_waiting{model_name="m"}`:                                                   "30",
		`vllm:kv_cache_usage_perc{model_name="m"}`:                                                    "0.4",
		`vllm:lora_requests_info{max_lora="1",running_lora_adapters="a,b",waiting_lora_adapters="c"}`: "12",
		`vllm:lora_requests_info{max_lora="1",running_lora_adapters="a",waiting_lora_adapters=""}`:    "13",
		`vllm:request_success_total{finish_reason="stop",model_name="m"}`:                             "20",
		`vllm:time_to_first_token_seconds_count{model_name="m"}`:                                      "3",
		`vllm:e2e_request_latency_seconds_count{model_name="m"}`:                                      "0",
	} {
		if got[sample] != want {
			t.Errorf("%s is %q, want %q", sample, got[sample], want)
		}
	}
	lines := slices.Collect(strings.Lines(page))
	for _, want := range []string{`le="0.001"} 1`, `le="0.005"} 3`, `le="+Inf"} 3`} {
		if !slices.Contains(lines, `vllm:time_to_first_token_seconds_bucket{model_name="m",`+want+"\n") {
			t.Errorf("no bucket %s", want)
		}
	}
}
