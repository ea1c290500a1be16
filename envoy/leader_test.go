package envoy_test

import (
	"io"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/egret-gateway/egret/envoy"
	"github.com/egret-gateway/egret/lab/envoybin"
)

// TestLeader: Envoy goes to whoever leads, behind one address.
func TestLeader(t *testing.T) {
	for _, version := range envoybin.Versions {
		t.Run("B-33 Envoy "+version+" finds a new leader, whether the old one is gone or stays", func(t *testing.T) {
			t.Parallel()
			a := newIssuer(t)
			first, second := newController(t, a), newController(t, a)
			service := newService(t, first.port)
			token := newVolume(t, map[string]string{"token": "one"})
			config := newVolume(t, map[string]string{"envoy.yaml": "", "xds-token.yaml": "", "xds-ca.yaml": "", "ca.crt": ""})
			files := envoy.Files(envoy.BootstrapOptions{
				NodeID: "envoy-proxy-1", Gateway: "default/gw", Controller: "localhost", Port: service.port,
				Token: filepath.Join(token.path, "token"), Admin: filepath.Join(t.TempDir(), "admin.sock"), CA: filepath.Join(config.path, "ca.crt"),
			})
			files["ca.crt"] = a.pem
			config.renew(files)
			start(t, version, filepath.Join(config.path, "envoy.yaml"), false)

			old := first.next(t)
			// The old leader lives on, and only ends the stream: its connection
			// must not be used again.
			service.to.Store(second.port)
			began := time.Now()
			old.cut()
			second.next(t)
			t.Logf("the new leader was found after %s", time.Since(began))
			// The leader dies with its connections.
			service.to.Store(first.port)
			began = time.Now()
			second.disconnect()
			first.next(t)
			t.Logf("and after %s when the old one was gone", time.Since(began))
		})
	}
}

// service is an address in front of a controller. Connections stay where they
// were made to.
type service struct {
	port uint32
	to   atomic.Uint32
}

func newService(t *testing.T, to uint32) *service {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &service{port: uint32(l.Addr().(*net.TCPAddr).Port)}
	s.to.Store(to)
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: l.Addr().(*net.TCPAddr).IP, Port: int(s.to.Load())})
			if err != nil {
				client.Close()
				continue
			}
			go func() { _, _ = io.Copy(server, client); server.Close() }()
			go func() { _, _ = io.Copy(client, server); client.Close() }()
		}
	}()
	return s
}
