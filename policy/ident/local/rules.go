package local

import (
	"fmt"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/egret-gateway/egret/source"
)

// rules is what the RBAC objects of a snapshot come to: every binding with
// the rules of its role at hand. It never changes.
type rules struct {
	cluster    []binding            // ClusterRoleBindings
	namespaced map[string][]binding // RoleBindings by namespace
}

// binding gives the rules of a role to subjects.
type binding struct {
	about     string // for the reason: `RoleBinding "name/namespace"`
	namespace string // "" of a ClusterRoleBinding
	role      string // for the reason: `Role "name"`
	subjects  []rbacv1.Subject
	rules     []rbacv1.PolicyRule
	missing   string // set instead of rules when there is no such role
}

// Load makes the realm authorize by a snapshot's Roles, ClusterRoles and
// their bindings, in place of those before.
func (r *Realm) Load(s *source.Snapshot) { r.rules.Store(newRules(s)) }

func newRules(s *source.Snapshot) *rules {
	book := roleBook{cluster: map[string]*rbacv1.ClusterRole{}, namespaced: map[string]*rbacv1.Role{}}
	for _, role := range s.ClusterRoles {
		book.cluster[role.Name] = role
	}
	for _, role := range s.Roles {
		book.namespaced[role.Namespace+"/"+role.Name] = role
	}
	out := &rules{namespaced: map[string][]binding{}}
	for _, b := range s.ClusterRoleBindings {
		bound := book.bind(b.RoleRef, "", b.Subjects)
		bound.about = fmt.Sprintf("ClusterRoleBinding %q", b.Name)
		out.cluster = append(out.cluster, bound)
	}
	for _, b := range s.RoleBindings {
		bound := book.bind(b.RoleRef, b.Namespace, b.Subjects)
		bound.about = fmt.Sprintf("RoleBinding %q", b.Name+"/"+b.Namespace)
		out.namespaced[b.Namespace] = append(out.namespaced[b.Namespace], bound)
	}
	return out
}

// roleBook holds the roles that bindings may refer to.
type roleBook struct {
	cluster    map[string]*rbacv1.ClusterRole
	namespaced map[string]*rbacv1.Role // by namespace/name
}

func (b roleBook) bind(ref rbacv1.RoleRef, namespace string, subjects []rbacv1.Subject) binding {
	out := binding{namespace: namespace, role: fmt.Sprintf("%s %q", ref.Kind, ref.Name), subjects: subjects}
	switch ref.Kind {
	case "ClusterRole":
		if role := b.cluster[ref.Name]; role != nil {
			out.rules = b.rulesOf(role, map[string]bool{})
			return out
		}
	case "Role":
		if role := b.namespaced[namespace+"/"+ref.Name]; role != nil && namespace != "" {
			out.rules = role.Rules
			return out
		}
	}
	out.missing = fmt.Sprintf("%s.%s %q not found", strings.ToLower(ref.Kind), rbacv1.GroupName, ref.Name)
	return out
}

// rulesOf returns a ClusterRole's rules. Those of an aggregated one are the
// rules of all roles that its selectors match, which may be aggregated
// themselves; what it lists itself does not count, as a controller overwrites
// it. seen holds the roles that were looked at, each of which counts once.
func (b roleBook) rulesOf(role *rbacv1.ClusterRole, seen map[string]bool) []rbacv1.PolicyRule {
	seen[role.Name] = true
	if role.AggregationRule == nil {
		return role.Rules
	}
	var all []rbacv1.PolicyRule
	for _, s := range role.AggregationRule.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&s)
		if err != nil {
			continue // an invalid selector matches nothing
		}
		for name, part := range b.cluster {
			if !seen[name] && selector.Matches(labels.Set(part.Labels)) {
				all = append(all, b.rulesOf(part, seen)...)
			}
		}
	}
	return all
}
