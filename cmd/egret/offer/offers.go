package offer

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/egret-gateway/egret/source"
)

// Offers are the providers whose keys the environment holds. Amend and Print are
// for one goroutine at a time.
type Offers struct {
	List []Offer
	Left []Left

	maas    string   // namespace of the MaaS API, whose registry lists the models
	shared  []string // paths on which the model chooses the provider
	theirs  []string // paths that the manifests serve themselves, as of the last Amend
	objects source.Snapshot
}

// Find looks for keys by getenv, which is os.Getenv outside tests. maas is the
// namespace of the MaaS API. A key that cannot be used is in Left; an error is
// ours.
func Find(ctx context.Context, getenv func(string) string, maas string) (*Offers, error) {
	out := &Offers{maas: maas}
	for _, v := range vendors() {
		switch o, err := v.find(getenv); {
		case err != nil:
			out.Left = append(out.Left, Left{Variable: v.key, Why: err})
		case o != nil:
			out.List = append(out.List, *o)
		}
	}
	if len(out.List) == 0 {
		return out, nil
	}
	l := lay(out.List)
	var err error
	out.shared = l.shared
	out.objects, err = l.objects(ctx)
	return out, err
}

// Amend adds the objects of the offers to a snapshot, and their models to the
// registry. What the manifests say themselves stays: objects of the same name,
// and paths that a route of theirs serves.
func (o *Offers) Amend(s *source.Snapshot) {
	if len(o.List) == 0 {
		return
	}
	o.theirs = nil
	routes := slices.Clone(o.objects.HTTPRoutes)
	for i := range routes {
		routes[i] = routes[i].DeepCopy()
		rules := routes[i].Spec.Rules
		routes[i].Spec.Rules = nil
		for _, u := range rules {
			if path := *u.Matches[0].Path.Value; taken(s, path) {
				o.theirs = append(o.theirs, path)
				continue
			}
			routes[i].Spec.Rules = append(routes[i].Spec.Rules, u)
		}
		if len(routes[i].Spec.Rules) == 0 {
			return // nothing that is listed could be called
		}
	}
	merge(&s.Namespaces, o.objects.Namespaces)
	merge(&s.Backends, o.objects.Backends)
	merge(&s.ConfigMaps, o.objects.ConfigMaps)
	merge(&s.Secrets, o.objects.Secrets)
	merge(&s.HTTPRoutes, routes)
	merge(&s.AuthPolicies, o.objects.AuthPolicies)
	origins := maps.Clone(o.objects.Origins)
	maps.Copy(origins, s.Origins)
	s.Origins = origins
	o.register(s)
}

// taken reports whether a route of the gateway is for this path, or for what
// begins with a part of it. A route for everything is for what nobody else
// serves.
func taken(s *source.Snapshot, path string) bool {
	for _, r := range s.HTTPRoutes {
		attached := false
		for _, p := range r.Spec.ParentRefs {
			namespace := r.Namespace
			if p.Namespace != nil {
				namespace = string(*p.Namespace)
			}
			attached = attached || namespace == gatewayNamespace && p.Name == gatewayName
		}
		for i := range r.Spec.Rules {
			for _, m := range r.Spec.Rules[i].Matches {
				if attached && m.Path != nil && m.Path.Value != nil && within(path, *m.Path.Value) {
					return true
				}
			}
		}
	}
	return false
}

// within reports whether a path is another one or beneath it, "/" excepted.
func within(path, other string) bool {
	other = strings.TrimSuffix(other, "/")
	return other != "" && strings.HasPrefix(path+"/", other+"/")
}

// merge adds those objects that are not there, in the order that a Snapshot
// keeps.
func merge[T metav1.Object](to *[]T, more []T) {
	order := func(a, b T) int {
		return cmp.Or(strings.Compare(a.GetNamespace(), b.GetNamespace()), strings.Compare(a.GetName(), b.GetName()))
	}
	out := slices.Concat(*to, more) // theirs come first
	slices.SortStableFunc(out, order)
	*to = slices.CompactFunc(out, func(a, b T) bool { return order(a, b) == 0 })
}

// register lists the models for GET /v1/models, after those that are there. A
// registry that cannot be read stays as it is: the MaaS API says why.
func (o *Offers) register(s *source.Snapshot) {
	registry := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: o.maas, Name: source.RegistryConfigMap}}
	at := slices.IndexFunc(s.ConfigMaps, func(m *corev1.ConfigMap) bool { return m.Namespace == o.maas && m.Name == source.RegistryConfigMap })
	if at >= 0 {
		registry = s.ConfigMaps[at].DeepCopy()
	}
	list, err := source.ParseRegistry(registry)
	if err != nil {
		return
	}
	for i := range o.List {
		for _, m := range o.List[i].Models {
			list = append(list, source.Model{ID: m, Provider: o.List[i].Name})
		}
	}
	text, err := json.Marshal(list) // which is YAML
	if err != nil {
		return
	}
	if registry.Data == nil {
		registry.Data = map[string]string{}
	}
	registry.Data[source.ModelsKey] = string(text)
	if at < 0 {
		merge(&s.ConfigMaps, []*corev1.ConfigMap{registry})
		return
	}
	s.ConfigMaps = slices.Clone(s.ConfigMaps)
	s.ConfigMaps[at] = registry
}

// Print says what is offered and how it is called, in terms of HOST, TOKEN and
// CA_FILE of the quickstart's shell. Nothing is printed where there is no key.
func (o *Offers) Print(w io.Writer) {
	for _, l := range o.Left {
		fmt.Fprintf(w, "\n%s is in the environment and not offered: %v.\n", l.Variable, l.Why)
	}
	if len(o.List) == 0 {
		return
	}
	fmt.Fprint(w, "\nProviders whose keys are in the environment, for holders of a MaaS token, within the limits of their tiers.\nNothing is sent to them until somebody calls; --no-providers leaves them out.\n\n")
	for i := range o.List {
		p := &o.List[i]
		fmt.Fprintf(w, "  %s (%s): %s\n    %s\n", p.Title, p.Variable, strings.Join(p.Models, ", "), p.client())
	}
	p := &o.List[0]
	fmt.Fprintf(w, "\n  curl -sS --cacert $CA_FILE -H \"Authorization: Bearer $TOKEN\" \\\n    --json '%s' \\\n    https://$HOST/%s%s | jq\n", p.example(), p.Name, p.Calls[0].Path)
	if shared := slices.DeleteFunc(slices.Clone(o.shared), func(path string) bool { return slices.Contains(o.theirs, path) }); len(shared) > 0 {
		fmt.Fprintf(w, "\n  The model in the body chooses among those whose API has the same path: https://$HOST%s\n", strings.Join(shared, ", "))
	}
	if len(o.theirs) > 0 {
		fmt.Fprintf(w, "  Your manifests serve these paths themselves, and keep them: %s\n", strings.Join(o.theirs, ", "))
	}
	fmt.Fprint(w, "  SDKs read the gateway's certificate authority from SSL_CERT_FILE=$CA_FILE (Python, Go) or NODE_EXTRA_CA_CERTS=$CA_FILE (Node).\n")
}

// client is how an SDK is pointed at the provider's path. Anthropic's adds /v1
// itself, and sends a token as the gateway wants it under this name.
func (o *Offer) client() string {
	if o.Calls[0].Path == "/v1"+messages {
		return "ANTHROPIC_BASE_URL=https://$HOST/" + o.Name + " ANTHROPIC_AUTH_TOKEN=$TOKEN"
	}
	return "OPENAI_BASE_URL=https://$HOST/" + o.Name + "/v1 OPENAI_API_KEY=$TOKEN"
}

// example is the body of a small call. A pattern is shown as it stands.
func (o *Offer) example() string {
	return fmt.Sprintf(`{"model": %q, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 50}`, o.Models[0])
}
