package fleet

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"path"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/egret-gateway/egret/source"
)

// envoy returns the container of Envoy. It has no access to the API server,
// and its health is told by extproc, which sees its admin socket.
func (f *Fleet) envoy() corev1.Container {
	r := f.resources(source.ContainerEnvoy)
	drain := strconv.FormatInt(f.drain(), 10)
	return corev1.Container{
		Name:  source.ContainerEnvoy,
		Image: cmp.Or(f.Parameters.Images.Envoy, f.EnvoyImage),
		Command: []string{
			"envoy", "-c", path.Join(dirConfig, fileBootstrap), "--log-level", "info",
			"--concurrency", strconv.FormatInt(cores(r), 10),
			"--disable-hot-restart",
			"--drain-time-s", drain, "--drain-strategy", "immediate",
		},
		Env:             downward(),
		Resources:       r,
		SecurityContext: security(),
		Lifecycle:       f.beforeStop(),
		VolumeMounts:    mounts(volumeConfig, volumeRun, volumeToken),
	}
}

// extproc returns the container of the engine beside Envoy.
func (f *Fleet) extproc() corev1.Container { return f.own(source.ContainerExtProc) }

// native returns the only container of the native plane.
func (f *Fleet) native() corev1.Container { return f.own(source.ContainerProxy) }

// own returns a container of Egret's image, which runs the command of the
// container's name.
func (f *Fleet) own(name string) corev1.Container {
	r := f.resources(name)
	return corev1.Container{
		Name:            name,
		Image:           f.image(),
		ImagePullPolicy: f.pull(),
		Command:         []string{"/egret", name},
		Args: []string{
			"--gateway=" + f.key(),
			"--node=" + source.NodeID(f.Class, f.Gateway.Namespace, f.Gateway.Name),
			"--xds-address=" + f.XDSAddress,
			"--token-file=" + path.Join(dirToken, fileToken),
			"--ca-file=" + path.Join(dirConfig, fileCA),
			"--proof-file=" + path.Join(dirToken, fileProof),
			"--drain=" + strconv.FormatInt(f.drain(), 10) + "s",
		},
		Env: append(append(downward(),
			corev1.EnvVar{Name: "GOMAXPROCS", Value: strconv.FormatInt(cores(r), 10)},
			// A tenth is left for what Go does not count.
			corev1.EnvVar{Name: "GOMEMLIMIT", Value: strconv.FormatInt(r.Limits.Memory().Value()/10*9, 10)},
			corev1.EnvVar{Name: source.DrainWord, Value: f.drainWord()},
		), f.env()...),
		Ports:           []corev1.ContainerPort{{Name: "health", ContainerPort: source.PodPort, Protocol: corev1.ProtocolTCP}},
		Resources:       r,
		SecurityContext: security(),
		StartupProbe:    probe("/healthz", 1, 120),
		LivenessProbe:   probe("/healthz", 10, 6), // a pod without CPU answers late; ending it would cost more of it
		ReadinessProbe:  probe("/ready", 5, 2),
		Lifecycle:       f.beforeStop(),
		VolumeMounts:    mounts(volumeConfig, volumeRun, volumeKeep, volumeToken, volumeKube),
	}
}

// downward tells a container which pod it is in.
func downward() []corev1.EnvVar {
	field := func(name, path string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path}}}
	}
	return []corev1.EnvVar{field("POD_NAME", "metadata.name"), field("POD_NAMESPACE", "metadata.namespace"), field("POD_IP", "status.podIP")}
}

func security() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: ptr(false),
		ReadOnlyRootFilesystem:   ptr(true),
		RunAsNonRoot:             ptr(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

func health(path string) *corev1.HTTPGetAction {
	return &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt32(source.PodPort), Scheme: corev1.URISchemeHTTP}
}

// probe asks every period seconds and gives up after so many failures.
func probe(path string, period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:     corev1.ProbeHandler{HTTPGet: health(path)},
		PeriodSeconds:    period,
		TimeoutSeconds:   2,
		SuccessThreshold: 1,
		FailureThreshold: failures,
	}
}

// beforeStop waits until the pod's streams have ended or the drain's time is
// over (acceptance gateway 50). Every container waits for the same answer, as
// none can go before the others.
func (f *Fleet) beforeStop() *corev1.Lifecycle {
	return &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{HTTPGet: health("/drain?word=" + f.drainWord())}}
}

// drainWord is what the kubelet says and others in the cluster cannot: it stands
// in the pods alone, and comes from what only readers of the Gateway know.
func (f *Fleet) drainWord() string {
	sum := sha256.Sum256([]byte("drain\x00" + string(f.Gateway.UID)))
	return hex.EncodeToString(sum[:16])
}

// resources returns the default of the container with what the parameters say
// over it. A request above a limit that nobody named raises that limit.
func (f *Fleet) resources(container string) corev1.ResourceRequirements {
	asked := f.Parameters.Resources[container]
	r := corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("128Mi")},
		Limits:   corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("1Gi")},
	}
	for name, limit := range asked.Limits {
		r.Limits[name] = limit
		if request, ok := r.Requests[name]; ok && request.Cmp(limit) > 0 {
			r.Requests[name] = limit
		}
	}
	for name, request := range asked.Requests {
		r.Requests[name] = request
		if limit, ok := r.Limits[name]; ok && request.Cmp(limit) > 0 {
			r.Limits[name] = request
		}
	}
	return r
}

// cores returns the limit of the CPU in whole cores, rounded up.
func cores(r corev1.ResourceRequirements) int64 { return max(r.Limits.Cpu().Value(), 1) }
