package fleet

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/source"
)

func (f *Fleet) configMap() *corev1.ConfigMap {
	data := map[string]string{}
	if f.Plane() == source.PlaneEnvoy {
		maps.Copy(data, f.Files)
	}
	data[fileCA] = string(f.CA)
	m := &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: f.meta(),
		Data:       data,
	}
	if f.Guarded {
		m.Annotations[annotationGuarded] = "true"
	}
	return m
}

// WasGuarded reports whether a fleet's ConfigMap, as it is in the cluster, is
// marked as that of a Gateway whose routes had policies.
func WasGuarded(m *corev1.ConfigMap) bool { return m.Annotations[annotationGuarded] == "true" }

func (f *Fleet) serviceAccount() *corev1.ServiceAccount {
	return &corev1.ServiceAccount{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta: f.meta(),
	}
}

// service returns the Service before the pods: its ports are the listeners'
// own and have no other target, so that pods of the reference and ours can be
// behind it at once. An address that the Gateway asks for is passed on.
func (f *Fleet) service() *corev1.Service {
	svc := source.FleetService(f.Class, f.Gateway)
	svc.ObjectMeta = f.meta()
	svc.Annotations = f.annotations(f.Parameters.Service.Annotations)
	svc.Spec.Type = cmp.Or(f.Parameters.Service.Type, svc.Spec.Type)
	if a := f.Gateway.Spec.Addresses; len(a) == 1 && svc.Spec.Type == corev1.ServiceTypeLoadBalancer &&
		(a[0].Type == nil || *a[0].Type == gwv1.IPAddressType) {
		svc.Spec.LoadBalancerIP = a[0].Value
	}
	return svc
}

// disruptionBudget lets nodes be emptied one pod at a time, also of the only one.
func (f *Fleet) disruptionBudget() *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		TypeMeta:   metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"},
		ObjectMeta: f.meta(),
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable: ptr(intstr.FromInt32(1)),
			Selector:       f.selector(),
		},
	}
}

func (f *Fleet) selector() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{labelApp: f.Name()}}
}

func (f *Fleet) autoscaler() *autoscalingv2.HorizontalPodAutoscaler {
	a := f.Parameters.Autoscaling
	return &autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta:   metav1.TypeMeta{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler"},
		ObjectMeta: f.meta(),
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: f.Name()},
			MinReplicas:    ptr(a.Min),
			MaxReplicas:    a.Max,
			Metrics: []autoscalingv2.MetricSpec{{
				Type: autoscalingv2.ResourceMetricSourceType,
				Resource: &autoscalingv2.ResourceMetricSource{
					Name: corev1.ResourceCPU,
					Target: autoscalingv2.MetricTarget{
						Type:               autoscalingv2.UtilizationMetricType,
						AverageUtilization: ptr(cmp.Or(a.TargetCPU, defaultTargetCPU)),
					},
				},
			}},
		},
	}
}

// kindReviewers is the kind of the binding by which pods may have tokens and
// access reviewed.
const kindReviewers = "ClusterRoleBinding"

// reviewers binds the ServiceAccount to the cluster's own role for those who
// have tokens and access reviewed. It is in no namespace, so it cannot be owned
// by the Gateway: Prune removes it, or, where a controller goes before its
// Gateways, the cluster does with the class.
func (f *Fleet) reviewers() *rbacv1.ClusterRoleBinding {
	meta := f.meta()
	meta.Namespace, meta.OwnerReferences = "", nil
	if f.Class.UID != "" {
		meta.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: gwv1.GroupVersion.String(), Kind: "GatewayClass", Name: f.Class.Name, UID: f.Class.UID,
		}}
	}
	meta.Name = "egret-" + hash([]byte(f.Gateway.Namespace+"/"+f.Name()))
	return &rbacv1.ClusterRoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: kindReviewers},
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "system:auth-delegator"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: f.Gateway.Namespace, Name: f.Name()}},
	}
}

func (f *Fleet) deployment() *appsv1.Deployment {
	d := &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: f.meta(),
		Spec: appsv1.DeploymentSpec{
			Selector: f.selector(),
			Template: f.pod(),
			// A pod goes only when another one is ready in its place.
			Strategy: appsv1.DeploymentStrategy{
				Type: appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{
					MaxUnavailable: ptr(intstr.FromInt32(0)),
					MaxSurge:       ptr(intstr.FromInt32(1)),
				},
			},
		},
	}
	if f.Parameters.Autoscaling == nil {
		d.Spec.Replicas = cmp.Or(f.Parameters.Replicas, ptr[int32](defaultReplicas))
	}
	return d
}

// hash returns 12 hex digits of the SHA-256 of b.
func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}
