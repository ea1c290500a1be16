//go:build cluster

package maas

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/egret-gateway/egret/lab/cluster"
)

// charged is what somebody has been charged on a route, by the metrics of the
// gateway's pods (maas 117).
func (w *walk) charged(t *testing.T, token, route string) int {
	t.Helper()
	return w.metric(t, "authorized_hits", token, route)
}

func (w *walk) metric(t *testing.T, name, token, route string) (sum int) {
	t.Helper()
	_, user := claimsOf(t, token).account()
	for _, line := range w.metrics(t) {
		if strings.HasPrefix(line, name+"{") && strings.Contains(line, `user="`+user+`"`) && strings.Contains(line, `limitador_namespace="`+route+`"`) {
			n, _ := strconv.Atoi(line[strings.LastIndexByte(line, ' ')+1:])
			sum += n
		}
	}
	return sum
}

// metrics are the lines of all pods of the MaaS gateway.
func (w *walk) metrics(t *testing.T) (lines []string) {
	t.Helper()
	for _, p := range w.pods(t) {
		if p.DeletionTimestamp != nil || p.Status.PodIP == "" {
			continue
		}
		a, err := w.Get("http://" + p.Status.PodIP + ":15021/metrics")
		if err := a.Want(200, err); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.Split(a.Body, "\n")...)
	}
	return lines
}

// pods are those of the MaaS gateway.
func (w *walk) pods(t *testing.T) []corev1.Pod {
	t.Helper()
	var pods corev1.PodList
	err := w.Client().List(t.Context(), &pods, client.InNamespace("openshift-ingress"),
		client.MatchingLabels{"gateway.networking.k8s.io/gateway-name": "maas-default-gateway"})
	if err != nil {
		t.Fatal(err)
	}
	return pods.Items
}

// post asks and wants a status.
func (w *walk) post(t *testing.T, path, token, body string, status int) cluster.Answer {
	t.Helper()
	a := w.ask(t, "POST", path, token, body)
	if err := a.Want(status, nil); err != nil {
		t.Error(err)
	}
	return a
}

// owes waits until somebody has been charged so much.
func (w *walk) owes(t *testing.T, token, route string, tokens int) {
	t.Helper()
	w.Eventually(t, quick, "what is charged", func() error {
		return is(strconv.Itoa(w.charged(t, token, route)), strconv.Itoa(tokens))
	})
}

// limits is maas 97 to 119.
func (w *walk) limits(t *testing.T) {
	const route = "llm/open"
	over := w.calls(t)
	token, login := w.somebody(t, "free")
	t.Run("maas-99 errors are free", func(t *testing.T) {
		w.post(t, chat, "", small, 401)
		w.post(t, "/llm/granite/v1/chat/completions", token, small, 403)
		w.post(t, chat, token, strings.Replace(small, "granite", "unknown", 1), 404)
		w.post(t, chat, token, `{`, 400)
		w.owes(t, token, route, 0)
	})
	t.Run("maas-97 allowed while something is left", func(t *testing.T) {
		w.post(t, chat, token, most, 200)
		w.owes(t, token, route, 99)
		w.post(t, chat, token, most, 200)
		w.owes(t, token, route, 198)
	})
	t.Run("maas-98 a refusal says what, until when, and reaches nobody", func(t *testing.T) {
		before := w.upstream(t)
		a := w.post(t, chat, token, small, 429)
		after, err := strconv.Atoi(a.Header.Get("Retry-After"))
		if answers(t, a, 429, `^\{"error":\{.*free-user-tokens`); err != nil || after < 1 || after > 60 || a.Header.Get("X-Ratelimit-Limit-Tokens") == "" {
			t.Errorf("header %v", a.Header)
		}
		if n := w.upstream(t); n != before {
			t.Errorf("%v, and before %v", n, before)
		}
		w.owes(t, token, route, 198)
	})
	t.Run("maas-103 another token of the same person, and another person", func(t *testing.T) {
		w.post(t, chat, w.mint(t, login), small, 429)
		w.post(t, chat, w.mint(t, token), small, 429)
		other, _ := w.somebody(t, "free")
		w.post(t, chat, other, small, 200)
	})
	t.Run("maas-102 model lists are free and never refused", func(t *testing.T) {
		answers(t, w.ask(t, "GET", open+"/v1/models", token, ""), 200, `granite`)
		answers(t, w.ask(t, "GET", "/external/v1/models", token, ""), 200, `gpt-4-external`)
		w.owes(t, token, "default/external-model-bridge", 0)
	})
	t.Run("maas-104 maas-105 a route has a budget of its own, its paths share it", func(t *testing.T) {
		ask := func(path, body string) int { return w.ask(t, "POST", "/external/v1"+path, token, body).Status }
		chat := `{"model":"gpt-4-external","messages":[{"role":"user","content":"` + strings.Repeat("word ", 100) + `"}],"max_tokens":5}`
		if got := ask("/chat/completions", chat); got != 200 {
			t.Errorf("first %d", got)
		}
		w.Eventually(t, quick, "the budget is spent", func() error {
			return is(strconv.Itoa(ask("/completions", `{"model":"gpt-4-external","prompt":"Hello","max_tokens":1}`)), "429")
		})
		if got := ask("/chat/completions", chat); got != 429 {
			t.Errorf("chat %d", got)
		}
	})
	t.Run("maas-106 maas-107 other tiers have more, or no limit", func(t *testing.T) {
		for _, tier := range []string{"premium", "enterprise", "gold"} {
			token, _ := w.somebody(t, tier)
			for range 3 {
				w.post(t, chat, token, most, 200)
			}
		}
	})
	t.Run("maas-100 an answer without usage is charged by estimate", func(t *testing.T) {
		token, _ := w.somebody(t, "premium")
		w.post(t, "/llm/look/v1/chat/completions", token, most, 200)
		w.Eventually(t, quick, "a charge", func() error {
			if n := w.charged(t, token, "llm/look"); n < 60 {
				return fmt.Errorf("%d tokens", n)
			}
			return nil
		})
	})
	t.Run("streams", w.streams)
	t.Run("maas-111 the window is over", over)
	t.Run("maas-117 maas-118 maas-119 what the gateway counts", func(t *testing.T) {
		if got := w.metric(t, "authorized_calls", token, route); got == 0 {
			t.Errorf("%d authorized calls", got)
		}
		if got := w.metric(t, "limited_calls", token, route); got < 2 {
			t.Errorf("%d limited calls", got)
		}
		all := strings.Join(w.metrics(t), "\n")
		if !matches(`(?m)^limitador_up 1$`, all) || !matches(`(?m)^authorized_hits\{.*model="granite".*tier="free"`, all) {
			t.Error(all)
		}
	})
}

// upstream is how many requests the model has answered, by its metrics.
func (w *walk) upstream(t *testing.T) (out string) {
	t.Helper()
	a, err := w.Get(w.Reach(t, "llm", "granite", 8000) + "/metrics")
	if err := a.Want(200, err); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(a.Body) {
		if strings.HasPrefix(line, "vllm:request_success_total") {
			out += line
		}
	}
	return out
}

// streams is maas 108 to 110.
func (w *walk) streams(t *testing.T) {
	for name, more := range map[string]string{
		"maas-108 maas-110 with usage":       `,"stream":true,"stream_options":{"include_usage":true}`,
		"maas-109 without, charged the same": `,"stream":true`,
	} {
		t.Run(name, func(t *testing.T) {
			token, _ := w.somebody(t, "free")
			r, err := http.NewRequestWithContext(t.Context(), "POST", w.URL(chat), strings.NewReader(question(60, 39, more)))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("Content-Type", "application/json")
			resp, err := w.HTTP().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var first time.Time
			text := ""
			lines := bufio.NewScanner(resp.Body)
			for lines.Scan() {
				if first.IsZero() {
					first = time.Now()
				}
				text += lines.Text() + "\n"
			}
			if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" || !strings.HasSuffix(text, "data: [DONE]\n\n") {
				t.Errorf("%d %v %s", resp.StatusCode, resp.Header, text)
			}
			if told := strings.Contains(text, `"total_tokens":99`); told != strings.Contains(more, "include_usage") {
				t.Errorf("usage told: %v in\n%s", told, text)
			}
			// The model takes 38 times 4 ms from its first token to the last.
			if d := time.Since(first); d < 80*time.Millisecond {
				t.Errorf("all came within %s", d)
			}
			w.owes(t, token, "llm/open", 99)
		})
	}
}

func policy(name, target, spec string) string {
	return `
apiVersion: kuadrant.io/v1alpha1
kind: TokenRateLimitPolicy
metadata: {name: ` + name + `}
spec:
  targetRef: {group: gateway.networking.k8s.io, ` + target + `}
  ` + spec
}

// says waits for a condition of a policy.
func (w *walk) says(t *testing.T, namespace, object, condition, want string) {
	t.Helper()
	w.Eventually(t, 2*quick, object+" is "+condition, func() error {
		kind, name, _ := strings.Cut(object, "/")
		o, err := w.Find(kind, namespace, name)
		if err != nil {
			return err
		}
		got := ""
		list, _, err := unstructured.NestedSlice(o.Object, "status", "conditions")
		for _, c := range list {
			if c := c.(map[string]any); c["type"] == condition {
				got = fmt.Sprint(c["status"], " ", c["reason"], " ", c["message"])
			}
		}
		if err != nil {
			return err
		}
		if !matches(want, got) {
			return fmt.Errorf("%s, want %s", got, want)
		}
		return nil
	})
}

// conditions is maas 112 to 114.
func (w *walk) conditions(t *testing.T) {
	t.Run("maas-112 a window of a day is refused by the schema", func(t *testing.T) {
		err := w.Send("llm", policy("day", "kind: HTTPRoute, name: open", `limits: {x: {rates: [{limit: 1, window: 1d}]}}`))
		if err == nil || !strings.Contains(err.Error(), "window") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("maas-114 what policies say of themselves", func(t *testing.T) {
		for object, namespace := range map[string]string{
			"authpolicies/gateway-auth-policy": "openshift-ingress", "tokenratelimitpolicies/gateway-token-rate-limits": "openshift-ingress",
			"authpolicies/maas-api-auth-policy": "opendatahub", "authpolicies/external-bridge-auth": "default",
		} {
			w.says(t, namespace, object, "Accepted", `^True Accepted .* has been accepted`)
			w.says(t, namespace, object, "Enforced", `^True Enforced .* has been (successfully|partially) enforced`)
		}
		w.Put(t, "llm", policy("lost", "kind: HTTPRoute, name: open, sectionName: nothing", `limits: {x: {rates: [{limit: 1, window: 1m}]}}`))
		defer w.Delete(t, "tokenratelimitpolicies", "llm", "lost")
		w.says(t, "llm", "tokenratelimitpolicies/lost", "Accepted", `^False TargetNotFound `)
	})
	t.Run("maas-113 a route's own policy, and one that overrides it", w.hierarchy)
}

// hierarchy puts a policy on a route, and another over it.
func (w *walk) hierarchy(t *testing.T) {
	const gateway, own = "tokenratelimitpolicies/gateway-token-rate-limits", "tokenratelimitpolicies/own"
	patch := func(text string) {
		t.Helper()
		w.Kubectl(t, "patch", "tokenratelimitpolicy", "gateway-token-rate-limits", "-n", "openshift-ingress", "--type=json", "-p", text)
	}
	spend := func(tier string, want ...int) {
		t.Helper()
		token, _ := w.somebody(t, tier)
		for i, status := range want {
			w.post(t, chat, token, question(10, 10, ""), status)
			if status == 200 {
				w.owes(t, token, "llm/open", 20*(i+1))
			}
		}
	}
	w.Put(t, "llm", policy("own", "kind: HTTPRoute, name: open", `limits: {own: {rates: [{limit: 40, window: 1m}], counters: [{expression: auth.identity.userid}]}}`))
	w.says(t, "llm", own, "Enforced", `^True `)
	w.says(t, "openshift-ingress", gateway, "Enforced", `^True .* partially enforced; .*llm/own`)
	spend("free", 200, 200, 429)
	spend("gold", 200, 200, 429)
	patch(`[{"op":"add","path":"/spec/overrides","value":{}},{"op":"move","from":"/spec/limits","path":"/spec/overrides/limits"}]`)
	w.says(t, "llm", own, "Enforced", `^False Overridden .*gateway-token-rate-limits`)
	spend("free", 200, 200, 200, 200, 200, 429)
	patch(`[{"op":"move","from":"/spec/overrides/limits","path":"/spec/limits"},{"op":"remove","path":"/spec/overrides"}]`)
	w.Delete(t, "tokenratelimitpolicies", "llm", "own")
	w.says(t, "openshift-ingress", gateway, "Enforced", `^True Enforced .* successfully enforced`)
}

// calls limits their number, on a route of which nothing is known but that.
// What it returns is to be run later: it waits for the end of the window.
func (w *walk) calls(t *testing.T) (over func(*testing.T)) {
	w.Put(t, "llm", `
apiVersion: kuadrant.io/v1
kind: RateLimitPolicy
metadata: {name: calls}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: odd}
  limits: {five: {rates: [{limit: 5, window: 10s}]}}`)
	w.says(t, "llm", "ratelimitpolicies/calls", "Enforced", `^True `)
	token, _ := w.somebody(t, "gold")
	ask := func() cluster.Answer { return w.ask(t, "GET", "/llm/odd/404", token, "") }
	var begun time.Time
	t.Run("maas-115 five calls in ten seconds", func(t *testing.T) {
		begun = time.Now()
		for range 5 {
			answers(t, ask(), 404, ``)
		}
		answers(t, ask(), 429, `^Too Many Requests\n$`)
	})
	return func(t *testing.T) {
		defer w.Delete(t, "ratelimitpolicies", "llm", "calls")
		w.Eventually(t, 15*time.Second, "calls pass again", func() error {
			a := ask()
			return a.Want(404, nil)
		})
		if d := time.Since(begun); d < 10*time.Second {
			t.Errorf("the window took %s", d)
		}
	}
}
