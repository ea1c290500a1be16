package command

import (
	"time"

	"github.com/egret-gateway/egret/envoy"
	"github.com/egret-gateway/egret/pod"
	"github.com/egret-gateway/egret/source"
)

// planeFlags are set by the controller on the pods of a fleet.
type planeFlags struct {
	Gateway    string        `required:"" placeholder:"NS/NAME" help:"The Gateway."`
	Node       string        `required:"" help:"xDS node id of the Gateway."`
	XDSAddress string        `required:"" name:"xds-address" placeholder:"HOST:PORT" help:"The controller."`
	TokenFile  string        `default:"/var/run/secrets/egret/token" help:"ServiceAccount token that the controller is shown."`
	CAFile     string        `name:"ca-file" default:"/etc/envoy/ca.crt" help:"Certificate authority of the controller."`
	ProofFile  string        `default:"/var/run/secrets/egret/proof" help:"ServiceAccount token that the MaaS API is shown."`
	Drain      time.Duration `default:"180s" help:"How long a pod that ends waits for its streams."`
	Kubeconfig string        `help:"Kubeconfig file. Default: the cluster around the pod."`
	DrainWord  string        `env:"EGRET_DRAIN_WORD" help:"What who drains the pod has to say: /drain?word=…. Default: nothing."`
	Verbose    bool          `short:"v" help:"Log details."`
}

func (f *planeFlags) run(w *world, plane string) error {
	config, err := connect(f.Kubeconfig)
	if err != nil {
		return err
	}
	return pod.Run(w.ctx, pod.Options{
		Plane: plane, Gateway: f.Gateway, Node: f.Node, XDSAddress: f.XDSAddress, TokenFile: f.TokenFile, CAFile: f.CAFile, ProofFile: f.ProofFile,
		Socket: envoy.SocketPath, Admin: envoy.AdminPath, Drain: f.Drain, DrainWord: f.DrainWord, Config: config, Log: logger(w.stderr, f.Verbose), Version: version,
	})
}

func planeExample(command string) string {
	return `Started by the controller, with flags that it sets. Port 15021 answers /ready, /healthz, /metrics and /drain.

Example:
  egret ` + command + ` --gateway default/models --node egret-proxy-0123456789ab --xds-address egret-controller.egret-system.svc.cluster.local:15001`
}

// proxyCmd is the native plane.
type proxyCmd struct{ planeFlags }

// Help is the long help of the command.
func (*proxyCmd) Help() string { return planeExample("proxy") }

// Run serves until a signal.
func (c *proxyCmd) Run(w *world) error { return c.run(w, source.PlaneNative) }

// extprocCmd is the engine beside Envoy.
type extprocCmd struct{ planeFlags }

// Help is the long help of the command.
func (*extprocCmd) Help() string { return planeExample("extproc") }

// Run serves until a signal.
func (c *extprocCmd) Run(w *world) error { return c.run(w, source.PlaneEnvoy) }
