//go:build cluster

package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/xds"
	"github.com/egret-gateway/egret/xds/xdstest"
)

// nodeHash is the part of a node id that tells Gateways apart.
func nodeHash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:6])
}

func (p *plane) node(namespace, name string) string {
	return p.word + "-proxy-" + nodeHash(namespace+"/"+name)
}

// bearer shows a token on every call; "" shows none.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	if b == "" {
		return nil, nil
	}
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}
func (bearer) RequireTransportSecurity() bool { return true }

// connect opens a connection to the plane's controller, which shows a
// certificate of the CA that pods of Gateway shared are given.
func (w *world) connect(t *testing.T, p *plane, token string) *grpc.ClientConn {
	t.Helper()
	ca, _ := w.Object(t, "configmaps", p.ns, p.service(p.ns, "shared")).Object["data"].(map[string]any)["ca.crt"].(string)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(ca)) {
		t.Fatalf("no CA in %q", ca)
	}
	host := p.deployment + "." + p.system + ".svc.cluster.local"
	conn, err := grpc.NewClient("passthrough:///"+host+":15001", grpc.WithContextDialer(w.Dial(t, p.system, p.deployment, 15001)),
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: host})), grpc.WithPerRPCCredentials(bearer(token)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// identity is about who gets which Gateway's configuration.
func (w *world) identity(t *testing.T, p *plane) {
	shared := p.service(p.ns, "shared")
	own := w.Token(t, p.ns, shared, feed.Audience)
	// code is what comes of asking for a node. Only the replica that leads
	// listens, and the Service may lead to another at first.
	code := func(t *testing.T, conn *grpc.ClientConn, node string) (code codes.Code) {
		t.Helper()
		w.Eventually(t, soon, "an answer of the replica that leads", func() error {
			ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
			defer stop()
			peer := &xdstest.Peer{Node: node, Agent: "test", Delta: true}
			err := peer.Open(ctx, conn)
			if err == nil {
				if err = peer.Subscribe(feed.TypeHead); err == nil {
					_, err = peer.Recv()
				}
			}
			if code = status.Code(err); code == codes.Unavailable || code == codes.DeadlineExceeded {
				return err
			}
			return nil
		})
		return code
	}
	f := func(name, token, node string, want codes.Code) {
		t.Run(name, func(t *testing.T) {
			if got := code(t, w.connect(t, p, token), node); got != want {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
	node := p.node(p.ns, "shared")
	f("gateway-101 a pod's own token gets its own Gateway", own, node, codes.OK)
	f("gateway-101 B-30 a pod's token is refused another Gateway of its namespace", own, p.node(p.ns, "spare"), codes.PermissionDenied)
	other := map[string]string{"native": "default/poc-gateway", "envoy": "openshift-ingress/maas-default-gateway"}[p.name]
	f("gateway-101 B-30 and one of another controller", own, p.word+"-proxy-"+nodeHash(other), codes.PermissionDenied)
	f("gateway-101 B-30 no token", "", node, codes.Unauthenticated)
	f("gateway-101 B-30 a token for the API server", w.Token(t, p.ns, shared), node, codes.Unauthenticated)
	f("gateway-101 B-30 the token of another ServiceAccount", w.Token(t, p.ns, "default", feed.Audience), node, codes.PermissionDenied)
	t.Run("gateway-101 B-30 no TLS", func(t *testing.T) {
		w.Eventually(t, soon, "the replica that leads hangs up", func() error {
			conn, err := w.Dial(t, p.system, p.deployment, 15001)(t.Context(), "")
			if err != nil {
				return err
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(swift(t))); err != nil {
				return err
			}
			if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); err != nil {
				return err
			}
			b, err := io.ReadAll(conn)
			var late net.Error
			if errors.As(err, &late) && late.Timeout() || bytes.Contains(b, []byte("grpc")) {
				t.Errorf("it answers %q, %v", b, err)
			}
			return nil
		})
	})
	t.Run("gateway-92 a pod's head, plan and denials hold no private key", func(t *testing.T) {
		peer := &xdstest.Peer{Node: node, Agent: "test", Delta: true}
		for _, r := range w.fetch(t, peer, w.connect(t, p, own), feed.TypeHead) {
			if bytes.Contains(r.Value, []byte("PRIVATE KEY")) {
				t.Errorf("resource %s does", r.Name)
			}
		}
	})
}

// fetch takes the first resources of a type.
func (w *world) fetch(t *testing.T, peer *xdstest.Peer, conn *grpc.ClientConn, typ string) (out map[string]xds.Resource) {
	t.Helper()
	w.Eventually(t, soon, "resources of type "+typ, func() error {
		ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
		defer stop()
		if err := peer.Open(ctx, conn); err != nil {
			return err
		}
		if err := peer.Subscribe(typ); err != nil {
			return err
		}
		r, err := peer.Recv()
		if err != nil {
			return err
		}
		if err := peer.Ack(r); err != nil {
			return err
		}
		if out = peer.Have(typ); len(out) == 0 {
			return fmt.Errorf("none")
		}
		return nil
	})
	return out
}

// refusals is about what planes refuse, and what people are told.
func (w *world) refusals(t *testing.T, p *plane) {
	t.Run("gateway-118 B-33 a refusal is an Event on the object, and one object has it once", func(t *testing.T) { w.told(t, p) })
	if p.name == "envoy" {
		t.Run("gateway-61 what Envoy refuses is said with its words, and what was before serves on", func(t *testing.T) { w.weak(t, p) })
		return
	}
	t.Run("gateway-61 a plan that the plane refuses is said with its words, and taken when it is mended", func(t *testing.T) { w.played(t, p) })
}

func (w *world) told(t *testing.T, p *plane) {
	l := w.place(t, p)
	l.route(t, "refused", "- backendRefs: [{group: ainetworking.prototype.x-k8s.io, kind: Backend, name: far, namespace: elsewhere, port: 80}]")
	l.put(t, fqdn("refused", "not a host", 80))
	l.route(t, "invalid", backend("refused", 80))
	f := func(kind, name string, want ...string) {
		t.Helper()
		w.Eventually(t, soon, "an Event on "+kind+" "+name, func() error {
			out := w.Kubectl(t, "describe", kind, name, "-n", l.ns)
			_, events, _ := strings.Cut(out, "\nEvents:")
			for _, part := range append(want, "Warning", p.controller) {
				if !strings.Contains(events, part) {
					return fmt.Errorf("no %q in\n%s", part, events)
				}
			}
			if n := strings.Count(events, want[0]); n != 1 {
				return fmt.Errorf("%d times %s in\n%s", n, want[0], events)
			}
			return nil
		})
	}
	f("httproute", "refused", "RefNotPermitted", "elsewhere")
	f("xbackenddestination", "refused", "Invalid", "not a host")
}

// weak gives an HTTPS listener a key that Go takes and Envoy does not: RSA of
// 1024 bits.
func (w *world) weak(t *testing.T, p *plane) {
	ns := w.Namespace(t)
	nacks := w.nacks(t, p)
	w.Put(t, ns, small+certificate(t, "key", "weak.test"))
	w.Put(t, ns, "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: weak}\nspec:\n  gatewayClassName: "+p.class+
		"\n  infrastructure: {parametersRef: {group: '', kind: ConfigMap, name: small}}\n  listeners: [{name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: key}]}}]")
	w.gatewayHas(t, late, ns, "weak", "Programmed=True Programmed")
	serves := func() error {
		tr := w.Transport()
		tr.TLSClientConfig = &tls.Config{ServerName: "weak.test", InsecureSkipVerify: true}
		defer tr.CloseIdleConnections()
		a, err := ask(&http.Client{Transport: tr, Timeout: soon}, "https://"+w.address(t, ns, "weak"), "weak.test")
		return a.Want(404, err)
	}
	w.Eventually(t, soon, "it serves", serves)
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	w.Put(t, ns, keyPair(t, "key", "weak.test", key, &key.PublicKey))
	w.gatewayHas(t, soon, ns, "weak", "Accepted=True Accepted", "Programmed=False Invalid|2048")
	if err := serves(); err != nil {
		t.Errorf("the configuration before does not serve: %v", err)
	}
	if now := w.nacks(t, p); now <= nacks {
		t.Errorf("egret_xds_nacks_total was %d and is %d", nacks, now)
	}
	w.Put(t, ns, certificate(t, "key", "weak.test"))
	w.gatewayHas(t, soon, ns, "weak", "Programmed=True Programmed")
}

// nacks is what the controller that leads counts.
func (w *world) nacks(t *testing.T, p *plane) (sum int) {
	for _, pod := range w.podsOf(t, p.system, "app.kubernetes.io/name", p.deployment) {
		for name, value := range w.metrics(t, p.system, pod, 8081) {
			if strings.HasPrefix(name, "egret_xds_nacks_total") {
				n, _ := strconv.Atoi(value)
				sum += n
			}
		}
	}
	return sum
}

// played has the test be the only plane of a Gateway whose own pods find no
// node, with its ServiceAccount's token: it takes one plan and refuses the
// next.
func (w *world) played(t *testing.T, p *plane) {
	ns := w.Namespace(t)
	nacks := w.nacks(t, p)
	gateway := "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: played}\nspec:\n  gatewayClassName: " + p.class +
		"\n  infrastructure: {parametersRef: {group: '', kind: ConfigMap, name: ghost}}\n  listeners:\n  - {name: http, port: 80, protocol: HTTP}\n"
	w.Put(t, ns, ghost+gateway)
	name := p.service(ns, "played")
	w.Eventually(t, soon, "its ServiceAccount", func() error { return w.there(ns, name, true, "serviceaccounts", "services") })
	var refuse atomic.Bool
	peer := &xdstest.Peer{Node: p.node(ns, "played"), Agent: "test", Delta: true, Refuse: func(xdstest.Response) string {
		if refuse.Load() {
			return "this plane does not like it"
		}
		return ""
	}}
	conn := w.connect(t, p, w.Token(t, ns, name, feed.Audience))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	w.Eventually(t, soon, "a stream", func() error { return peer.Open(ctx, conn) })
	for _, typ := range feed.Types {
		if err := peer.Subscribe(typ); err != nil {
			t.Fatal(err)
		}
	}
	go peer.Run()
	w.gatewayHas(t, soon, ns, "played", "Programmed=True Programmed")
	had := peer.Have(feed.TypeHead)
	refuse.Store(true)
	w.Put(t, ns, gateway+"  - {name: more, port: 81, protocol: HTTP}\n")
	w.gatewayHas(t, soon, ns, "played", "Accepted=True Accepted", "Programmed=False Invalid|this plane does not like it")
	if now := peer.Have(feed.TypeHead); len(had) == 0 || len(now) != len(had) {
		t.Errorf("the plane has %v, had %v", now, had)
	}
	if now := w.nacks(t, p); now <= nacks {
		t.Errorf("egret_xds_nacks_total was %d and is %d", nacks, now)
	}
	refuse.Store(false)
	w.Put(t, ns, gateway+"  - {name: more, port: 82, protocol: HTTP}\n")
	w.gatewayHas(t, soon, ns, "played", "Programmed=True Programmed")
}
