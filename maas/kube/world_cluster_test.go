//go:build cluster

package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	authnv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/egret-gateway/egret/lab/apiserver"
	"github.com/egret-gateway/egret/maas"
	"github.com/egret-gateway/egret/manifests"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/ident"
	"github.com/egret-gateway/egret/policy/ident/kube"
	"github.com/egret-gateway/egret/source"
	objects "github.com/egret-gateway/egret/source/kube"
	"github.com/egret-gateway/egret/store"
)

const (
	home        = "opendatahub" // namespace of the API
	gatewayHome = "openshift-ingress"
	gatewayUser = "egret-openshift-ingress-maas-default-gateway"
	issuer      = "https://kubernetes.default.svc"
	limit       = 20 * time.Second // of whatever a test waits for
)

var (
	server *apiserver.Server
	admin  client.Client // may do everything
)

// TestMain starts an API server without any custom resource: the API must
// serve where neither routes nor models can be listed.
func TestMain(m *testing.M) {
	os.Exit(apiserver.Main(m, func(s *apiserver.Server) (err error) {
		server = s
		if admin, err = client.New(s.Config(), client.Options{}); err != nil {
			return err
		}
		for _, file := range []string{"namespaces", "maas-api", "tiers"} {
			if err := install("maas/base/" + file + ".yaml"); err != nil {
				return err
			}
		}
		return admin.Create(context.Background(), newServiceAccount(gatewayHome, gatewayUser))
	}))
}

// install creates the objects of a manifest that an API server knows by itself.
func install(file string) error {
	text, err := manifests.FS.Open(file)
	if err != nil {
		return err
	}
	docs := utilyaml.NewYAMLOrJSONDecoder(text, 4096)
	for {
		var o unstructured.Unstructured
		if err := docs.Decode(&o); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if group := o.GroupVersionKind().Group; strings.HasPrefix(group, "gateway.") || strings.HasPrefix(group, "kuadrant.") {
			continue
		}
		if err := admin.Create(context.Background(), &o); err != nil {
			return err
		}
	}
}

func newServiceAccount(namespace, name string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

// world is an API with the rights that its manifests give it, a controller that
// delivers the deny-list, and the gateway's part: who calls is found out by
// TokenReview.
type world struct {
	t       *testing.T
	config  maas.Config
	url     string
	reviews *kube.Client
	denials *kube.Denials
	proof   string
	log     *slog.Logger
	stop    func() // ends the API as SIGTERM does
}

// start runs the API under an instance name of its own.
func start(t *testing.T, instance string, change ...func(*maas.Config)) *world {
	t.Helper()
	w := &world{t: t, config: maas.DefaultConfig(), log: slog.New(slog.NewTextHandler(t.Output(), nil)), denials: kube.NewDenials(time.Now)}
	w.config.Instance, w.config.Namespace, w.config.Address = instance, home, "127.0.0.1:0"
	for _, c := range change {
		c(&w.config)
	}
	var err error
	w.reviews, err = kube.New(server.Config(), nil)
	w.must(err)
	w.proof = w.token(gatewayHome, gatewayUser, source.ProofAudience)
	w.serve()
	return w
}

// serve runs the API until the test ends, or stop.
func (w *world) serve() {
	w.t.Helper()
	ctx, end := context.WithCancel(w.t.Context())
	at, finished := make(chan net.Addr, 1), make(chan error, 1)
	go func() {
		finished <- Run(ctx, Options{
			Config: w.config, REST: podConfig(), Log: w.log, Audit: w.log, Listening: func(a net.Addr) { at <- a },
		})
	}()
	w.stop = sync.OnceFunc(func() {
		end()
		select {
		case err := <-finished:
			if err != nil {
				w.t.Error(err)
			}
		case <-time.After(limit):
			w.t.Error("the API does not end")
		}
	})
	select {
	case a := <-at:
		w.url = "http://" + a.String()
	case err := <-finished:
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.stop)
	w.eventually("the API is healthy", func() bool { return w.send("GET", "/health", "", nil).Status == 200 })
}

// podConfig is the API server as the API's pod has it.
func podConfig() *rest.Config { return server.As("system:serviceaccount:" + home + ":maas-api") }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// eventually asks again and again, since the API server tells when it likes.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for late := time.After(limit); !ok(); {
		select {
		case <-again.C:
		case <-late:
			w.t.Fatalf("it never came to be that %s", what)
		}
	}
}

// controller delivers the deny-list as a controller does, until the test ends.
func (w *world) controller(name string) {
	from, err := objects.New(objects.Options{
		Config: server.Config(), Log: w.log, Quiet: time.Millisecond,
		Kinds: []objects.Kind{{Name: "ConfigMap", Namespace: home, Labels: source.LabelDenials}},
	})
	w.must(err)
	done := make(chan struct{})
	ctx, end := context.WithCancel(w.t.Context())
	go func() {
		defer close(done)
		_ = from.Run(ctx, func(s source.Snapshot, _ source.Problems) { w.deliver(ctx, name, &s) })
	}()
	w.t.Cleanup(func() { end(); <-done })
	w.eventually("controller "+name+" is there", func() bool {
		m := w.denyList()
		_, version := source.Denials(m)
		return m.Annotations[source.DeliveredAnnotation(name)] == version
	})
}

func (w *world) deliver(ctx context.Context, name string, s *source.Snapshot) {
	var all []store.Denial
	for _, m := range s.ConfigMaps {
		list, _ := source.Denials(m)
		for _, d := range list {
			all = append(all, store.Denial(d))
		}
	}
	w.denials.Set(all, time.Now())
	for _, m := range s.ConfigMaps {
		_, version := source.Denials(m)
		patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, source.DeliveredAnnotation(name), version)
		object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name}}
		if err := admin.Patch(ctx, object, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil && ctx.Err() == nil {
			w.t.Errorf("deliver: %v", err)
		}
	}
}

func (w *world) denyList() *corev1.ConfigMap {
	var m corev1.ConfigMap
	err := admin.Get(w.t.Context(), client.ObjectKey{Namespace: home, Name: source.DenialsConfigMap}, &m)
	if err != nil && !apierrors.IsNotFound(err) {
		w.t.Fatal(err)
	}
	return &m
}

// token makes a token of any ServiceAccount, by the right of an admin.
func (w *world) token(namespace, name string, audience ...string) string {
	w.t.Helper()
	request := &authnv1.TokenRequest{Spec: authnv1.TokenRequestSpec{Audiences: audience}}
	w.must(admin.SubResource("token").Create(w.t.Context(), newServiceAccount(namespace, name), request))
	return request.Status.Token
}

type answer struct {
	Status int
	Body   string
}

// field returns a member of the body.
func (a answer) field(name string) any {
	var m map[string]any
	_ = json.Unmarshal([]byte(a.Body), &m)
	return m[name]
}

// send makes a request with exactly these headers.
func (w *world) send(method, path, body string, header map[string]string) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, bytes.NewBufferString(body))
	w.must(err)
	for k, v := range header {
		r.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(r)
	w.must(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	w.must(err)
	return answer{resp.StatusCode, string(text)}
}

// as calls the API as the gateway does for a username.
func (w *world) as(username string, groups []string, method, path, body string) answer {
	w.t.Helper()
	list, err := json.Marshal(groups)
	w.must(err)
	return w.send(method, path, body, map[string]string{
		maas.HeaderUsername: username, maas.HeaderGroup: string(list), plan.ProofHeader: w.proof, "Authorization": "Bearer x",
	})
}

// identify reviews a token as the AuthPolicy of the API's route says.
func (w *world) identify(token string) (ident.Review, bool) {
	w.t.Helper()
	review, err := w.reviews.Review(w.t.Context(), token, []string{issuer, w.config.Instance + "-sa"})
	w.must(err)
	return review, review.Authenticated && !w.denials.Revoked(&review)
}

// call calls the API through the gateway with a token.
func (w *world) call(token, method, path, body string) answer {
	w.t.Helper()
	review, ok := w.identify(token)
	if !ok {
		return answer{Status: http.StatusUnauthorized}
	}
	return w.as(review.User.Username, review.User.Groups, method, path, body)
}

// mint gets a token for a person of these groups.
func (w *world) mint(username string, groups ...string) string {
	w.t.Helper()
	a := w.as(username, append(groups, "system:authenticated"), "POST", "/v1/tokens", `{"expiration":"10m"}`)
	token, _ := a.field("token").(string)
	if a.Status != http.StatusCreated || token == "" {
		w.t.Fatalf("mint for %s: %+v", username, a)
	}
	return token
}

// account returns a ServiceAccount of a tier.
func (w *world) account(tier, name string) *corev1.ServiceAccount {
	w.t.Helper()
	var a corev1.ServiceAccount
	w.must(admin.Get(w.t.Context(), client.ObjectKey{Namespace: w.config.Instance + "-tier-" + tier, Name: name}, &a))
	return &a
}
