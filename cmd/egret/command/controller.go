package command

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"github.com/egret-gateway/egret/controller"
	"github.com/egret-gateway/egret/source"
)

// controllerCmd runs the controller. The flags of the reference are there, so
// that its manifests work unchanged.
type controllerCmd struct {
	ControllerName string   `default:"sigs.k8s.io/wg-ai-gateway-envoy-controller" help:"Serve GatewayClasses of this controllerName."`
	Plane          string   `enum:",envoy,native" default:"" help:"Data plane of Gateways that do not say: envoy or native. Default: envoy for the reference's controllerName, native for egret's."`
	EnvoyImage     string   `help:"Image of Envoy. Needed where a Gateway may be on the Envoy plane."`
	Image          string   `help:"Image of Egret in the pods of Gateways. Default: the controller's own, as its Deployment says."`
	XDSAddress     string   `name:"xds-address" help:"HOST:PORT by which those pods reach the controller. Default: the Service that is called like the controller's Deployment, port 15001."`
	XDSListen      string   `name:"xds-listen" default:":15001" help:"Address for xDS."`
	HealthAddress  string   `default:":8081" help:"Address of /healthz, /readyz and /metrics."`
	MaasNamespace  string   `default:"opendatahub" help:"Namespace of the MaaS API and its deny-list."`
	SettingsSecret string   `default:"egret-settings" help:"Secret in the controller's namespace that says where pods of Gateways count limits (key counters) and keep usage (key ledger)."`
	PullSecrets    []string `help:"Secrets by which those pods pull their images, separated by commas; each Gateway's namespace has its own of these names."`
	Namespace      string   `help:"The controller's own namespace. Default: that of its pod, else ai-gateway-system."`
	Kubeconfig     string   `env:"KUBECONFIG" help:"Kubeconfig file. Default: the cluster around the pod."`
	APIServerURL   string   `name:"apiserver-url" help:"Overrides the API server of the kubeconfig."`
	ResyncPeriod   string   `hidden:"" help:"Taken for compatibility; watches need no resync."`
	V              int      `short:"v" name:"v" default:"0" help:"4 and above logs details."`
	LogToStderr    bool     `name:"logtostderr" hidden:"" default:"true" help:"Taken for compatibility."`
}

// Help is the long help of the command.
func (*controllerCmd) Help() string {
	return `Compiles Gateway API resources, runs a fleet of data planes per Gateway, feeds them and writes status. It carries no request.

Example:
  egret controller --envoy-image=docker.io/envoyproxy/envoy:v1.37-latest`
}

// Defaults of the published manifests.
const (
	defaultNamespace  = "ai-gateway-system"
	defaultDeployment = "ai-gateway-controller"
)

// Run serves until a signal.
func (c *controllerCmd) Run(w *world) error {
	log := logger(w.stderr, c.V >= 4)
	if c.EnvoyImage == "" && (c.Plane == source.PlaneEnvoy || c.Plane == "" && c.ControllerName == source.ControllerWG) {
		return errors.New("--envoy-image is needed, since Gateways of this controller run Envoy; for example --envoy-image=docker.io/envoyproxy/envoy:v1.37-latest")
	}
	if c.ControllerName != source.ControllerWG && c.ControllerName != source.ControllerEgret {
		return fmt.Errorf("--controller-name %s is unknown; use %s or %s", c.ControllerName, source.ControllerWG, source.ControllerEgret)
	}
	config, err := connect(c.Kubeconfig)
	if err != nil {
		return err
	}
	if c.APIServerURL != "" {
		if _, err := url.Parse(c.APIServerURL); err != nil {
			return fmt.Errorf("--apiserver-url: %w", err)
		}
		config.Host = c.APIServerURL
	}
	respectMemory("/sys/fs/cgroup")
	klog.SetSlogLogger(log) // what client-go has to say, about leases for one
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	namespace := cmp.Or(c.Namespace, controller.Namespace(), defaultNamespace)
	self, err := controller.FindSelf(w.ctx, client, namespace, c.Image)
	if err != nil {
		return err
	}
	address := c.XDSAddress
	if address == "" {
		address = cmp.Or(self.Deployment, defaultDeployment) + "." + namespace + ".svc.cluster.local:15001"
	}
	k, err := controller.New(w.ctx, controller.Options{
		Config: config, Name: c.ControllerName, Self: self, Plane: c.Plane, EnvoyImage: c.EnvoyImage,
		XDSAddress: address, XDSListen: c.XDSListen, HealthListen: c.HealthAddress, MaaSNamespace: c.MaasNamespace,
		Settings: c.SettingsSecret, PullSecrets: c.PullSecrets,
		AssignsUser: assignsUser(client.Discovery()), SystemCAs: systemCAs(), Log: log, Version: version,
	})
	if err != nil {
		return err
	}
	return k.Run(w.ctx)
}

// assignsUser reports whether the cluster chooses the users of pods, as
// OpenShift's security context constraints do.
func assignsUser(d discovery.DiscoveryInterface) bool {
	_, err := d.ServerResourcesForGroupVersion("security.openshift.io/v1")
	return err == nil
}

// systemCAs are the certificate authorities of the system's, or the image's,
// bundle; nil when there is none.
func systemCAs() []byte {
	for _, file := range []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"} {
		if pem, err := os.ReadFile(file); err == nil {
			return pem
		}
	}
	return nil
}
