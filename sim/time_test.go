package sim

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const fiveTokens = `{"model":"m","messages":[{"role":"user","content":"Hello"}],"max_tokens":5,"ignore_eos":true`

// elapsed is how long a call takes on the fake clock.
func elapsed(h http.Handler, body string) time.Duration {
	begin := time.Now()
	do(h, "POST", chatPath, body)
	return time.Since(begin)
}

func TestLatency(t *testing.T) {
	f := func(name string, want time.Duration, body string, args ...string) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if got := elapsed(start(t, args...), body); got != want {
					t.Errorf("took %v, want %v", got, want)
				}
			})
		})
	}
	f("maas-136 TTFT 200 ms and ITL 50 ms make 5 tokens take 400 ms", 400*time.Millisecond, fiveTokens+`}`, "--time-to-first-token", "200", "--inter-token-latency", "50")
	f("a stream takes as long", 400*time.Millisecond, fiveTokens+`,"stream":true}`, "--time-to-first-token", "200", "--inter-token-latency", "50")
	f("nothing takes no time", 0, fiveTokens+`}`)
	f("a prefill is paid by the prompt's tokens", 13*time.Millisecond, fiveTokens+`}`, "--prefill-overhead", "10", "--prefill-time-per-token", "3")
	f("a time to the first token silences the prefill", 7*time.Millisecond, fiveTokens+`}`, "--prefill-overhead", "10", "--time-to-first-token", "7")
	f("a remote prefill is transferred", 20*time.Millisecond, fiveTokens+`,"do_remote_prefill":true}`, "--time-to-first-token", "200", "--kv-cache-transfer-latency", "20")
	f("or transferred by the token", 4*time.Millisecond, fiveTokens+`,"do_remote_prefill":true}`, "--time-to-first-token", "200", "--kv-cache-transfer-time-per-token", "4")
	f("a lone request feels no load", 400*time.Millisecond, fiveTokens+`}`, "--time-to-first-token", "200", "--inter-token-latency", "50", "--time-factor-under-load", "3")

	t.Run("deviations stay within 30 to 170 percent", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := start(t, "--time-to-first-token", "100", "--time-to-first-token-std-dev", "30")
			different := map[time.Duration]bool{}
			for range 300 {
				d := elapsed(h, `{"model":"m","messages":[],"max_tokens":1}`)
				different[d] = true
				if d < 30*time.Millisecond || d > 170*time.Millisecond {
					t.Errorf("took %v", d)
				}
			}
			if len(different) < 250 {
				t.Errorf("only %d different times", len(different))
			}
		})
	})
	t.Run("a full simulator is slower by the factor", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := start(t, "--time-to-first-token", "100", "--time-factor-under-load", "3", "--max-num-seqs", "2")
			begin := time.Now()
			together(2, func(int) { do(h, "POST", chatPath, `{"model":"m","messages":[],"max_tokens":1}`) })()
			if got := time.Since(begin); got != 300*time.Millisecond {
				t.Errorf("took %v", got)
			}
		})
	})
	t.Run("a cached prompt needs no prefill", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := start(t, "--enable-kvcache", "--block-size", "8", "--prefill-time-per-token", "1")
			body := `{"model":"m","prompt":"a b c d e f g h i j","max_tokens":1}`
			for _, want := range []time.Duration{10 * time.Millisecond, 2 * time.Millisecond} {
				begin := time.Now()
				do(h, "POST", textPath, body)
				if got := time.Since(begin); got != want {
					t.Errorf("took %v, want %v", got, want)
				}
			}
		})
	})
}

// together runs n calls side by side and returns what waits for them.
func together(n int, call func(i int)) (wait func()) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { call(i) })
	}
	return all.Wait
}

// gauges are the lines of /metrics that show the queue.
func gauges(h http.Handler) (lines []string) {
	for line := range strings.Lines(do(h, "GET", "/metrics", "").Body.String()) {
		if strings.HasPrefix(line, "vllm:num_requests_") {
			lines = append(lines, strings.TrimSpace(strings.ReplaceAll(line, `{model_name="m"}`, "")))
		}
	}
	return lines
}

func TestQueue(t *testing.T) {
	inBubble := func(name string, f func(*testing.T)) {
		t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
	}
	inBubble("maas-137 of 6 parallel calls 5 run and one waits", func(t *testing.T) {
		h := start(t, "--time-to-first-token", "100", "--max-num-seqs", "5")
		begin := time.Now()
		ended := make([]time.Duration, 6)
		wait := together(6, func(i int) {
			do(h, "POST", chatPath, `{"model":"m","messages":[],"max_tokens":1}`)
			ended[i] = time.Since(begin)
		})
		synctest.Wait()
		if diff := cmp.Diff([]string{"vllm:num_requests_running 5", "vllm:num_requests_waiting 1"}, gauges(h)); diff != "" {
			t.Error(diff)
		}
		wait()
		late := 0
		for _, d := range ended {
			if d == 200*time.Millisecond {
				late++
			}
		}
		if late != 1 {
			t.Errorf("calls ended after %v", ended)
		}
		if diff := cmp.Diff([]string{"vllm:num_requests_running 0", "vllm:num_requests_waiting 0"}, gauges(h)); diff != "" {
			t.Error(diff)
		}
	})
	inBubble("a full line refuses", func(t *testing.T) {
		h := start(t, "--time-to-first-token", "100", "--max-num-seqs", "1", "--max-waiting-queue-length", "1")
		wait := together(2, func(int) { do(h, "POST", chatPath, hello) })
		defer wait()
		synctest.Wait()
		w := do(h, "POST", chatPath, hello)
		if w.Code != http.StatusTooManyRequests || !strings.Contains(w.Body.String(), "waiting requests queue is full") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
	inBubble("who goes away leaves the line, and the seat", func(t *testing.T) {
		h := start(t, "--time-to-first-token", "60000", "--max-num-seqs", "1")
		ctx, cancel := context.WithCancel(t.Context())
		wait := together(3, func(int) {
			r := httptest.NewRequestWithContext(ctx, "POST", chatPath, strings.NewReader(hello))
			h.ServeHTTP(httptest.NewRecorder(), r)
		})
		synctest.Wait()
		if diff := cmp.Diff([]string{"vllm:num_requests_running 1", "vllm:num_requests_waiting 2"}, gauges(h)); diff != "" {
			t.Error(diff)
		}
		cancel()
		wait()
		if diff := cmp.Diff([]string{"vllm:num_requests_running 0", "vllm:num_requests_waiting 0"}, gauges(h)); diff != "" {
			t.Error(diff)
		}
		if d := elapsed(h, hello); d < time.Minute || d > time.Minute+time.Second {
			t.Errorf("the next call took %v", d)
		}
	})
	inBubble("no more adapters at once than max-loras", func(t *testing.T) {
		h := start(t, "--time-to-first-token", "100", "--max-loras", "1", "--lora-modules", `{"name":"a"}`, `{"name":"b"}`)
		ended := map[string]time.Duration{}
		var mu sync.Mutex
		begin := time.Now()
		call := func(model string) {
			do(h, "POST", chatPath, `{"model":"`+model+`","messages":[],"max_tokens":1}`)
			mu.Lock()
			defer mu.Unlock()
			ended[model] = time.Since(begin)
		}
		first := together(1, func(int) { call("a") })
		synctest.Wait()
		others := together(2, func(i int) { call([]string{"b", "m"}[i]) })
		synctest.Wait()
		if got := do(h, "GET", "/metrics", "").Body.String(); !strings.Contains(got, `vllm:lora_requests_info{max_lora="1",running_lora_adapters="a",waiting_lora_adapters="b"} `) {
			t.Errorf("got %s", got)
		}
		first()
		others()
		want := map[string]time.Duration{"a": 100 * time.Millisecond, "m": 100 * time.Millisecond, "b": 200 * time.Millisecond}
		if diff := cmp.Diff(want, ended); diff != "" {
			t.Error(diff)
		}
	})
}
