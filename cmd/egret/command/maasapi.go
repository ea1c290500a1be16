package command

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/egret-gateway/egret/maas"
	"github.com/egret-gateway/egret/maas/kube"
)

// maasCmd runs the MaaS API on a cluster. Its flags are the reference's, so
// that they do not pass through the parser of egret's.
type maasCmd struct {
	Args []string `arg:"" optional:"" passthrough:"" help:"Flags of the API; --help lists them."`
}

// maasHelp opens the help.
const maasHelp = `Usage: egret maas [flags]

The MaaS API on a Kubernetes cluster: tokens, API keys, tiers and models. Every
flag has an environment variable that manifests of MaaS use, such as NAMESPACE,
GATEWAY_NAME or STORAGE_MODE; flags win. The cluster is the one that
--kubeconfig or KUBECONFIG leads to, else the one around the pod.

Example:
  egret maas --kubeconfig ~/.kube/config --namespace opendatahub --storage disk --data-path ./keys.db

`

// Run serves until a signal. What keeps the API from serving is one line that
// begins with "error: ", as scripts around the reference expect.
func (c *maasCmd) Run(w *world) error {
	if err := c.serve(w); err != nil {
		fmt.Fprintf(w.stderr, "error: %v\n", err)
		return errSilent
	}
	return nil
}

func (c *maasCmd) serve(w *world) error {
	if slices.ContainsFunc(c.Args, func(a string) bool { return a == "-h" || a == "-help" || a == "--help" }) {
		fmt.Fprint(w.stdout, maasHelp)
	}
	config, err := maas.ParseConfig(c.Args, os.Getenv, w.stdout, maas.NewLog(w.stdout, false))
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	}
	cluster, err := connect(config.Kubeconfig)
	if err != nil {
		return err
	}
	log := maas.NewLog(w.stdout, config.Debug)
	return kube.Run(w.ctx, kube.Options{Config: config, REST: cluster, Log: log, Audit: log.With("log", "audit"), Notice: 5 * time.Second})
}

// connect leads to the API server of a kubeconfig, or of several with the
// system's list separator between; without one to that of the cluster around
// the pod.
func connect(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		config, err := rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			return nil, errors.New("no cluster: this process is in no pod; name one with --kubeconfig FILE or KUBECONFIG")
		}
		return config, err
	}
	// Not client-go's deferred loading: it takes the cluster around the pod
	// where the files hold nothing, or are not there.
	files, err := (&clientcmd.ClientConfigLoadingRules{Precedence: filepath.SplitList(kubeconfig)}).Load()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", kubeconfig, err)
	}
	config, err := clientcmd.NewDefaultClientConfig(*files, &clientcmd.ConfigOverrides{}).ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, fmt.Errorf("kubeconfig %s: there is no such file, or it names no cluster", kubeconfig)
	}
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", kubeconfig, err)
	}
	return config, nil
}
