package file

import (
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// complete sets the defaults of core kinds that somebody here relies on. An
// API server sets them too, from code that is not published as a library.
func complete(o metav1.Object) {
	switch o := o.(type) {
	case *corev1.Namespace:
		completeNamespace(o)
	case *corev1.Secret:
		completeSecret(o)
	case *corev1.Service:
		completeService(o)
	case *discoveryv1.EndpointSlice:
		completeSlice(o)
	case *appsv1.Deployment:
		if o.Spec.Replicas == nil {
			one := int32(1)
			o.Spec.Replicas = &one
		}
	case *rbacv1.RoleBinding:
		completeBinding(&o.RoleRef, o.Subjects)
	case *rbacv1.ClusterRoleBinding:
		completeBinding(&o.RoleRef, o.Subjects)
	}
}

// completeNamespace adds the label that selectors find a namespace's name by.
func completeNamespace(o *corev1.Namespace) {
	if o.Labels == nil {
		o.Labels = map[string]string{}
	}
	o.Labels[corev1.LabelMetadataName] = o.Name
}

// completeSecret moves stringData into data, where it wins.
func completeSecret(o *corev1.Secret) {
	if o.Type == "" {
		o.Type = corev1.SecretTypeOpaque
	}
	if len(o.StringData) == 0 {
		return
	}
	data := maps.Clone(o.Data)
	if data == nil {
		data = map[string][]byte{}
	}
	for k, v := range o.StringData {
		data[k] = []byte(v)
	}
	o.Data, o.StringData = data, nil
}

func completeService(o *corev1.Service) {
	if o.Spec.Type == "" {
		o.Spec.Type = corev1.ServiceTypeClusterIP
	}
	for i := range o.Spec.Ports {
		p := &o.Spec.Ports[i]
		if p.Protocol == "" {
			p.Protocol = corev1.ProtocolTCP
		}
		if p.TargetPort == (intstr.IntOrString{}) {
			p.TargetPort = intstr.FromInt32(p.Port)
		}
	}
}

func completeSlice(o *discoveryv1.EndpointSlice) {
	for i := range o.Ports {
		p := &o.Ports[i]
		if p.Name == nil {
			p.Name = new(string)
		}
		if p.Protocol == nil {
			tcp := corev1.ProtocolTCP
			p.Protocol = &tcp
		}
	}
}

func completeBinding(role *rbacv1.RoleRef, subjects []rbacv1.Subject) {
	if role.APIGroup == "" {
		role.APIGroup = rbacv1.GroupName
	}
	for i := range subjects {
		if s := &subjects[i]; s.APIGroup == "" && s.Kind != rbacv1.ServiceAccountKind {
			s.APIGroup = rbacv1.GroupName
		}
	}
}
