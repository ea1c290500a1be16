package standalone

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/egret-gateway/egret/maas"
	"github.com/egret-gateway/egret/proxy"
)

// The MaaS API's Service in the manifests.
const (
	// MaaSNamespace is where the API's ConfigMaps are.
	MaaSNamespace = "opendatahub"
	maasService   = "maas-api"
	maasPort      = 8080
)

// conn shortens a signature.
type conn = net.Conn

// services are the Services of the manifests that this process serves itself,
// by their names in the cluster.
type services struct {
	mu sync.RWMutex
	by map[string]*proxy.Memory // "<name>.<namespace>:<port>"
}

func newServices() *services { return &services{by: map[string]*proxy.Memory{}} }

func serviceKey(name, namespace string, port int32) string {
	return name + "." + namespace + ":" + strconv.Itoa(int(port))
}

func (s *services) set(key string, m *proxy.Memory) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m == nil {
		delete(s.by, key)
		return
	}
	s.by[key] = m
}

// dial connects to a service by any of the names that a cluster's DNS knows
// it by: name.namespace, with .svc, with .svc.cluster.local.
func (s *services) dial(ctx context.Context, host string, port int32) (net.Conn, bool, error) {
	host = strings.TrimSuffix(host, ".")
	host = strings.TrimSuffix(strings.TrimSuffix(host, ".cluster.local"), ".svc")
	s.mu.RLock()
	m := s.by[host+":"+strconv.Itoa(int(port))]
	s.mu.RUnlock()
	if m == nil {
		return nil, false, nil
	}
	c, err := m.Dial(ctx)
	return c, true, err
}

// serveMaaS serves the MaaS API where only our gateways can reach it, since it
// believes the headers that they set.
func (s *System) serveMaaS(ctx context.Context) error {
	l := proxy.NewMemory(maasService)
	s.inner.set(serviceKey(maasService, MaaSNamespace, maasPort), l)
	server := maas.NewHTTPServer(s.maas.Handler())
	go func() {
		<-ctx.Done()
		maas.Shutdown(ctx, server)
	}()
	if err := server.Serve(l); err != nil && err != http.ErrServerClosed {
		return err
	}
	return nil
}
