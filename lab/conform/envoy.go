package conform

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/egret-gateway/egret/envoy/endpoint"
	"github.com/egret-gateway/egret/envoy/extproc"
	"github.com/egret-gateway/egret/provider"
)

// pair is a real Envoy with the engine beside it, on real sockets.
type pair struct {
	dir    string
	cancel context.CancelFunc
	served chan error
	envoy  *exec.Cmd
	doors  map[string]string // address by gateway and port
}

// start is how long an Envoy may take until it listens.
const start = 20 * time.Second

// newEnvoy serves the world's plan with the Envoy at path.
func newEnvoy(path string) func(context.Context, *World) (Body, error) {
	return func(ctx context.Context, w *World) (Body, error) {
		dir, err := os.MkdirTemp("", "conform")
		if err != nil {
			return nil, err
		}
		b := &pair{dir: dir, served: make(chan error, 1)}
		if err := b.run(ctx, w, path); err != nil {
			b.Close()
			return nil, err
		}
		return b, nil
	}
}

func (b *pair) run(ctx context.Context, w *World, path string) error {
	ctx, b.cancel = context.WithCancel(ctx)
	socket := filepath.Join(b.dir, "extproc.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	names := func(host string, _ int32) (string, bool) {
		ip, port := upstreamAddress(w, host)
		return fmt.Sprintf("%s:%d", ip, port), !strings.HasPrefix(host, beyond)
	}
	relay := &provider.Relay{Dialer: &provider.Dialer{Names: names}, Dir: b.dir}
	if err := relay.Load(w.Plan); err != nil {
		return err
	}
	go relay.Run(ctx)
	where := endpoint.New(endpoint.Options{Names: names, Relay: relay.Socket})
	where.Load(w.Plan)
	processor := extproc.New(extproc.Options{Engine: w.Engine, Drain: time.Nanosecond, Register: []func(grpc.ServiceRegistrar){where.Register}})
	if err := processor.Load(w.Plan); err != nil {
		return err
	}
	go func() { b.served <- processor.Run(ctx, l) }()
	bootstrap, err := static(w, b.dir)
	if err != nil {
		return err
	}
	config, err := json.Marshal(bootstrap)
	if err != nil {
		return err
	}
	file := filepath.Join(b.dir, "envoy.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(b.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	b.envoy = exec.Command(path, "-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "warning")
	b.envoy.Stdout, b.envoy.Stderr = log, log
	if err := b.envoy.Start(); err != nil {
		return err
	}
	return b.find()
}

// find asks Envoy where it listens.
func (b *pair) find() error {
	admin := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(b.dir, "admin.sock"))
	}}}
	exited := make(chan struct{})
	go func() { b.envoy.Wait(); close(exited) }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(start); ; {
		select {
		case <-exited:
			said, _ := os.ReadFile(filepath.Join(b.dir, "log"))
			return fmt.Errorf("the Envoy ended at once:\n%s", said)
		case <-late:
			return errors.New("the Envoy does not listen")
		case <-tick.C:
		}
		if b.doors = listeners(admin); b.doors != nil {
			return nil
		}
	}
}

// listeners are the addresses by the listeners' names, nil when Envoy is not
// live yet.
func listeners(admin *http.Client) map[string]string {
	ready, err := admin.Get("http://envoy/ready")
	if err != nil || ready.StatusCode != http.StatusOK {
		return nil
	}
	ready.Body.Close()
	res, err := admin.Get("http://envoy/listeners?format=json")
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	var out struct {
		Listeners []struct {
			Name    string `json:"name"`
			Address struct {
				Socket struct {
					Address string `json:"address"`
					Port    int    `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if json.NewDecoder(res.Body).Decode(&out) != nil {
		return nil
	}
	doors := map[string]string{}
	for _, l := range out.Listeners {
		doors[l.Name] = fmt.Sprintf("127.0.0.1:%d", l.Address.Socket.Port)
	}
	return doors
}

// Call implements Body.
func (b *pair) Call(ctx context.Context, r *Request) (*Response, error) {
	address := b.doors[door(r.Gateway, r.Port)]
	if address == "" {
		return nil, fmt.Errorf("nothing listens at %s", door(r.Gateway, r.Port))
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(30 * time.Second))
	go write(c, r)
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: r.Method})
	if err != nil {
		c.Close()
		return nil, err
	}
	return &Response{Status: res.StatusCode, Header: res.Header, Body: &connected{res.Body, c}}, nil
}

// Close implements Body.
func (b *pair) Close() {
	if b.envoy != nil && b.envoy.Process != nil {
		b.envoy.Process.Kill()
	}
	if b.cancel != nil {
		b.cancel()
		<-b.served
	}
	os.RemoveAll(b.dir)
}

// upstreamAddress is where a backend's host is to be found.
func upstreamAddress(w *World, host string) (string, int) {
	a := w.upstream.listener.Addr().(*net.TCPAddr)
	if l := w.upstream.secure[host]; l != nil {
		a = l.Addr().(*net.TCPAddr)
	}
	if strings.HasPrefix(host, "refused.") {
		return "127.0.0.1", 1
	}
	return "127.0.0.1", a.Port
}
