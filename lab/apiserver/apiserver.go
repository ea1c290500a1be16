package apiserver

import (
	"context"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
)

// Server is a running API server.
type Server struct {
	dir       string
	bin       string
	etcdURL   string
	address   string
	processes []*process
}

// startLimit is how long the programs may take until they serve.
const startLimit = 90 * time.Second

// Start starts etcd and the API server with all their files in dir, and
// returns when the server is ready. The caller calls Stop.
func Start(dir string) (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, bin: bin}
	if err := s.start(); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// programs returns the folder with the programs.
func programs() (string, error) {
	cache := os.Getenv("EGRET_CACHE")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(or(os.Getenv("XDG_CACHE_HOME"), filepath.Join(home, ".cache")), "egret")
	}
	bin := filepath.Join(cache, "cluster", "bin")
	for _, name := range []string{"etcd", "kube-apiserver"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			return "", fmt.Errorf("%w; run: make cluster-build", err)
		}
	}
	return bin, nil
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (s *Server) start() error {
	ca, err := newAuthority(s.dir)
	if err != nil {
		return err
	}
	_, err = ca.key256("sa")
	if err := errors.Join(err,
		ca.issue("server", pkix.Name{CommonName: "kube-apiserver"}),
		ca.issue("admin", pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}})); err != nil {
		return err
	}
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	s.etcdURL = "http://" + ports[0]
	s.address = ports[2]
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	if err := s.run("etcd",
		"--data-dir="+s.path("etcd"), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls="+s.etcdURL, "--advertise-client-urls="+s.etcdURL,
		"--listen-peer-urls=http://"+ports[1], "--initial-advertise-peer-urls=http://"+ports[1],
		"--initial-cluster=default=http://"+ports[1]); err != nil {
		return err
	}
	if err := s.await(ctx, func() error { return serves(http.DefaultClient, s.etcdURL+"/health") }); err != nil {
		return err
	}
	return s.Resume(ctx)
}

// Resume starts the API server after Halt, with all that was stored before.
func (s *Server) Resume(ctx context.Context) error {
	_, port, _ := net.SplitHostPort(s.address)
	err := s.run("kube-apiserver",
		"--etcd-servers="+s.etcdURL, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port="+port,
		"--tls-cert-file="+s.path("server.crt"), "--tls-private-key-file="+s.path("server.key"),
		"--client-ca-file="+s.path("ca.crt"), "--authorization-mode=RBAC", "--endpoint-reconciler-type=none",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.96.0.0/16",
		"--service-account-key-file="+s.path("sa.key"), "--service-account-signing-key-file="+s.path("sa.key"),
		"--disable-admission-plugins=ServiceAccount,StorageObjectInUseProtection", "--profiling=false")
	if err != nil {
		return err
	}
	client, err := rest.HTTPClientFor(s.Config())
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	return s.await(ctx, func() error { return serves(client, "https://"+s.address+"/readyz") })
}

// Halt ends the API server; etcd keeps what is stored. See Resume.
func (s *Server) Halt() {
	last := len(s.processes) - 1
	s.processes[last].end()
	s.processes = s.processes[:last]
}

// Stop ends both programs.
func (s *Server) Stop() {
	for len(s.processes) > 0 {
		s.Halt()
	}
}

// Config returns the configuration of a client who may do everything.
func (s *Server) Config() *rest.Config {
	return &rest.Config{
		Host: "https://" + s.address,
		TLSClientConfig: rest.TLSClientConfig{
			CAFile:   s.path("ca.crt"),
			CertFile: s.path("admin.crt"),
			KeyFile:  s.path("admin.key"),
		},
		QPS: -1,
	}
}

// As returns the configuration of a client who may do what RBAC grants the
// user and no more.
func (s *Server) As(user string) *rest.Config {
	c := s.Config()
	c.Impersonate = rest.ImpersonationConfig{UserName: user}
	return c
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

// process is a program that runs.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

func (s *Server) run(name string, args ...string) error {
	log, err := os.OpenFile(s.path(name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	p := &process{cmd, make(chan struct{})}
	go func() {
		cmd.Wait()
		close(p.done)
	}()
	s.processes = append(s.processes, p)
	return nil
}

func (p *process) end() {
	p.cmd.Process.Kill()
	<-p.done
}

// await waits until check succeeds, or the last program that was started ends.
func (s *Server) await(ctx context.Context, check func() error) error {
	p := s.processes[len(s.processes)-1]
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var err error
	for {
		if err = check(); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.done:
			return fmt.Errorf("%s ended:\n%s", filepath.Base(p.cmd.Path), s.tail(p))
		case <-ctx.Done():
			return fmt.Errorf("%s does not serve: %w\n%s", filepath.Base(p.cmd.Path), err, s.tail(p))
		}
	}
}

func (s *Server) tail(p *process) string {
	log, _ := os.ReadFile(s.path(filepath.Base(p.cmd.Path) + ".log"))
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

func serves(c *http.Client, url string) error {
	r, err := c.Get(url)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return errors.New(r.Status)
	}
	return nil
}

// freePorts returns addresses on loopback that nobody listens on.
func freePorts(n int) (out []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // only now, so that all differ
		out = append(out, l.Addr().String())
	}
	return out, nil
}
