package fleet

import (
	"encoding/json"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/source"
)

// Files and directories in the pods, as package envoy expects them.
const (
	dirConfig     = "/etc/envoy"
	fileBootstrap = "envoy.yaml"
	fileCA        = "ca.crt"
	dirRun        = "/run/egret"
	dirToken      = "/var/run/secrets/egret"
	fileToken     = "token" // for the controller
	fileProof     = "proof" // for the MaaS API
	dirKeep       = "/var/lib/egret"
	dirKube       = "/var/run/secrets/kubernetes.io/serviceaccount"
)

// user is that of the containers where the cluster assigns none.
const user = 65532

// pod returns the template of the pods. Nothing in it depends on the
// listeners, so that pods live on when a port comes or goes (acceptance
// gateway 48).
func (f *Fleet) pod() corev1.PodTemplateSpec {
	annotations := f.sharedAnnotations(f.Parameters.Pod.Annotations)
	containers := []corev1.Container{f.native()}
	if f.Plane() == source.PlaneEnvoy {
		containers = []corev1.Container{f.envoy(), f.extproc()}
		// Envoy reads its files once; the certificate authority is read again.
		annotations[annotationBootstrap] = f.bootstrapHash()
	}
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: f.podLabels(), Annotations: annotations},
		Spec: corev1.PodSpec{
			ServiceAccountName:            f.Name(),
			AutomountServiceAccountToken:  ptr(false),
			EnableServiceLinks:            ptr(false),
			TerminationGracePeriodSeconds: ptr(f.drain() + 15),
			ImagePullSecrets:              f.pullSecrets(),
			SecurityContext:               f.podSecurity(),
			NodeSelector:                  maps.Clone(f.Parameters.Pod.NodeSelector),
			Tolerations:                   slices.Clone(f.Parameters.Pod.Tolerations),
			TopologySpreadConstraints:     f.spread(),
			Containers:                    containers,
			Volumes:                       f.volumes(),
		},
	}
}

func (f *Fleet) pullSecrets() (out []corev1.LocalObjectReference) {
	for _, name := range f.PullSecrets {
		out = append(out, corev1.LocalObjectReference{Name: name})
	}
	return out
}

// bootstrapHash returns the hash of Envoy's files.
func (f *Fleet) bootstrapHash() string {
	text, err := json.Marshal(f.Files) // in the order of names
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return hash(text)
}

// podSecurity lets the containers bind ports below 1024 without a privilege
// (acceptance gateway 42); the setting concerns the pod's own network alone.
func (f *Fleet) podSecurity() *corev1.PodSecurityContext {
	s := &corev1.PodSecurityContext{
		RunAsNonRoot:   ptr(true),
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		Sysctls:        []corev1.Sysctl{{Name: "net.ipv4.ip_unprivileged_port_start", Value: "0"}},
	}
	if !f.AssignsUser {
		s.RunAsUser, s.RunAsGroup, s.FSGroup = ptr[int64](user), ptr[int64](user), ptr[int64](user)
	}
	return s
}

func (f *Fleet) spread() []corev1.TopologySpreadConstraint {
	if s := f.Parameters.Pod.Spread; s != nil && !*s {
		return nil
	}
	return []corev1.TopologySpreadConstraint{{
		MaxSkew:           1,
		TopologyKey:       corev1.LabelHostname,
		WhenUnsatisfiable: corev1.ScheduleAnyway,
		LabelSelector:     f.selector(),
	}}
}

// Volumes of the pods.
const (
	volumeConfig = "config" // the ConfigMap
	volumeRun    = "run"    // sockets between the containers
	volumeToken  = "token"  // who the pod is, for the controller and the MaaS API
	volumeKeep   = "keep"   // what the engine needs again when its container starts anew, not for Envoy
	volumeKube   = "kube"   // access to the API server, not for Envoy
)

func (f *Fleet) volumes() []corev1.Volume {
	return []corev1.Volume{
		{Name: volumeConfig, VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: f.Name()},
		}}},
		{Name: volumeRun, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{
			Medium:    corev1.StorageMediumMemory,
			SizeLimit: ptr(resource.MustParse("16Mi")),
		}}},
		{Name: volumeKeep, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{
			Medium:    corev1.StorageMediumMemory, // there are secrets in it
			SizeLimit: ptr(resource.MustParse("64Mi")),
		}}},
		projected(volumeToken,
			token(feed.Audience, fileToken, 3600),
			token(source.ProofAudience, fileProof, 3600)),
		projected(volumeKube,
			token("", "token", 3607),
			corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"},
				Items:                []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
			}},
			corev1.VolumeProjection{DownwardAPI: &corev1.DownwardAPIProjection{
				Items: []corev1.DownwardAPIVolumeFile{{
					Path:     "namespace",
					FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"},
				}},
			}}),
	}
}

func projected(name string, sources ...corev1.VolumeProjection) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: sources}}}
}

// token projects a token of the ServiceAccount; audience "" is the API server's.
func token(audience, path string, seconds int64) corev1.VolumeProjection {
	return corev1.VolumeProjection{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
		Audience: audience, Path: path, ExpirationSeconds: ptr(seconds),
	}}
}

func mounts(names ...string) []corev1.VolumeMount {
	at := map[string]string{volumeConfig: dirConfig, volumeRun: dirRun, volumeKeep: dirKeep, volumeToken: dirToken, volumeKube: dirKube}
	var out []corev1.VolumeMount
	for _, name := range names {
		out = append(out, corev1.VolumeMount{Name: name, MountPath: at[name], ReadOnly: name != volumeRun && name != volumeKeep})
	}
	return out
}
