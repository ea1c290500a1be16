package cluster

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	"github.com/egret-gateway/egret/api/ainetworking/v0alpha0"
	kservev1alpha1 "github.com/egret-gateway/egret/api/kserve/v1alpha1"
	kuadrantv1 "github.com/egret-gateway/egret/api/kuadrant/v1"
	kuadrantv1alpha1 "github.com/egret-gateway/egret/api/kuadrant/v1alpha1"
)

// patience bounds one command or request that is not expected to wait, and
// building one that compiles.
const (
	patience = 2 * time.Minute
	building = 10 * time.Minute
)

// Cluster is a cluster that tests may use. Its methods may be called from
// several tests at once.
type Cluster struct {
	kubeconfig string
	own        bool   // the test cluster, on this machine
	script     string // cluster.sh
	programs   string // where the test cluster's programs are
	config     *rest.Config
	client     client.Client
}

// Open returns the cluster that KUBECONFIG names, else the running test
// cluster. Without either it fails the test and says what to run.
func Open(t testing.TB) *Cluster {
	t.Helper()
	c, err := open()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func open() (*Cluster, error) {
	root, err := checkout()
	if err != nil {
		return nil, err
	}
	c := &Cluster{script: filepath.Join(root, "lab", "cluster", "cluster.sh"), kubeconfig: os.Getenv("KUBECONFIG")}
	out, err := exec.Command(c.script, "kubeconfig").Output()
	if err != nil {
		return nil, err
	}
	test := strings.TrimSpace(string(out))
	if c.kubeconfig == "" || c.kubeconfig == test {
		c.kubeconfig, c.own = test, true
		if _, err := os.Stat(test); err != nil {
			return nil, errors.New("no cluster: run `make cluster-up` (Linux, root), or set KUBECONFIG to one of yours")
		}
		c.programs = filepath.Join(filepath.Dir(test), "..", "..", "bin")
	}
	if c.config, err = clientcmd.BuildConfigFromFlags("", c.kubeconfig); err != nil {
		return nil, err
	}
	c.config.QPS, c.config.Burst = 50, 100
	scheme, err := schemes()
	if err != nil {
		return nil, err
	}
	c.client, err = client.New(c.config, client.Options{Scheme: scheme})
	return c, err
}

// checkout finds the directory of go.mod from that of the test upwards.
func checkout() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod here or above: tests run in the checkout")
		}
	}
}

// schemes knows Kubernetes, Gateway API and the resources of Egret.
func schemes() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	own := func(s *runtime.Scheme) error {
		add := func(group, version string, kinds ...runtime.Object) {
			s.AddKnownTypes(schema.GroupVersion{Group: group, Version: version}, kinds...)
		}
		add("ainetworking.prototype.x-k8s.io", "v0alpha0", &v0alpha0.XBackendDestination{}, &v0alpha0.XBackendDestinationList{},
			&v0alpha0.Backend{}, &v0alpha0.BackendList{})
		add("kuadrant.io", "v1", &kuadrantv1.AuthPolicy{}, &kuadrantv1.AuthPolicyList{},
			&kuadrantv1.RateLimitPolicy{}, &kuadrantv1.RateLimitPolicyList{})
		add("kuadrant.io", "v1alpha1", &kuadrantv1alpha1.TokenRateLimitPolicy{}, &kuadrantv1alpha1.TokenRateLimitPolicyList{})
		add("serving.kserve.io", "v1alpha1", &kservev1alpha1.LLMInferenceService{}, &kservev1alpha1.LLMInferenceServiceList{})
		return nil
	}
	for _, install := range []func(*runtime.Scheme) error{clientscheme.AddToScheme, gwv1.Install, gwv1beta1.Install, own} {
		if err := install(s); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Client returns a client that knows the types of Kubernetes, Gateway API and
// Egret, and works uncached.
func (c *Cluster) Client() client.Client { return c.client }

// Config returns the connection of Client.
func (c *Cluster) Config() *rest.Config { return rest.CopyConfig(c.config) }

// Own reports whether this is the test cluster, whose processes a test may end.
func (c *Cluster) Own() bool { return c.own }

// manage runs cluster.sh, and fails the test when that fails.
func (c *Cluster) manage(t testing.TB, args ...string) string {
	t.Helper()
	if !c.own {
		t.Fatalf("%s: only in the test cluster; unset KUBECONFIG and run `make cluster-up`", args[0])
	}
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	return c.run(t, ctx, args...)
}

func (c *Cluster) run(t testing.TB, ctx context.Context, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(ctx, c.script, args...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cluster.sh %s: %v\n%s%s", strings.Join(args, " "), err, out, &said)
	}
	return string(out)
}

// Forget has the node pull images anew, whatever their pods' policy says: a tag
// of a build may have moved since.
func (c *Cluster) Forget(t testing.TB, images ...string) {
	t.Helper()
	c.manage(t, append([]string{"ctr", "images", "rm"}, images...)...)
}

// Earlier makes the images of an earlier commit, which have tag "previous",
// and returns the folder of its manifests, which name that tag.
func (c *Cluster) Earlier(t testing.TB, commit string) string {
	t.Helper()
	if !c.own {
		t.Fatal("images of an earlier commit: only in the test cluster; unset KUBECONFIG and run `make cluster-up`")
	}
	ctx, stop := context.WithTimeout(t.Context(), building)
	defer stop()
	return strings.TrimSpace(c.run(t, ctx, "images", "earlier", commit))
}
