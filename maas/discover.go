package maas

import (
	"cmp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	kserve "github.com/egret-gateway/egret/api/kserve/v1alpha1"
	api "github.com/egret-gateway/egret/api/maas"
)

// attached reports whether a model hangs on our Gateway in one of the four
// ways: its router names the Gateway, its inline route does, a route that it
// refers to does, or the route that KServe made for it does (acceptance maas 77).
func (s *Server) attached(c *catalog, svc *kserve.LLMInferenceService) bool {
	router := svc.Spec.Router
	if router == nil {
		return false
	}
	if router.Gateway != nil {
		for _, ref := range router.Gateway.Refs {
			if s.ours(ref.Name, cmp.Or(ref.Namespace, svc.Namespace)) {
				return true
			}
		}
	}
	if router.Route == nil || router.Route.HTTP == nil {
		return false
	}
	http := router.Route.HTTP
	if http.Spec != nil && s.oursAny(http.Spec.ParentRefs, svc.Namespace) {
		return true
	}
	for _, route := range c.routes {
		if route.Namespace != svc.Namespace || !s.oursAny(route.Spec.ParentRefs, route.Namespace) {
			continue
		}
		referred := slices.Contains(http.Refs, kserve.LocalRef{Name: route.Name})
		managed := http.Spec == nil && len(http.Refs) == 0 && managedRoute(route, svc)
		if referred || managed {
			return true
		}
	}
	return false
}

func (s *Server) ours(name, namespace string) bool {
	return name == s.Config.GatewayName && namespace == s.Config.GatewayNamespace
}

func (s *Server) oursAny(parents []gwv1.ParentReference, namespace string) bool {
	return slices.ContainsFunc(parents, func(p gwv1.ParentReference) bool {
		if p.Namespace != nil && *p.Namespace != "" {
			return s.ours(string(p.Name), string(*p.Namespace))
		}
		return s.ours(string(p.Name), namespace)
	})
}

// managedRoute reports whether KServe made the route for the model.
func managedRoute(route *gwv1.HTTPRoute, svc *kserve.LLMInferenceService) bool {
	l := route.Labels
	return l["app.kubernetes.io/component"] == "llminferenceservice-router" &&
		l["app.kubernetes.io/name"] == svc.Name &&
		l["app.kubernetes.io/part-of"] == "llminferenceservice"
}

// addresses lists where a model may be asked, best first: external addresses,
// internal ones, others, and last the URL of its status (acceptance maas 82).
func addresses(svc *kserve.LLMInferenceService) []string {
	candidates := svc.Status.Addresses
	if len(candidates) == 0 && svc.Status.Address != nil {
		candidates = []kserve.Address{*svc.Status.Address}
	}
	candidates = slices.Clone(candidates)
	slices.SortStableFunc(candidates, func(a, b kserve.Address) int { return distance(a) - distance(b) })
	candidates = append(candidates, kserve.Address{URL: svc.Status.URL})
	var urls []string
	for _, a := range candidates {
		if a.URL != "" && !slices.Contains(urls, a.URL) {
			urls = append(urls, a.URL)
		}
	}
	return urls
}

func distance(a kserve.Address) int {
	if a.Name == nil {
		return 2
	}
	switch name := strings.ToLower(*a.Name); {
	case strings.Contains(name, "external"):
		return 0
	case strings.Contains(name, "internal"):
		return 1
	}
	return 2
}

// ready reports whether everything that is said about the model is good and
// about its present generation; a model nobody said anything about is not.
func ready(svc *kserve.LLMInferenceService) bool {
	if svc.DeletionTimestamp != nil || len(svc.Status.Conditions) == 0 {
		return false
	}
	if svc.Generation > 0 && svc.Status.ObservedGeneration != svc.Generation {
		return false
	}
	return !slices.ContainsFunc(svc.Status.Conditions, func(c metav1.Condition) bool {
		return c.Status != metav1.ConditionTrue
	})
}

// details are what the model's annotations say; nil when they say nothing.
func details(svc *kserve.LLMInferenceService) *api.ModelDetails {
	d := api.ModelDetails{
		GenAIUseCase: svc.Annotations[kserve.AnnotationUseCase],
		Description:  svc.Annotations[kserve.AnnotationDescription],
		DisplayName:  svc.Annotations[kserve.AnnotationDisplayName],
	}
	if d == (api.ModelDetails{}) {
		return nil
	}
	return &d
}

// publicName is what a model is called that does not say so itself.
func publicName(svc *kserve.LLMInferenceService) string {
	if svc.Spec.Model.Name != nil && *svc.Spec.Model.Name != "" {
		return *svc.Spec.Model.Name
	}
	return svc.Name
}
