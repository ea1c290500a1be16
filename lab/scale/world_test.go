//go:build scale

package scale

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"github.com/egret-gateway/egret/lab/apiserver"
)

// world is an API server and a controller of the class egret.
type world struct {
	*testing.T
	server  *apiserver.Server
	program string // the binary
	xds     string // addresses of the controller
	health  string
	writes  atomic.Int64 // by the test itself
	before  int64        // those of the API server itself

	child *exec.Cmd
	log   bytes.Buffer
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, program: filepath.Join(t.TempDir(), "egret"), xds: free(t), health: free(t)}
	if out, err := exec.Command("go", "build", "-trimpath", "-o", w.program, "../../cmd/egret").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var err error
	if w.server, err = apiserver.Start(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.server.Stop)
	if err := w.server.Install(t.Context(), apiserver.Resources()...); err != nil {
		t.Fatal(err)
	}
	return w
}

func free(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// do makes a request that changes something.
func (w *world) do(ctx context.Context, method, path, body string) error {
	w.writes.Add(1)
	_, err := w.server.Do(ctx, method, path, []byte(body))
	return err
}

// object is one to be created.
type object struct{ path, body string }

// create creates objects, some at once.
func (w *world) create(objects []object) {
	w.Helper()
	var g errgroup.Group
	g.SetLimit(16)
	for _, o := range objects {
		g.Go(func() error { return w.do(w.Context(), http.MethodPost, o.path, o.body) })
	}
	if err := g.Wait(); err != nil {
		w.Fatal(err)
	}
}

const kubeconfig = `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: u, user: {client-certificate: %q, client-key: %q}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
`

// start starts the controller; stop ends it.
func (w *world) start() (stop func()) {
	w.Helper()
	c := w.server.Config()
	file := filepath.Join(w.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, fmt.Appendf(nil, kubeconfig, c.Host, c.CAFile, c.CertFile, c.KeyFile), 0o600); err != nil {
		w.Fatal(err)
	}
	w.child = exec.Command(w.program, "controller", "--kubeconfig="+file, "--controller-name=egret.dev/gateway-controller", "--namespace=egret-system",
		"--image=egret:scale", "--envoy-image=envoy:scale", "--xds-address="+w.xds, "--xds-listen="+w.xds, "--health-address="+w.health)
	w.child.Stderr = &w.log
	w.child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := w.child.Start(); err != nil {
		w.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = w.child.Process.Signal(syscall.SIGTERM)
		if err := w.child.Wait(); err != nil {
			w.Errorf("the controller ended with %v\n%s", err, w.log.String())
		}
	})
	w.Cleanup(stop)
	return stop
}

// metric sums the samples of a metric of the controller whose labels hold all
// of the words.
func (w *world) metric(name string, labels ...string) float64 {
	r, err := http.Get("http://" + w.health + "/metrics")
	if err != nil {
		return 0
	}
	defer r.Body.Close()
	return sum(r.Body, name, func(line string) bool {
		for _, l := range labels {
			if !strings.Contains(line, l) {
				return false
			}
		}
		return true
	})
}

func sum(from io.Reader, name string, counts func(line string) bool) (total float64) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		rest, found := strings.CutPrefix(line, name)
		if !found || rest[0] != '{' && rest[0] != ' ' || !counts(line) {
			continue
		}
		if v, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64); err == nil {
			total += v
		}
	}
	return total
}

// controllerWrites is how often the controller has changed something on the
// API server, as that one counts, but for its Lease and what it is asked.
func (w *world) controllerWrites() int64 {
	w.Helper()
	client, err := rest.HTTPClientFor(w.server.Config())
	if err != nil {
		w.Fatal(err)
	}
	r, err := client.Get(w.server.Config().Host + "/metrics")
	if err != nil {
		w.Fatal(err)
	}
	defer r.Body.Close()
	all := sum(r.Body, "apiserver_request_total", func(line string) bool {
		for _, other := range []string{`resource="leases"`, `subresource="token"`, `resource="selfsubjectaccessreviews"`, `verb="GET"`, `verb="LIST"`, `verb="WATCH"`, `,resource=""`} {
			if strings.Contains(line, other) {
				return false
			}
		}
		return true
	})
	return int64(all) - w.writes.Load() - w.before
}

// await looks every moment until ok. Looking costs something: lists of
// thousands, of an API server that others wait for.
func (w *world) await(what string, ok func() bool) {
	w.Helper()
	const moment = 250 * time.Millisecond
	for end := time.Now().Add(patience); !ok(); time.Sleep(moment) {
		if time.Now().After(end) {
			w.Fatalf("in %s there was no %s; the controller said:\n%s", patience, what, w.log.String())
		}
	}
}
