package offer

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/egret-gateway/egret/source"
)

// Offers are the providers whose keys the environment holds.
type Offers struct {
	List []Offer
	Left []Left

	maas    string   // namespace of the MaaS API, whose registry lists the models
	shared  []string // paths on which the model chooses the provider
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
// registry.
func (o *Offers) Amend(s *source.Snapshot) {
	if len(o.List) == 0 {
		return
	}
	merge(&s.Namespaces, o.objects.Namespaces)
	merge(&s.Backends, o.objects.Backends)
	merge(&s.ConfigMaps, o.objects.ConfigMaps)
	merge(&s.Secrets, o.objects.Secrets)
	merge(&s.HTTPRoutes, o.objects.HTTPRoutes)
	merge(&s.AuthPolicies, o.objects.AuthPolicies)
	origins := maps.Clone(o.objects.Origins)
	maps.Copy(origins, s.Origins)
	s.Origins = origins
	o.register(s)
}

// merge adds objects in the order that a Snapshot keeps.
func merge[T metav1.Object](to *[]T, more []T) {
	*to = slices.Concat(*to, more)
	slices.SortStableFunc(*to, func(a, b T) int {
		if n := strings.Compare(a.GetNamespace(), b.GetNamespace()); n != 0 {
			return n
		}
		return strings.Compare(a.GetName(), b.GetName())
	})
}

// register lists the models for GET /v1/models, after those that are there. A
// registry that cannot be read stays as it is: the MaaS API says why.
func (o *Offers) register(s *source.Snapshot) {
	var list []any
	at := slices.IndexFunc(s.ConfigMaps, func(m *corev1.ConfigMap) bool { return m.Namespace == o.maas && m.Name == source.RegistryConfigMap })
	registry := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: o.maas, Name: source.RegistryConfigMap}}
	if at >= 0 {
		registry = s.ConfigMaps[at].DeepCopy()
		if err := yaml.Unmarshal([]byte(registry.Data[source.ModelsKey]), &list); err != nil {
			return
		}
	}
	for i := range o.List {
		for _, m := range o.List[i].Models {
			list = append(list, source.Model{ID: m, Provider: o.List[i].Name})
		}
	}
	text, err := yaml.Marshal(list)
	if err != nil {
		return
	}
	if registry.Data == nil {
		registry.Data = map[string]string{}
	}
	registry.Data[source.ModelsKey] = string(text)
	if at >= 0 {
		s.ConfigMaps = slices.Clone(s.ConfigMaps)
		s.ConfigMaps[at] = registry
		return
	}
	merge(&s.ConfigMaps, []*corev1.ConfigMap{registry})
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
	if len(o.shared) > 0 {
		fmt.Fprintf(w, "\n  The model in the body chooses among those whose API has the same path: https://$HOST%s\n", strings.Join(o.shared, ", "))
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
