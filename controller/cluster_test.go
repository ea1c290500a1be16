//go:build cluster

package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/feed/token"
	"github.com/egret-gateway/egret/lab/apiserver"
	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/xds/xdstest"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "controller")
	if err == nil {
		server, err = apiserver.Start(dir)
	}
	if err == nil {
		err = server.Install(context.Background(), apiserver.Resources()...)
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	if server != nil {
		server.Stop()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

const (
	limit    = 10 * time.Second // of whatever a test waits for
	gateways = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/gateways"
	routes   = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes"
)

func do(t *testing.T, method, path, body string) []byte {
	t.Helper()
	out, err := server.Do(context.Background(), method, path, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick, timeout := time.NewTicker(20*time.Millisecond), time.After(limit)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatal("not " + what)
		}
	}
}

func programmed(t *testing.T, name string) metav1.Condition {
	t.Helper()
	var g gwv1.Gateway
	if err := json.Unmarshal(do(t, "GET", gateways+"/"+name, ""), &g); err != nil {
		t.Fatal(err)
	}
	for _, c := range g.Status.Conditions {
		if c.Type == "Programmed" && c.ObservedGeneration == g.Generation {
			return c
		}
	}
	return metav1.Condition{}
}

// run runs a controller on the address until stop or the end of the test.
// writes counts its requests that change something, but for its Lease.
func run(t *testing.T, address string, writes *atomic.Int64) (c *Controller, stop func()) {
	t.Helper()
	config := server.Config()
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return tripper(func(r *http.Request) (*http.Response, error) {
			if r.Method != http.MethodGet && !strings.Contains(r.URL.Path, "/leases") {
				writes.Add(1)
			}
			return next.RoundTrip(r)
		})
	})
	ctx, cancel := context.WithCancel(context.Background())
	c, err := New(ctx, Options{
		Config: config, Name: source.ControllerEgret, Self: Self{Namespace: "egret-system", Pod: "controller-0", Image: "egret:test"},
		XDSAddress: address, XDSListen: address, HealthListen: "127.0.0.1:0", MaaSNamespace: "maas-api", Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return c, stop
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// sign makes what a pod of the Gateway signs in with.
func sign(t *testing.T, c *Controller, account string) []grpc.DialOption {
	t.Helper()
	path := "/api/v1/namespaces/shop/serviceaccounts/" + account
	await(t, "a ServiceAccount "+account, func() bool {
		_, err := server.Do(context.Background(), "GET", path, nil)
		return err == nil
	})
	var review struct{ Status struct{ Token string } }
	raw := do(t, "POST", path+"/token", `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"audiences":["`+feed.Audience+`"]}}`)
	if err := json.Unmarshal(raw, &review); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, b := range map[string][]byte{"token": []byte(review.Status.Token), "ca": c.ca.CA()} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []grpc.DialOption{
		grpc.WithTransportCredentials(token.TLS(filepath.Join(dir, "ca"))),
		grpc.WithPerRPCCredentials(token.File(filepath.Join(dir, "token"))),
	}
}

// join connects a peer that plays a pod of the Gateway. The channel gets what
// its stream ends with.
func join(t *testing.T, p *xdstest.Peer, address string, options []grpc.DialOption) <-chan error {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := p.Open(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	if p.Have(feed.TypeHead) == nil {
		for _, typ := range feed.Types {
			if err := p.Subscribe(typ); err != nil {
				ended <- err
				return ended
			}
		}
	}
	go func() { ended <- p.Run() }()
	return ended
}

const objects = `{apiVersion: gateway.networking.k8s.io/v1, kind: %s, metadata: {name: %s}, spec: {%s}}`

func gatewayOf(name, class string) string {
	return fmt.Sprintf(objects, "Gateway", name, "gatewayClassName: "+class+", listeners: [{name: web, port: 80, protocol: HTTP}], "+
		"infrastructure: {parametersRef: {group: '', kind: ConfigMap, name: parameters}}")
}

func routeOf(name, parent string) string {
	return fmt.Sprintf(objects, "HTTPRoute", name, "parentRefs: [{name: "+parent+"}], rules: [{matches: [{path: {value: /"+name+"}}], "+
		"filters: [{type: RequestRedirect, requestRedirect: {hostname: example.com, statusCode: 302}}]}]")
}

func TestController(t *testing.T) {
	for _, ns := range []string{"shop", "egret-system", "maas-api"} {
		do(t, "POST", "/api/v1/namespaces", "{apiVersion: v1, kind: Namespace, metadata: {name: "+ns+"}}")
	}
	const classes = "/apis/gateway.networking.k8s.io/v1/gatewayclasses"
	do(t, "POST", classes, fmt.Sprintf(objects, "GatewayClass", "second", "controllerName: "+source.ControllerEgret))
	do(t, "POST", classes, fmt.Sprintf(objects, "GatewayClass", "theirs", "controllerName: example.com/theirs"))
	const parameters = "/api/v1/namespaces/shop/configmaps"
	do(t, "POST", parameters, `{apiVersion: v1, kind: ConfigMap, metadata: {name: parameters}, data: {fleet.yaml: "service: {type: ClusterIP}"}}`)
	do(t, "POST", gateways, gatewayOf("one", "second"))
	do(t, "POST", gateways, gatewayOf("two", "egret"))
	foreign := string(do(t, "POST", gateways, gatewayOf("foreign", "theirs")))
	do(t, "POST", routes, routeOf("a", "one"))
	do(t, "POST", routes, routeOf("f", "foreign"))

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	var writes atomic.Int64
	c, stop := run(t, address, &writes)
	class := source.Class{Name: "second", Controller: source.ControllerEgret}
	account, node := source.ResourceName(class, "shop", "one"), source.NodeID(class, "shop", "one")
	as := sign(t, c, account)
	listening := func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}
	await(t, "listening", listening)
	is := func(status, reason string) func() bool {
		return func() bool {
			p := programmed(t, "one")
			return string(p.Status) == status && p.Reason == reason
		}
	}
	t.Run("gateway-51 without a pod nothing is programmed", func(t *testing.T) { await(t, "pending", is("False", "Pending")) })

	var refuse atomic.Bool
	peer := &xdstest.Peer{Node: node, Delta: true, Refuse: func(r xdstest.Response) string {
		if refuse.Load() && r.Type == feed.TypeHead {
			return "out of cheese"
		}
		return ""
	}}
	ended := join(t, peer, address, as)
	t.Run("gateway-30 gateway-51 B-25 a Gateway of a second class is programmed once its pod has acknowledged", func(t *testing.T) {
		await(t, "programmed", is("True", "Programmed"))
	})
	t.Run("gateway-101 B-30 the token of another Gateway's pod is refused", func(t *testing.T) {
		stranger := &xdstest.Peer{Node: node, Delta: true}
		select {
		case err := <-join(t, stranger, address, sign(t, c, source.ResourceName(class, "shop", "two"))):
			if len(stranger.Have(feed.TypeHead)) > 0 {
				t.Errorf("it was fed before its stream ended: %v", err)
			}
		case <-time.After(limit):
			t.Fatal("its stream stays open")
		}
	})
	t.Run("gateway-61 what a pod refuses is told, and counted", func(t *testing.T) {
		refuse.Store(true)
		do(t, "POST", routes, routeOf("b", "one"))
		await(t, "invalid", is("False", "Invalid"))
		if m := programmed(t, "one").Message; !strings.Contains(m, "out of cheese") {
			t.Errorf("message is %q", m)
		}
		if n := c.xds.Counts()[feed.TypeHead].Nacks; n != 1 {
			t.Errorf("%d refusals are counted", n)
		}
		refuse.Store(false)
		do(t, "DELETE", routes+"/b", "")
		await(t, "programmed again", is("True", "Programmed"))
	})
	t.Run("gateway-33 B-15 settled, nothing is written and nothing pushed", func(t *testing.T) {
		before, _ := peer.Received()
		from := writes.Load()
		for i := range 5 { // rounds that change nothing
			do(t, "PATCH", "/api/v1/namespaces/shop", fmt.Sprintf(`{"metadata":{"labels":{"round":"%d"}}}`, i))
		}
		<-time.After(1500 * time.Millisecond) // nothing is to happen, so there is nothing to wait for
		if after, _ := peer.Received(); after != before || writes.Load() != from {
			t.Errorf("%d pushes and %d writes", after-before, writes.Load()-from)
		}
	})
	t.Run("gateway-31 B-23 a foreign Gateway and its route are untouched", func(t *testing.T) {
		var was, now metav1.PartialObjectMetadata
		_ = json.Unmarshal([]byte(foreign), &was)
		_ = json.Unmarshal(do(t, "GET", gateways+"/foreign", ""), &now)
		if was.ResourceVersion != now.ResourceVersion || was.ResourceVersion == "" {
			t.Error("the Gateway was written")
		}
		var r gwv1.HTTPRoute
		_ = json.Unmarshal(do(t, "GET", routes+"/f", ""), &r)
		if len(r.Status.Parents) != 0 {
			t.Errorf("the route's status is %+v", r.Status)
		}
		if _, err := server.Do(t.Context(), "GET", "/apis/apps/v1/namespaces/shop/deployments/"+source.ResourceName(class, "shop", "foreign"), nil); err == nil {
			t.Error("it has a fleet")
		}
	})
	t.Run("gateway-100 B-29 after a restart only differences are sent, and a fleet whose parameters became unreadable stays", func(t *testing.T) {
		fleetUID := func() string {
			var d metav1.PartialObjectMetadata
			if err := json.Unmarshal(do(t, "GET", "/apis/apps/v1/namespaces/shop/deployments/"+account, ""), &d); err != nil {
				t.Fatal(err)
			}
			return string(d.UID)
		}
		uid := fleetUID()
		stop()
		<-ended
		do(t, "PATCH", parameters+"/parameters", `{"data":{"fleet.yaml":"replicas: many"}}`)
		c, _ = run(t, address, &writes)
		await(t, "leading", func() bool { return c.serving() == nil })
		await(t, "refused as invalid", func() bool { return programmed(t, "one").Status == "False" })
		before, _ := peer.Received()
		do(t, "PATCH", parameters+"/parameters", `{"data":{"fleet.yaml":"service: {type: ClusterIP}"}}`)
		await(t, "fed", func() bool { o := *c.owners.Load(); return o[node] != "" })
		await(t, "listening again", listening)
		join(t, peer, address, as)
		await(t, "programmed", is("True", "Programmed"))
		if after, _ := peer.Received(); after-before > len(feed.Types) {
			t.Errorf("%d responses to one who has everything", after-before)
		}
		if fleetUID() != uid {
			t.Error("the fleet was removed and made anew")
		}
	})
}
