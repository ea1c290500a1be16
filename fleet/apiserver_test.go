//go:build cluster

package fleet

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// server is a real API server without controllers or nodes, for the whole run.
var server *rest.Config

func TestMain(m *testing.M) {
	code, err := withServer(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withServer(run func() int) (code int, err error) {
	dir, err := os.MkdirTemp("", "fleet")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	ports, err := freePorts(3)
	if err != nil {
		return 0, err
	}
	keys, err := writeKey(dir)
	if err != nil {
		return 0, err
	}
	tokens := filepath.Join(dir, "tokens")
	if err := os.WriteFile(tokens, []byte("admin,admin,1,system:masters\n"), 0o600); err != nil {
		return 0, err
	}
	etcd, api := "http://127.0.0.1:"+ports[0], "https://127.0.0.1:"+ports[2]
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stopEtcd, err := start(ctx, "etcd", "--data-dir="+filepath.Join(dir, "etcd"), "--unsafe-no-fsync", "--log-level=error",
		"--listen-client-urls="+etcd, "--advertise-client-urls="+etcd,
		"--listen-peer-urls=http://127.0.0.1:"+ports[1], "--initial-advertise-peer-urls=http://127.0.0.1:"+ports[1],
		"--initial-cluster=default=http://127.0.0.1:"+ports[1])
	if err != nil {
		return 0, err
	}
	defer stopEtcd()
	stopServer, err := start(ctx, "kube-apiserver", "--etcd-servers="+etcd, "--bind-address=127.0.0.1", "--secure-port="+ports[2],
		"--cert-dir="+filepath.Join(dir, "cert"), "--token-auth-file="+tokens, "--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+keys,
		"--service-account-signing-key-file="+keys, "--disable-admission-plugins=ServiceAccount",
		"--service-cluster-ip-range=10.96.0.0/16")
	if err != nil {
		return 0, err
	}
	defer stopServer()
	server = &rest.Config{Host: api, BearerToken: "admin", QPS: -1, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
	if err := ready(server); err != nil {
		return 0, err
	}
	return run(), nil
}

// start runs a program of the test cluster until ctx ends; stop waits for its end.
func start(ctx context.Context, program string, args ...string) (stop func(), err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(cache, "egret", "cluster", "bin", program)
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("%w; build it with lab/cluster/cluster.sh build", err)
	}
	var log bytes.Buffer
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	return func() {
		cancel()
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
			fmt.Fprintf(os.Stderr, "%s: %v\n%s", program, err, log.Bytes())
		}
	}, nil
}

func ready(c *rest.Config) error {
	transport, err := rest.HTTPClientFor(c)
	if err != nil {
		return err
	}
	for end, tick := time.After(90*time.Second), time.NewTicker(200*time.Millisecond); ; {
		select {
		case <-end:
			return errors.New("the API server was not ready within 90 s")
		case <-tick.C:
			answer, err := transport.Get(c.Host + "/readyz")
			if err != nil {
				continue
			}
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
}

func freePorts(n int) ([]string, error) {
	var out []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		out = append(out, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	return out, nil
}

// writeKey makes the key that signs tokens of ServiceAccounts.
func writeKey(dir string) (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "sa.key")
	return file, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}
