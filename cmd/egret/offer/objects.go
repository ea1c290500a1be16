package offer

import (
	"bytes"
	"context"
	_ "embed" // objects.yaml
	"encoding/json"
	"fmt"
	"path"
	"text/template"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/source/file"
)

// Namespace holds the objects of all offers and nothing else: only what is in
// it may name the Secrets.
const Namespace = "egret-providers"

// secretKey is the key of a Secret that holds a provider's key.
const secretKey = "key"

// gateway is the parent of the routes.
const gateway = "{namespace: openshift-ingress, name: maas-default-gateway}"

//go:embed objects.yaml
var objectsYAML string

// rule is one path that leads to a provider.
type rule struct {
	Call
	List    string // ConfigMap of the models that it serves
	Backend string // where calls go for whose model the list says nothing else
	Port    int
	Entries []source.Model
}

// Rules are the provider's own paths.
func (o *Offer) Rules() (out []rule) {
	for _, c := range o.Calls {
		c.Path = "/" + o.Name + c.Path
		out = append(out, rule{Call: c, List: o.Name, Backend: o.Name, Port: o.Port})
	}
	return out
}

// Entries are its models in the list that its own paths serve.
func (o *Offer) Entries() (out []source.Model) {
	for _, m := range o.Models {
		out = append(out, source.Model{ID: m, Provider: o.Name})
	}
	return out
}

// unified are the paths on which the model chooses among the providers that
// have the same path; of two with one model the first has it.
func unified(offers []Offer) (out []rule) {
	for _, call := range []string{chat, responses, messages} {
		at := Call{Path: "/v1" + call, Upstream: "/v1" + call}
		r := rule{Call: at, List: "unified-" + path.Base(call)}
		taken := map[string]bool{}
		for i := range offers {
			o := &offers[i]
			if !o.has(at) {
				continue
			}
			if r.Backend == "" {
				r.Backend, r.Port = o.Name, o.Port
			}
			for _, m := range o.Models {
				if !taken[m] {
					r.Entries = append(r.Entries, source.Model{ID: m, Provider: o.Name, Backend: o.Name})
				}
				taken[m] = true
			}
		}
		if r.Backend != "" {
			out = append(out, r)
		}
	}
	return out
}

func (o *Offer) has(c Call) bool {
	for _, own := range o.Calls {
		if own == c {
			return true
		}
	}
	return false
}

// objects are the offers as objects, the Secrets included.
func objects(ctx context.Context, offers []Offer) (source.Snapshot, error) {
	text := func(v any) (string, error) {
		b, err := json.Marshal(v)
		return string(b), err
	}
	t, err := template.New("objects").Funcs(template.FuncMap{
		"json": text, "namespace": func() string { return Namespace }, "gateway": func() string { return gateway },
		"list": func(models []source.Model) (string, error) {
			list, err := text(models)
			if err != nil {
				return "", err
			}
			return text(list) // a ConfigMap's values are strings
		},
	}).Parse(objectsYAML)
	if err != nil {
		return source.Snapshot{}, fmt.Errorf("objects of providers: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, map[string]any{"Offers": offers, "Unified": unified(offers)}); err != nil {
		return source.Snapshot{}, fmt.Errorf("objects of providers: %w", err)
	}
	snap, problems := file.Load(ctx, file.Options{Paths: []string{"-"}, Stdin: &b})
	if len(problems) > 0 {
		return snap, fmt.Errorf("objects of providers: %w", problems.Err())
	}
	for key := range snap.Origins {
		snap.Origins[key] = "the environment"
	}
	for i := range offers {
		o := &offers[i]
		snap.Secrets = append(snap.Secrets, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: o.Name}, Type: corev1.SecretTypeOpaque,
			Data: map[string][]byte{secretKey: o.key},
		})
	}
	return snap, nil
}
