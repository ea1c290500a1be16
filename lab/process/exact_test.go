package process

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/egret-gateway/egret/lab/child"
)

// TestExactUnderLoad lets two hundred clients spend one user's budget at the
// same time. A third asks for whole answers, a third for streams with their
// usage, a third for streams without: what those cost is known from an equal
// whole answer, as the simulator echoes.
func TestExactUnderLoad(t *testing.T) {
	const clients, calls = 200, 10
	dir := child.Fixed(t, "            - --mode\n", "            - --max-num-seqs\n            - \"1000\"\n            - --mode\n")
	users := newPeople(t)
	eva := users.add(t, "eva", "enterprise-group")
	other := users.add(t, "other", "enterprise-group")
	g := child.Quickstart(t, "--manifests", dir, "--users", string(users))
	token := g.Mint(t, eva)
	price := prices(t, g, g.Mint(t, other))

	var spent, done, limited atomic.Int64
	var group sync.WaitGroup
	failures := make(chan error, clients*calls)
	for client := range clients {
		group.Go(func() {
			for n := range calls {
				tokens, status, err := spend(g, token, client+n, price)
				switch {
				case err != nil:
					failures <- fmt.Errorf("client %d call %d: %w", client, n, err)
				case status == http.StatusTooManyRequests:
					limited.Add(1)
				default:
					done.Add(1)
					spent.Add(tokens)
				}
			}
		})
	}
	group.Wait()
	close(failures)
	for err := range failures {
		t.Error(err)
	}
	user := account(t, token)
	charged := strings.Replace(hits(user), `tier="free"`, `tier="enterprise"`, 1)
	child.Until(t, "every call is charged", func() bool { return g.Metric(t, charged) >= float64(spent.Load()) })
	if got := int64(g.Metric(t, charged)); got != spent.Load() {
		t.Errorf("authorized_hits %d, the answers say %d", got, spent.Load())
	}
	requests, tokens := g.Usage(t, user)
	if tokens != spent.Load() || requests != done.Load()+limited.Load() {
		t.Errorf("the ledger has %d tokens of %d requests; the answers say %d of %d", tokens, requests, spent.Load(), done.Load()+limited.Load())
	}
	t.Logf("%d calls passed with %d tokens, %d were over the budget", done.Load(), spent.Load(), limited.Load())
}

// sizes are the lengths of the messages in words.
var sizes = []int{1, 7, 20, 60, 120}

func message(n int) string { return strings.TrimSpace(strings.Repeat("word ", sizes[n%len(sizes)])) }

// prices asks once for each message.
func prices(t *testing.T, g *child.Gateway, token string) []int64 {
	t.Helper()
	out := make([]int64, len(sizes))
	for i := range sizes {
		out[i] = cost(t, g.Call(t, http.MethodPost, chat, token, ask(message(i))))
	}
	return out
}

// spend makes the n-th kind of call and returns what it cost.
func spend(g *child.Gateway, token string, n int, price []int64) (tokens int64, status int, err error) {
	body := ask(message(n))
	switch n % 3 {
	case 1:
		body = ask(message(n), `"stream":true`, `"stream_options":{"include_usage":true}`)
	case 2:
		body = ask(message(n), `"stream":true`)
	}
	a, err := g.Try(http.MethodPost, chat, token, body)
	if err != nil || a.Status == http.StatusTooManyRequests {
		return 0, http.StatusTooManyRequests, err
	}
	if a.Status != http.StatusOK {
		return 0, a.Status, fmt.Errorf("%d %s", a.Status, a.Body)
	}
	tokens = price[n%len(sizes)]
	if n%3 == 0 {
		return tokens, a.Status, nil
	}
	told, whole := streamed(a.Body)
	switch want := map[int]int64{1: tokens, 2: 0}[n%3]; {
	case !whole:
		err = errors.New("a stream has no end")
	case told != want:
		err = fmt.Errorf("a stream says %d tokens, want %d", told, want)
	case said(a.Body) != message(n):
		err = fmt.Errorf("a stream says %q, want %q", said(a.Body), message(n))
	}
	return tokens, a.Status, err
}
