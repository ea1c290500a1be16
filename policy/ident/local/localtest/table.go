package localtest

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"

	authzv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/egret-gateway/egret/policy/ident"
	"github.com/egret-gateway/egret/source"
)

// Objects is rbac.yaml, for `kubectl apply -f`.
//
//go:embed rbac.yaml
var Objects []byte

//go:embed cases.yaml
var cases []byte

// Case is one question and its answer.
type Case struct {
	Name     string                         `json:"name"`
	User     string                         `json:"user"`
	Groups   []string                       `json:"groups,omitempty"`
	Resource *authzv1.ResourceAttributes    `json:"resource,omitempty"` // or
	Path     *authzv1.NonResourceAttributes `json:"path,omitempty"`

	Allowed bool   `json:"allowed,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// Cases returns the table.
func Cases() ([]Case, error) {
	var list []Case
	if err := yaml.UnmarshalStrict(cases, &list); err != nil {
		return nil, fmt.Errorf("cases.yaml: %w", err)
	}
	return list, nil
}

// Access is the question as an ident.Authorizer is asked it.
func (c Case) Access() ident.Access {
	a := ident.Access{User: c.User, Groups: c.Groups}
	if r := c.Resource; r != nil {
		a.Verb, a.Group, a.Version, a.Resource = r.Verb, r.Group, r.Version, r.Resource
		a.Subresource, a.Namespace, a.Name = r.Subresource, r.Namespace, r.Name
	}
	if p := c.Path; p != nil {
		a.Verb, a.Path = p.Verb, p.Path
	}
	return a
}

// Review is the question as an API server is asked it.
func (c Case) Review() authzv1.SubjectAccessReview {
	return authzv1.SubjectAccessReview{Spec: authzv1.SubjectAccessReviewSpec{
		User: c.User, Groups: c.Groups, ResourceAttributes: c.Resource, NonResourceAttributes: c.Path,
	}}
}

// Snapshot returns the RBAC objects of rbac.yaml.
func Snapshot() (*source.Snapshot, error) {
	s := new(source.Snapshot)
	docs := utilyaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(Objects)))
	defer docs.Close()
	text := make([]byte, len(Objects))
	for {
		n, err := docs.Read(text)
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err == nil {
			err = add(s, text[:n])
		}
		if err != nil {
			return nil, fmt.Errorf("rbac.yaml: %w", err)
		}
	}
}

func add(s *source.Snapshot, text []byte) error {
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(text, &kind); err != nil {
		return err
	}
	switch kind.Kind {
	case "Role":
		return put(&s.Roles, new(rbacv1.Role), text)
	case "ClusterRole":
		return put(&s.ClusterRoles, new(rbacv1.ClusterRole), text)
	case "RoleBinding":
		return put(&s.RoleBindings, new(rbacv1.RoleBinding), text)
	case "ClusterRoleBinding":
		return put(&s.ClusterRoleBindings, new(rbacv1.ClusterRoleBinding), text)
	case "Namespace":
		return nil
	}
	return fmt.Errorf("kind %q is not known here", kind.Kind)
}

func put[T any](list *[]*T, object *T, text []byte) error {
	*list = append(*list, object)
	return yaml.UnmarshalStrict(text, object)
}
