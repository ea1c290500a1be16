package standalone

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/egret-gateway/egret/proxy"
	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/source/file"
)

var quiet = slog.New(slog.DiscardHandler)

// eventually polls, for what other goroutines do.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	late := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func TestAddress(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	at := taken.Addr().String()
	if _, err := (Address{At: at}).bind(); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a port that is taken: %v, want address in use", err)
	}
	l, err := Address{At: at, Next: true}.bind()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got, was := l.Addr().(*net.TCPAddr).Port, taken.Addr().(*net.TCPAddr).Port; got <= was || got > was+tries {
		t.Errorf("port %d gave way to %d, want one of the next %d", was, got, tries)
	}
	for _, wrong := range []Address{{At: "nowhere"}, {At: "127.0.0.1:http2go", Next: true}, {At: "192.0.2.1:0", Next: true}} {
		if l, err := wrong.bind(); err == nil {
			l.Close()
			t.Errorf("%+v was bound", wrong)
		}
	}
}

func TestServicesHaveTheNamesOfACluster(t *testing.T) {
	s := newServices()
	m := proxy.NewMemory("maas-api")
	defer m.Close()
	go func() {
		for {
			c, err := m.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	s.set(serviceKey("maas-api", "opendatahub", 8080), m)
	f := func(host string, port int32, want bool) {
		t.Helper()
		c, known, err := s.dial(t.Context(), host, port)
		if known != want || err != nil {
			t.Errorf("%s:%d: %v, %v, want %v", host, port, known, err, want)
		}
		if c != nil {
			c.Close()
		}
	}
	f("maas-api.opendatahub", 8080, true)
	f("maas-api.opendatahub.svc", 8080, true)
	f("maas-api.opendatahub.svc.cluster.local", 8080, true)
	f("maas-api.opendatahub.svc.cluster.local.", 8080, true)
	f("maas-api.opendatahub", 80, false)
	f("maas-api", 8080, false)
	f("maas-api.other", 8080, false)
	f("maas-api.opendatahub.example.com", 8080, false)
	s.set(serviceKey("maas-api", "opendatahub", 8080), nil)
	f("maas-api.opendatahub", 8080, false)
}

func TestSimulatorOf(t *testing.T) {
	f := func(image, want string) {
		t.Helper()
		d := &appsv1.Deployment{}
		d.Spec.Template.Spec.Containers = []corev1.Container{{Image: "sidecar"}, {Image: image, Args: []string{"--model", "m"}}}
		got, args, ok := simulatorOf(d)
		if got != want || ok != (want != "") || ok && !cmp.Equal(args, []string{"--model", "m"}) {
			t.Errorf("%s: %q %v %v, want %q", image, got, args, ok, want)
		}
	}
	f("ghcr.io/llm-d/llm-d-inference-sim:v0.6.1", simImage)
	f("registry.example.com:5000/a/llm-d-inference-sim@sha256:00", simImage)
	f("llm-d-inference-sim", simImage)
	f("example.com/provider-sim:latest", simProviderImage)
	f("example.com/vllm:latest", "")
	f("example.com/llm-d-inference-sim-not:1", "")
}

// deployment is a simulator with a Service in front.
func deployment(args ...string) *source.Snapshot {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "sim"}}
	d.Spec.Template.Labels = map[string]string{"app": "sim"}
	d.Spec.Template.Spec.Containers = []corev1.Container{{Image: simImage, Args: append([]string{"--model", "m"}, args...)}}
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "model"}}
	svc.Spec.Selector, svc.Spec.Ports = map[string]string{"app": "sim"}, []corev1.ServicePort{{Port: 8000}}
	return &source.Snapshot{Deployments: []*appsv1.Deployment{d}, Services: []*corev1.Service{svc}}
}

func TestSimulatorsFollowTheirDeployments(t *testing.T) {
	s := &simulators{log: quiet, services: newServices()}
	// models asks the simulator, "" when nobody answers.
	models := func() string {
		c, known, err := s.services.dial(t.Context(), "model.ns.svc", 8000)
		if err != nil || !known {
			return ""
		}
		defer c.Close()
		return get(t, c, "/v1/models", "")
	}
	load := func(snap *source.Snapshot) {
		t.Helper()
		if err := s.load(t.Context(), snap); err != nil {
			t.Fatal(err)
		}
	}
	load(deployment())
	if got := models(); !strings.Contains(got, `"id":"m"`) {
		t.Errorf("after the start: %s", got)
	}
	first := s.running["ns/sim"]
	load(deployment())
	if s.running["ns/sim"] != first {
		t.Error("an unchanged Deployment was started anew")
	}
	load(deployment("--served-model-name", "other"))
	if got := models(); !strings.Contains(got, `"id":"other"`) {
		t.Errorf("after the change: %s", got)
	}
	if err := s.load(t.Context(), deployment("--mode", "loud")); err == nil || !strings.Contains(err.Error(), "Deployment ns/sim") {
		t.Errorf("wrong arguments: %v, want an error that names the Deployment", err)
	}
	load(&source.Snapshot{})
	if got := models(); got != "" {
		t.Errorf("after the end: %s", got)
	}
}

// get makes a call on a connection and returns the whole answer.
func get(t *testing.T, c net.Conn, path, token string) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://host"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Close = true
	if err := req.Write(c); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var b strings.Builder
	if err := res.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// example is a copy of the example first-gateway.
func example(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../examples/first-gateway")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// start runs a system whose gateways live in memory; stop ends it and returns
// Run's error.
func start(t *testing.T, dir string) (s *System, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s, err := New(ctx, Options{Files: file.Options{Paths: []string{dir}, Log: quiet}, Inner: true, Simulate: true, Log: quiet, Drain: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	started, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- s.Run(ctx, func(*System) { close(started) }) }()
	select {
	case <-started:
	case err := <-ended:
		cancel()
		return s, func() error { return err }
	}
	return s, func() error {
		cancel()
		return <-ended
	}
}

func call(t *testing.T, s *System, path string) string {
	t.Helper()
	c, err := s.plane.Dial(t.Context(), "default/models", 8080)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return get(t, c, path, "blue-team-demo-key")
}

func TestSystem(t *testing.T) {
	before := runtime.NumGoroutine()
	dir := example(t)
	s, stop := start(t, dir)
	if err := s.ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
	if got := call(t, s, "/v1/models"); !strings.Contains(got, "200 OK") || !strings.Contains(got, "small-model") {
		t.Errorf("%s", got)
	}
	t.Run("a plan that the plane refuses leaves everything as it was", func(t *testing.T) {
		simulator := filepath.Join(dir, "simulator.yaml")
		text, err := os.ReadFile(simulator)
		if err != nil {
			t.Fatal(err)
		}
		good := s.good
		if err := os.WriteFile(simulator, []byte(strings.Replace(string(text), `"echo"`, `"loud"`, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the edit is refused", func() bool {
			families, err := s.metrics.Registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				for _, m := range f.Metric {
					if f.GetName() == "egret_reloads_total" && m.Label[0].GetValue() == "kept_previous" {
						return true
					}
				}
			}
			return false
		})
		if got := call(t, s, "/v1/models"); s.good != good || !strings.Contains(got, "small-model") {
			t.Errorf("after a refused edit: %s", got)
		}
	})
	if err := stop(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
}

func TestSystemDoesNotStartWithMistakes(t *testing.T) {
	dir := example(t)
	if err := os.WriteFile(filepath.Join(dir, "bad.yaml"), []byte("apiVersion: v1\nkind: Secret\nmetadata: {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, stop := start(t, dir)
	if err := stop(); err == nil || !strings.Contains(err.Error(), "bad.yaml") {
		t.Errorf("%v, want an error that names the file", err)
	}
}

func TestNewIDs(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := newID()
		if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" || seen[id] {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
}
