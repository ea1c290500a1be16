//go:build cluster

package upgrade

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/egret-gateway/egret/lab/cluster"
	"github.com/egret-gateway/egret/lab/stage"
)

// Limits of waits: for what the cluster is told, and for pods that have to be
// replaced.
const (
	soon = time.Minute
	late = 2 * time.Minute
)

// scene is the quickstart under load.
type scene struct {
	*stage.Stage
	loads map[string]*load
}

// load is one kind of call, and how many of those that ended were looked at.
type load struct {
	*stage.Load
	want, seen int
}

// fleets are the two that a completion passes: the native plane in front, Envoy
// behind it.
var fleets = []fleet{
	{"openshift-ingress", "maas-default-gateway", "egret-openshift-ingress-maas-default-gateway"},
	{"default", "poc-gateway", "envoy-poc-gateway"},
}

type fleet struct{ namespace, gateway, name string }

// slow has the simulator say the prompt again, a word each 100 ms.
const slow = `[{"op":"replace","path":"/spec/template/spec/containers/0/args",
	"value":["--port","8000","--model","gpt-4-external","--mode","echo","--inter-token-latency","100","--max-num-seqs","1000"]},
	{"op":"remove","path":"/spec/template/spec/containers/0/resources/limits"}]`

// prepare raises the quickstart as it was at the previous release, with two
// pods in each fleet, and begins the load.
func prepare(t *testing.T, c *cluster.Cluster) *scene {
	t.Helper()
	commit, err := os.ReadFile("previous")
	if err != nil {
		t.Fatal(err)
	}
	manifests := c.Earlier(t, strings.TrimSpace(string(commit)))
	c.Forget(t, image+"latest", image+"previous")
	s := &scene{Stage: stage.From(t, c, manifests), loads: map[string]*load{}}
	s.Kubectl(t, "patch", "deployment", "model-simulator", "-n", "external-models", "--type=json", "-p", slow)
	for _, f := range fleets {
		s.parameters(t, f, "")
		s.Kubectl(t, "patch", "gateway", f.gateway, "-n", f.namespace, "--type=merge", "-p",
			`{"spec":{"infrastructure":{"parametersRef":{"group":"","kind":"ConfigMap","name":"fleet"}}}}`)
	}
	s.Rolled(t, "external-models", "model-simulator")
	for _, f := range fleets {
		s.await(t, f, "{.spec.replicas}", "2")
	}
	token := s.enterprise(t)
	s.begin(t, "calls", 200, stage.Steady{Token: token, Rate: 20})
	s.begin(t, "streams", 200, stage.Steady{Token: token, Streams: 4, Stream: words(50)})
	s.begin(t, "models", 200, stage.Steady{Token: s.Person(t), Rate: 3, Method: http.MethodGet, URL: s.URL("/v1/models")})
	// One after the other: the previous release fails when a person mints twice at once.
	s.begin(t, "mints", 201, stage.Steady{Token: s.Person(t), Streams: 1, URL: s.URL("/maas-api/v1/tokens"), Stream: `{"expiration": "1h"}`})
	return s
}

func (s *scene) begin(t *testing.T, name string, want int, steady stage.Steady) {
	s.loads[name] = &load{Load: s.Load(t, steady), want: want}
}

// lossless fails the test with what has failed since it was called before.
func (s *scene) lossless(t *testing.T) {
	t.Helper()
	s.lost(t, 0)
}

// unannounced is how many calls may find nobody when pods of the previous
// release stop: its planes close idle connections without a word before, and
// its MaaS API takes no more as soon as it is told to end. (With the next
// release this is 0.)
const unannounced = 20

// lost is lossless but for so many calls of each load that found nobody.
func (s *scene) lost(t *testing.T, closed int) {
	t.Helper()
	for name, l := range s.loads {
		calls := l.SoFar()
		bad, first, left := 0, "", closed
		for _, c := range calls[l.seen:] {
			if c.Status == l.want && c.Err == nil {
				continue
			}
			if left--; left >= 0 && nobody(c) {
				t.Logf("%s: %v", name, c)
				continue
			}
			if bad++; bad <= 5 {
				first += "\n\t" + c.String()
			}
		}
		if bad > 0 {
			t.Errorf("%s: %d of %d failed:%s", name, bad, len(calls)-l.seen, first)
		}
		t.Logf("%s: %d", name, len(calls)-l.seen)
		l.seen = len(calls)
	}
}

// nobody reports whether a call found nobody at the end of its connection.
func nobody(c stage.Call) bool {
	switch {
	case c.Status == http.StatusBadGateway:
		return true
	case c.Status != 0 || c.Err == nil:
		return false
	}
	return errors.Is(c.Err, io.EOF) || errors.Is(c.Err, syscall.ECONNRESET) || strings.HasSuffix(c.Err.Error(), "server closed idle connection")
}

// parameters are those of a fleet, beside two replicas and time for streams to end.
func (s *scene) parameters(t *testing.T, f fleet, more string) {
	t.Helper()
	text := "drainSeconds: 60\n" + more
	if !strings.Contains(more, "replicas:") {
		text += "\nreplicas: 2"
	}
	s.Apply(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fleet, namespace: "+f.namespace+"}\ndata:\n  fleet.yaml: |\n    "+
		strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    "))
}

// await waits until a fleet's Deployment shows what is wanted and has rolled out.
func (s *scene) await(t *testing.T, f fleet, path, want string) {
	t.Helper()
	s.Eventually(t, soon, "Deployment "+f.name+" with "+path+" = "+want, func() error {
		got, err := s.Try("get", "deployment", f.name, "-n", f.namespace, "-o", "jsonpath="+path)
		if err == nil && got != want {
			err = fmt.Errorf("it is %q", got)
		}
		return err
	})
	s.Rolled(t, f.namespace, f.name)
}

const (
	image    = "ghcr.io/egret-gateway/egret:"
	imagesOf = `{.spec.template.spec.containers[?(@.name!="envoy")].image}`
)

// roll gives both fleets parameters and waits until they run an image.
func (s *scene) roll(t *testing.T, more, tag string) {
	t.Helper()
	for _, f := range fleets {
		s.parameters(t, f, more)
	}
	for _, f := range fleets {
		s.await(t, f, imagesOf, image+tag)
	}
}

// ended waits until no pod of the fleets is on its way out.
func (s *scene) ended(t *testing.T) {
	t.Helper()
	for _, f := range fleets {
		s.Eventually(t, late, "the end of earlier pods of "+f.name, func() error {
			got, err := s.Try("get", "pods", "-n", f.namespace, "-l", "app="+f.name, "-o", "jsonpath={.items[?(@.metadata.deletionTimestamp)].metadata.name}")
			if err == nil && got != "" {
				err = errors.New("there are " + got)
			}
			return err
		})
	}
}

// tiers is the mapping of manifests/maas; everybody is put into one tier by
// another.
func (s *scene) tier(t *testing.T, name string, ask func() string) (token string) {
	t.Helper()
	s.Eventually(t, soon, "a token of tier "+name, func() error {
		token = ask()
		parts := strings.Split(token, ".")
		if len(parts) != 3 {
			return fmt.Errorf("%d parts", len(parts))
		}
		claims, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err == nil && !strings.Contains(string(claims), "-tier-"+name+":") {
			err = fmt.Errorf("claims %s", claims)
		}
		return err
	})
	return token
}

// enterprise returns a token of the tier that the load does not exhaust. Those
// who come later are in the free tier again.
func (s *scene) enterprise(t *testing.T) string {
	t.Helper()
	s.Kubectl(t, "patch", "configmap", "tier-to-group-mapping", "-n", "opendatahub", "--type=merge", "-p",
		`{"data":{"tiers":"- name: free\n  level: 0\n  groups: [system:authenticated]\n- name: enterprise\n  level: 2\n  groups: [system:serviceaccounts]\n"}}`)
	token := s.tier(t, "enterprise", func() string { return s.Mint(t) })
	s.Kubectl(t, "apply", "-f", stage.Manifest("maas/base/tiers.yaml"))
	s.tier(t, "free", func() string { return s.Mint(t) })
	return token
}

// enforced shows that what restricts is in force as it is written now: who one
// is, how much one may spend, and that one is no longer welcome.
func (s *scene) enforced(t *testing.T, limit int) {
	t.Helper()
	s.strangers(t)
	s.Budget(t, limit)
	login := s.Person(t)
	token := s.mint(t, login)
	s.limited(t, token, limit)
	if a, err := s.revoke(login); a.Want(204, err) != nil {
		t.Fatal(a.Want(204, err))
	}
	s.refused(t, token)
}

// strangers are refused.
func (s *scene) strangers(t *testing.T) {
	t.Helper()
	for _, header := range []string{"X-None: x", "Authorization: Bearer x.y.z", "Authorization: Bearer " + s.Person(t)} {
		if a, err := s.Post(s.URL(stage.ChatPath), stage.Chat, header); a.Want(401, err) != nil {
			t.Errorf("with %.30s: %v", header, a.Want(401, err))
		}
	}
}

// limited shows that a limit holds on every pod.
func (s *scene) limited(t *testing.T, token string, limit int) {
	t.Helper()
	s.Eventually(t, soon, fmt.Sprintf("a limit of %d", limit), func() error { return s.spend(s.URL(stage.ChatPath), token, limit) })
}

// revoke withdraws a person's tokens.
func (s *scene) revoke(login string) (cluster.Answer, error) {
	return s.do(http.MethodDelete, s.URL("/maas-api/v1/tokens"), login)
}

// refused shows that a token is, on every pod. Whoever is gone is refused
// before anything is counted.
func (s *scene) refused(t *testing.T, token string) {
	t.Helper()
	for range 6 {
		s.Eventually(t, 10*time.Second, "a revoked token is refused", func() error {
			a, err := s.Post(s.URL(stage.ChatPath), stage.Chat, "Authorization: Bearer "+token)
			return a.Want(401, err)
		})
	}
}

// spend calls until every pod refuses by the limit given.
func (s *scene) spend(url, token string, limit int) error {
	granted, refused := 0, 0
	for refused < 6 {
		a, err := s.Post(url, stage.Chat, "Authorization: Bearer "+token)
		switch {
		case err != nil:
			return err
		case a.Status == http.StatusOK:
			if granted, refused = granted+1, 0; granted > 4*limit {
				return fmt.Errorf("%d calls were granted, and no end", granted)
			}
		case a.Status != http.StatusTooManyRequests:
			return a.Want(429, nil)
		default:
			refused++
			if got := a.Header.Get("X-Ratelimit-Limit-Tokens"); got != fmt.Sprint(limit) {
				return fmt.Errorf("the limit is %q, want %d", got, limit)
			}
		}
	}
	return nil
}

func (s *scene) mint(t *testing.T, login string) string {
	t.Helper()
	a, err := s.Post(s.URL("/maas-api/v1/tokens"), `{"expiration": "1h"}`, "Authorization: Bearer "+login)
	if err := a.Want(201, err); err != nil {
		t.Fatal(err)
	}
	var minted struct{ Token string }
	if err := json.Unmarshal([]byte(a.Body), &minted); err != nil || minted.Token == "" {
		t.Fatalf("%s: %v", a.Body, err)
	}
	return minted.Token
}

// do is a call without a body.
func (s *scene) do(method, url, token string) (a cluster.Answer, err error) {
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		return a, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := s.HTTP().Do(r)
	if err != nil {
		return a, err
	}
	resp.Body.Close()
	return cluster.Answer{Status: resp.StatusCode, Header: resp.Header}, nil
}
