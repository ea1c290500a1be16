package conform

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/lab/envoybin"
)

// TestRandom sends requests that nobody thought of through both bodies: odd
// paths, hosts and headers, put together at random. Whatever comes of them
// must be the same, and nothing may be written twice or not at all.
func TestRandom(t *testing.T) {
	stage := newStage(t)
	s := &Scenario{}
	for _, share := range []string{"maze", "backends", "auth", "tokens"} {
		if err := s.include("with: "+share, "testdata"); err != nil {
			t.Fatal(err)
		}
	}
	p := stage.compile(t, s)
	const requests = 300
	random := rand.New(rand.NewPCG(7, 11))
	for range requests {
		s.Steps = append(s.Steps, randomStep(random))
	}
	observed := map[string][]Observed{}
	for _, b := range bodies {
		synctest.Test(t, func(t *testing.T) {
			seen, err := play(p, stage.realm, s.Steps, b.open)
			if err != nil {
				t.Fatalf("%s: %v", b.name, err)
			}
			observed[b.name] = seen
		})
	}
	known := of("random")
	beside, err := replay(p, stage.realm, s.Steps, newEnvoy(envoybin.Path(t, envoybin.Newest)), observed["native"])
	if err != nil {
		t.Fatalf("envoy: %v", err)
	}
	statuses := map[int]int{}
	for i, got := range observed["native"] {
		statuses[got.Status]++
		if len(got.Records) != 1 || len(got.Calls) > 1 {
			t.Errorf("%+v left %d records and %d calls", s.Steps[i], len(got.Records), len(got.Calls))
		}
		if diff := cmp.Diff(got, observed["processor"][i]); diff != "" {
			t.Errorf("%+v (-native +processor)\n%s", s.Steps[i], diff)
		}
		if diff := cmp.Diff(compared(known, i+1, &s.Steps[i], got), compared(known, i+1, &s.Steps[i], beside[i])); diff != "" {
			t.Errorf("request %d %+v (-native +envoy)\n%s", i+1, s.Steps[i], diff)
		}
	}
	for _, status := range []int{200, 302, 400, 401, 404} {
		if statuses[status] == 0 {
			t.Errorf("no request was answered %d: %v", status, statuses)
		}
	}
}

// randomStep puts a request together.
func randomStep(random *rand.Rand) Step {
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	s := Step{Host: pick("one.example.com", "ONE.example.com:80", "two.example.com", "x.deep.example.com", "example.com", "other.org", "[::1]:80", "127.0.0.1")}
	var path strings.Builder
	for range 1 + random.IntN(4) {
		path.WriteString(pick("/a", "/b", "/b", "/7", "/", "/x", "/A", "/%61", "/a%2Fb", "/..", "/v1/chat/completions", ";p=1"))
	}
	target := path.String()
	if target[0] != '/' {
		target = "/" + target
	}
	if random.IntN(2) == 0 {
		target += pick("?", "?v=1", "?v=2&v=1", "?%76=1", "?v", "?a=b;v=1", "?x=/v1/models")
	}
	s.Send = pick("GET", "GET", "GET", "POST", "PUT", "HEAD", "OPTIONS") + " " + target
	for range random.IntN(5) {
		s.With = append(s.With, pick("X-Team: red", "x-team: blue", "X-MaaS-Tier: gold", "Connection: x-team", "Connection: close, X-Other", "X-Other: 1",
			"Te: trailers", "Proxy-Authorization: Basic x", "Cookie: a=b", "X-Request-Id: mine", "Traceparent: 00-x", "Accept-Encoding: gzip"))
	}
	if random.IntN(5) > 0 {
		s.With = append(s.With, fmt.Sprintf("Authorization: Bearer T-%s-%s", pick("free", "premium", "staff"), pick("ann", "bob")))
	}
	if strings.HasPrefix(s.Send, "POST") {
		s.Body = pick(`{"model":"m","messages":[]}`, `{"model":"m","model":"n"}`, `{}`, `not json`, "")
	}
	s.Upstream = []Behaviour{{Body: `{"usage":{"total_tokens":3}}`}}
	return s
}
