package offer

import (
	"bytes"
	"context"
	_ "embed" // objects.yaml
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/template"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/source/file"
)

// Namespace holds the objects of all offers and nothing else: only what is in
// it may name the Secrets.
const Namespace = "egret-providers"

// The Gateway of the routes: that of the MaaS API, whose limits hold for them.
const (
	gatewayNamespace = "openshift-ingress"
	gatewayName      = "maas-default-gateway"
)

// secretKey is the key of a Secret that holds a provider's key.
const secretKey = "key"

//go:embed objects.yaml
var objectsYAML string

// layout is what objects.yaml is filled with.
type layout struct {
	Offers []Offer
	Rules  []rule                    // at most 16, all of vendors and shared
	Lists  map[string][]source.Model // ConfigMaps by name

	shared []string // paths of several providers
}

// rule is one path that leads to providers.
type rule struct {
	Call
	List    string // ConfigMap of the models that it serves
	Backend string // where calls go for whose model the list says nothing else
	Port    int
}

// lay gives every offer its own paths, and then the paths on which the model
// chooses among the offers.
func lay(offers []Offer) *layout {
	l := &layout{Offers: offers, Lists: map[string][]source.Model{}}
	for i := range offers {
		o := &offers[i]
		for _, m := range o.Models {
			l.Lists[o.Name] = append(l.Lists[o.Name], source.Model{ID: m, Provider: o.Name})
		}
		for _, c := range o.Calls {
			l.Rules = append(l.Rules, rule{Call: Call{"/" + o.Name + c.Path, c.Upstream}, List: o.Name, Backend: o.Name, Port: o.Port})
		}
	}
	for _, call := range []string{chat, responses, messages} {
		l.share(Call{"/v1" + call, "/v1" + call}, "unified"+strings.ReplaceAll(call, "/", "-"))
	}
	return l
}

// share adds a path that leads to all providers that have the same one. Of two
// with one model the first has it.
func (l *layout) share(c Call, list string) {
	r, taken := rule{Call: c, List: list}, map[string]bool{}
	for i := range l.Offers {
		o := &l.Offers[i]
		if !slices.Contains(o.Calls, c) {
			continue
		}
		if r.Backend == "" {
			r.Backend, r.Port = o.Name, o.Port
		}
		for _, m := range o.Models {
			if !taken[m] {
				l.Lists[list] = append(l.Lists[list], source.Model{ID: m, Provider: o.Name, Backend: o.Name})
			}
			taken[m] = true
		}
	}
	if r.Backend != "" {
		l.Rules, l.shared = append(l.Rules, r), append(l.shared, r.Path)
	}
}

// objects are the offers as objects, the Secrets included.
func (l *layout) objects(ctx context.Context) (source.Snapshot, error) {
	text, err := l.text()
	if err != nil {
		return source.Snapshot{}, fmt.Errorf("objects of providers: %w", err)
	}
	snap, problems := file.Load(ctx, file.Options{Paths: []string{"-"}, Stdin: text})
	if len(problems) > 0 {
		return snap, fmt.Errorf("objects of providers: %w", problems.Err())
	}
	for key := range snap.Origins {
		snap.Origins[key] = "the environment"
	}
	for i := range l.Offers {
		o := &l.Offers[i]
		snap.Secrets = append(snap.Secrets, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: o.Name}, Type: corev1.SecretTypeOpaque,
			Data: map[string][]byte{secretKey: o.key},
		})
	}
	return snap, nil
}

// text is objects.yaml filled in. It holds no key.
func (l *layout) text() (*bytes.Buffer, error) {
	quoted := func(v any) (string, error) {
		b, err := json.Marshal(v)
		return string(b), err
	}
	list := func(models []source.Model) (string, error) { // as a ConfigMap has it: YAML in a string
		text, err := quoted(models)
		if err != nil {
			return "", err
		}
		return quoted(text)
	}
	t, err := template.New("objects.yaml").Funcs(template.FuncMap{
		"json": quoted, "list": list, "namespace": func() string { return Namespace },
		"gateway": func() string { return "{namespace: " + gatewayNamespace + ", name: " + gatewayName + "}" },
	}).Parse(objectsYAML)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	return &b, t.Execute(&b, l)
}
