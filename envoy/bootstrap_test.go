package envoy_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"sigs.k8s.io/yaml"

	"github.com/egret-gateway/egret/envoy"
	"github.com/egret-gateway/egret/lab/envoybin"
)

// TestRenewal: a token and a CA that the kubelet renews are taken up by a
// running Envoy.
func TestRenewal(t *testing.T) {
	for _, version := range envoybin.Versions {
		t.Run("B-30 gateway-98 token and CA are renewed under Envoy "+version, func(t *testing.T) {
			t.Parallel()
			first, second := newIssuer(t), newIssuer(t)
			c := newController(t, first)
			token := newVolume(t, map[string]string{"token": "one"})
			o := envoy.BootstrapOptions{
				NodeID: "envoy-proxy-ee37a5ff072b", Gateway: "default/httpbin-gateway", Memory: 1 << 30, Controller: "localhost", Port: c.port,
				Token: filepath.Join(token.path, "token"), Admin: filepath.Join(t.TempDir(), "admin.sock"),
			}
			config := newVolume(t, map[string]string{"envoy.yaml": "", "xds-token.yaml": "", "xds-ca.yaml": "", "ca.crt": ""})
			o.CA = filepath.Join(config.path, "ca.crt")
			files := envoy.Files(o)
			files["ca.crt"] = first.pem
			config.renew(files)
			start(t, version, filepath.Join(config.path, "envoy.yaml"), false)

			s := c.next(t)
			if got, want := s.token, "Bearer one"; got != want {
				t.Fatalf("authorization %q, want %q", got, want)
			}
			if s.node != "envoy-proxy-ee37a5ff072b in default/httpbin-gateway" {
				t.Errorf("node %q", s.node)
			}
			token.renew(map[string]string{"token": "two"})
			for s.token == "Bearer one" { // until Envoy has heard of the renewal
				s.cut()
				s = c.next(t)
			}
			if got, want := s.token, "Bearer two"; got != want {
				t.Fatalf("authorization %q after the renewal, want %q", got, want)
			}
			// A controller that started anew without its key has another CA: it is
			// refused until the ConfigMap has that CA.
			c.authority.Store(second)
			c.disconnect()
			c.refusal(t)
			files["ca.crt"] = second.pem
			config.renew(files)
			if got, want := c.next(t).token, "Bearer two"; got != want {
				t.Fatalf("authorization %q under the new CA, want %q", got, want)
			}
		})
	}
}

// TestBootstrap: what the files say when nothing but the Gateway is said.
func TestBootstrap(t *testing.T) {
	t.Run("gateway-43 B-30 node, cluster, controller and administration", func(t *testing.T) {
		text := envoy.Files(envoy.BootstrapOptions{NodeID: "envoy-proxy-ee37a5ff072b", Gateway: "default/httpbin-gateway"})["envoy.yaml"]
		asJSON, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var got bootstrapv3.Bootstrap
		if err := protojson.Unmarshal(asJSON, &got); err != nil {
			t.Fatal(err)
		}
		f := func(what string, got, want any) {
			t.Helper()
			if got != want {
				t.Errorf("%s is %v, want %v", what, got, want)
			}
		}
		ads := got.DynamicResources.AdsConfig
		f("node id", got.Node.Id, "envoy-proxy-ee37a5ff072b")
		f("node cluster", got.Node.Cluster, "default/httpbin-gateway")
		f("protocol", ads.ApiType, corev3.ApiConfigSource_DELTA_GRPC)
		f("server", ads.GrpcServices[0].GetEnvoyGrpc().ClusterName, envoy.ClusterXDS)
		f("administration", got.Admin.Address.GetPipe().GetPath(), envoy.AdminPath)
		xds := got.StaticResources.Clusters[0]
		f("cluster", xds.Name, envoy.ClusterXDS)
		f("encryption", xds.TransportSocket.GetName(), "envoy.transport_sockets.tls")
		address := xds.LoadAssignment.Endpoints[0].LbEndpoints[0].GetEndpoint().Address.GetSocketAddress()
		f("controller", address.Address, "ai-gateway-controller.ai-gateway-system.svc.cluster.local")
		f("port", address.GetPortValue(), uint32(15001))
		f("listeners of its own", len(got.StaticResources.Listeners), 0)
	})
}

// patience bounds every wait for an Envoy.
const patience = 60 * time.Second

// controller is an xDS server that says nothing and notes who asks.
type controller struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	port      uint32
	authority atomic.Pointer[issuer]
	streams   chan stream
	refusals  chan error
	conns     chan net.Conn
}

type stream struct {
	token, node string
	cut         context.CancelFunc
}

func newController(t *testing.T, a *issuer) *controller {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &controller{
		port:    uint32(l.Addr().(*net.TCPAddr).Port),
		streams: make(chan stream), refusals: make(chan error, 100), conns: make(chan net.Conn, 100),
	}
	c.authority.Store(a)
	inner := credentials.NewTLS(&tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.authority.Load().server, nil }})
	server := grpc.NewServer(grpc.Creds(noting{inner, c}))
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(server, c)
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(l)
	}()
	t.Cleanup(func() {
		server.Stop()
		<-done
	})
	return c
}

// noting tells the controller of connections and of clients that refuse it.
type noting struct {
	credentials.TransportCredentials
	c *controller
}

func (n noting) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := n.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		select {
		case n.c.refusals <- err:
		default:
		}
		return nil, nil, err
	}
	n.c.conns <- raw
	return conn, info, nil
}

func (c *controller) DeltaAggregatedResources(s grpc.BidiStreamingServer[discoveryv3.DeltaDiscoveryRequest, discoveryv3.DeltaDiscoveryResponse]) error {
	md, _ := metadata.FromIncomingContext(s.Context())
	req, err := s.Recv()
	if err != nil {
		return err
	}
	out := stream{node: req.Node.GetId() + " in " + req.Node.GetCluster()}
	if v := md.Get("authorization"); len(v) == 1 {
		out.token = v[0]
	}
	ctx, cancel := context.WithCancel(s.Context())
	out.cut = cancel
	select {
	case c.streams <- out:
		<-ctx.Done()
	case <-ctx.Done():
	}
	return status.Error(codes.Unavailable, "cut")
}

// next waits for a stream.
func (c *controller) next(t *testing.T) stream {
	t.Helper()
	select {
	case s := <-c.streams:
		return s
	case <-time.After(patience):
		t.Fatal("no stream came")
	}
	return stream{}
}

// disconnect closes every connection.
func (c *controller) disconnect() {
	for {
		select {
		case conn := <-c.conns:
			conn.Close()
		default:
			return
		}
	}
}

// refusal waits until a client has refused the certificate.
func (c *controller) refusal(t *testing.T) {
	t.Helper()
	select {
	case <-c.refusals:
	case s := <-c.streams:
		t.Fatalf("a controller of another CA was believed, with token %q", s.token)
	case <-time.After(patience):
		t.Fatal("nobody came")
	}
}

// issuer is a CA with one server certificate, for localhost.
type issuer struct {
	pem    string
	server *tls.Certificate
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, crt := newCertificate(t, nil, nil, &x509.Certificate{
		Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	leafKey, leaf := newCertificate(t, key, crt, &x509.Certificate{
		Subject: pkix.Name{CommonName: "server"}, DNSNames: []string{"localhost"}, KeyUsage: x509.KeyUsageDigitalSignature,
	})
	return &issuer{
		pem:    string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: crt.Raw})),
		server: &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: leafKey},
	}
}

// newCertificate signs a template, with its own key when there is no parent.
func newCertificate(t *testing.T, parentKey *ecdsa.PrivateKey, parent, template *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, _ = rand.Int(rand.Reader, big.NewInt(1<<62))
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if parent == nil {
		parentKey, parent = key, template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	crt, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, crt
}

func write(t *testing.T, path string, text []byte) string {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
