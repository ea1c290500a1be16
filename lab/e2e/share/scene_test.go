//go:build cluster

package share

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/egret-gateway/egret/lab/stage"
)

// soon limits waits for what is under way.
const soon = time.Minute

// grace is how long a pod may take to be gone: one that is ended in its first
// moment may not hear that, and goes with its grace period of 195 s.
const grace = 4 * time.Minute

// Of testdata/scene.yaml.
const (
	budget = 1000 // tokens of a team
	number = 30   // calls of a team
)

// clients are how many call at the same time.
const clients = 6

var planes = []string{"native", "envoy"}

// question costs the same every time: the answer repeats it.
var question = `{"model": "echo", "messages": [{"role": "user", "content": "` + strings.TrimSpace(strings.Repeat("word ", 20)) + `"}]}`

// scene is testdata/scene.yaml on a stage.
type scene struct {
	*stage.Stage
	ns    string
	url   map[string]string // of a plane's Gateway
	had   map[string]string // a plane's settings, by digest
	teams int
}

func newScene(t *testing.T, s *stage.Stage) *scene {
	ns := s.Namespace(t)
	text, err := os.ReadFile("testdata/scene.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s.Apply(t, strings.ReplaceAll(string(text), "NAMESPACE", ns))
	w := &scene{Stage: s, ns: ns, url: map[string]string{}, had: map[string]string{}}
	s.Rolled(t, ns, "simulator")
	for _, p := range planes {
		w.url[p] = "http://" + s.Programmed(t, ns, p)
	}
	return w
}

// replicas gives both Gateways parameters for so many pods.
func (w *scene) replicas(t *testing.T, n int) {
	t.Helper()
	for _, p := range planes {
		text := w.Kubectl(t, "get", "configmap", p, "-n", w.ns, "-o", `jsonpath={.data.fleet\.yaml}`)
		text = regexp.MustCompile(`replicas: \d+`).ReplaceAllString(text, fmt.Sprintf("replicas: %d", n))
		patch, err := json.Marshal(map[string]any{"data": map[string]string{"fleet.yaml": text}})
		if err != nil {
			t.Fatal(err)
		}
		w.Kubectl(t, "patch", "configmap", p, "-n", w.ns, "--type=merge", "-p", string(patch))
	}
}

// settled waits until n pods of each Gateway run that have the settings of
// now, and no others.
func (w *scene) settled(t *testing.T, n int) {
	t.Helper()
	for _, p := range planes {
		name, before := w.deployment(t, p), w.had[p]
		w.Eventually(t, soon, name+" is to have other pods", func() error {
			got := strings.Fields(w.Kubectl(t, "get", "deployment", name, "-n", w.ns, "-o",
				`jsonpath={.spec.replicas} {.spec.template.spec.containers[*].env[?(@.name=="EGRET_SETTINGS")].value}`))
			if len(got) != 2 || got[0] != strconv.Itoa(n) || got[1] == before {
				return fmt.Errorf("pods and settings %v; the settings were %s", got, before)
			}
			w.had[p] = got[1]
			return nil
		})
		w.Rolled(t, w.ns, name)
		w.Eventually(t, grace, "no other pods of "+name, func() error {
			return is(strconv.Itoa(len(w.pods(t, p))), strconv.Itoa(n))
		})
	}
}

func (w *scene) selector(plane string) string {
	return "gateway.networking.k8s.io/gateway-name=" + plane
}

func (w *scene) deployment(t *testing.T, plane string) string {
	t.Helper()
	return w.Kubectl(t, "get", "deployments", "-n", w.ns, "-l", w.selector(plane), "-o", "jsonpath={.items[0].metadata.name}")
}

// pods maps the names of a Gateway's pods to their addresses.
func (w *scene) pods(t *testing.T, plane string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(w.Kubectl(t, "get", "pods", "-n", w.ns, "-l", w.selector(plane), "-o",
		`jsonpath={range .items[*]}{.metadata.name} {.status.podIP}{"\n"}{end}`)) {
		name, ip, _ := strings.Cut(strings.TrimSpace(line), " ")
		out[name] = ip
	}
	return out
}

// served is how many requests a pod has ended, by its metrics.
func (w *scene) served(t *testing.T, ip string) (n float64) {
	t.Helper()
	a, err := w.Get("http://" + ip + ":15021/metrics")
	if err := a.Want(200, err); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(strings.NewReader(a.Body))
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), "} "); ok && strings.HasPrefix(name, "egret_requests_total{") {
			f, _ := strconv.ParseFloat(value, 64)
			n += f
		}
	}
	return n
}

// reached waits until every pod reaches the counters and has delivered what it
// kept, by its metrics: each finds out for itself.
func (w *scene) reached(t *testing.T) {
	t.Helper()
	for _, p := range planes {
		for name, ip := range w.pods(t, p) {
			w.Eventually(t, 15*time.Second, name+" reaches the counters again", func() error {
				a, err := w.Get("http://" + ip + ":15021/metrics")
				if err := a.Want(200, err); err != nil {
					return err
				}
				for _, want := range []string{"\negret_counters_away 0\n", "\negret_counters_kept 0\n"} {
					if !strings.Contains(a.Body, want) {
						return fmt.Errorf("its metrics have no line %q", strings.TrimSpace(want))
					}
				}
				return nil
			})
		}
	}
}

// team is somebody with an untouched budget.
func (w *scene) team() string {
	w.teams++
	return "team-" + strconv.Itoa(w.teams)
}

// call is one question; its answer's status, cost and time.
type call struct {
	begun, ended time.Time
	status       int
	tokens       int
	body         string
	err          error
}

func (c call) took() time.Duration { return c.ended.Sub(c.begun) }

func (w *scene) ask(url, team string) call {
	c := call{begun: time.Now()}
	a, err := w.Post(url+"/v1/chat/completions", question, "X-Team: "+team)
	c.ended, c.status, c.body, c.err = time.Now(), a.Status, a.Body, err
	var answer struct {
		Usage struct {
			Total int `json:"total_tokens"`
		}
	}
	if err == nil && a.Status == 200 {
		c.err = json.Unmarshal([]byte(a.Body), &answer)
		c.tokens = answer.Usage.Total
	}
	return c
}

// spend lets clients call, each on connections of its own, until each has been
// refused a few times.
func (w *scene) spend(team string, urls ...string) (calls []call) {
	const enough = 3 // refusals in a row
	var group sync.WaitGroup
	var mu sync.Mutex
	for i := range clients {
		group.Go(func() {
			for n, refused := i, 0; refused < enough && n < i+number; n++ {
				c := w.ask(urls[n%len(urls)], team)
				if refused++; c.status == 200 {
					refused = 0
				}
				mu.Lock()
				calls = append(calls, c)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return calls
}

// is says what is there in the place of what should be.
func is(got, want string) error {
	if got != want {
		return fmt.Errorf("%q, want %q", got, want)
	}
	return nil
}
