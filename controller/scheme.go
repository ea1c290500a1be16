package controller

import (
	"errors"

	"k8s.io/apimachinery/pkg/runtime"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// scheme knows the kinds that a fleet consists of and belongs to.
func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	if err := errors.Join(clientscheme.AddToScheme(s), gwv1.Install(s)); err != nil {
		panic("BUG: types of a scheme: " + err.Error())
	}
	return s
}
