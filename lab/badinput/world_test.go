package badinput

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/egret-gateway/egret/provider"
	"github.com/egret-gateway/egret/source/file"
	"github.com/egret-gateway/egret/standalone"
)

// patience is for what the table does not promise: the test's own start.
const patience = 60 * time.Second

const adminToken = "admin-token-of-a-test"

const gateway = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: lab}
spec:
  gatewayClassName: egret
  listeners: [{name: http, protocol: HTTP, port: 8000}]
`

// world is one running system.
type world struct {
	t           *testing.T
	dir         string            // of manifests
	log, access *lines            //
	address     map[string]string // of gateways, by namespace/name
	admin       string            // base URL
}

// start runs a system until the test ends. tweak may change its options.
func start(t *testing.T, dir string, tweak func(*standalone.Options)) *world {
	t.Helper()
	w := &world{t: t, dir: dir, log: newLines(), access: newLines(), address: map[string]string{}}
	log := slog.New(slog.NewTextHandler(w.log, nil))
	resolve := &provider.Mapping{}
	for name, speak := range upstreams {
		resolve.Set(name+".upstream.example", 80, startUpstream(t, speak))
	}
	o := standalone.Options{
		Files: file.Options{Paths: []string{dir}, Log: log}, Listen: map[string]standalone.Address{"lab/edge/http": {At: "127.0.0.1:0"}},
		Inner: true, Resolve: resolve, Admin: standalone.Address{At: "127.0.0.1:0"}, AdminToken: adminToken,
		AccessLog: w.access, Log: log, Drain: time.Second, Version: "test",
	}
	if tweak != nil {
		tweak(&o)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	s, err := standalone.New(ctx, o)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	serving, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- s.Run(ctx, func(*standalone.System) { close(serving) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("the system ended with: %v", err)
		}
	})
	select {
	case <-serving:
	case err := <-ended:
		ended <- nil
		t.Fatalf("the system did not start: %v\n%s", err, w.log.since(0))
	case <-time.After(patience):
		t.Fatalf("the system did not start\n%s", w.log.since(0))
	}
	for _, b := range s.Bound() {
		if b.Address.Network() == "tcp" && !b.TLS {
			w.address[b.Gateway] = b.Address.String()
		}
	}
	w.admin = "http://" + s.AdminAddress()
	return w
}

// seen is what a client saw.
type seen struct {
	answer string // "200", "200, then cut", "none, closed", or a mistake of the test
	body   string
	header http.Header
}

// send writes a request and reads its answer.
func send(ctx context.Context, address, request string, more func(context.Context, net.Conn)) seen {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return seen{answer: "no connection: " + err.Error()}
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	go func() {
		io.WriteString(c, request)
		if more != nil {
			more(ctx, c)
		}
	}()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	switch {
	case ctx.Err() != nil:
		return seen{answer: "too late"}
	case err != nil:
		return seen{answer: "none, closed"}
	}
	body, err := io.ReadAll(res.Body)
	out := seen{answer: fmt.Sprint(res.StatusCode), body: string(body), header: res.Header}
	if ctx.Err() != nil {
		out.answer += ", too late"
	} else if err != nil {
		out.answer += ", then cut"
	}
	return out
}

// get is a request without a body.
func get(path string, headers ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: models.example\r\nConnection: close\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n"
}

// post is an AI call.
func post(path, body string) string {
	return fmt.Sprintf("POST %s/v1/chat/completions HTTP/1.1\r\nHost: models.example\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		path, len(body), body)
}

// page reads a page of the admin address.
func (w *world) page(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.admin+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return json.NewDecoder(res.Body).Decode(into)
}

// write puts a file into a directory in one step, so that a watcher never
// sees half of it.
func write(t *testing.T, dir, name, text string) {
	t.Helper()
	half := filepath.Join(dir, "."+name)
	if err := os.WriteFile(half, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(half, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}
