package local

import (
	"context"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/egret-gateway/egret/policy/ident"
)

// groupMasters may do everything, whatever the rules say; an API server has
// that built in too.
const groupMasters = "system:masters"

// Access implements ident.Authorizer by Kubernetes RBAC: what some rule
// allows is allowed, and nothing else. The reason is worded as an API
// server's: which binding allowed it, which roles of bindings that would have
// counted do not exist, or nothing.
func (r *Realm) Access(_ context.Context, a ident.Access) (allowed bool, reason string, err error) {
	if slices.Contains(a.Groups, groupMasters) {
		return true, "", nil
	}
	rules := r.rules.Load()
	var missing []string
	for _, group := range [][]binding{rules.cluster, rules.namespaced[namespaceOf(a)]} {
		for i := range group {
			b := &group[i]
			subject := b.subject(a)
			switch {
			case subject == nil:
			case b.missing != "":
				missing = append(missing, b.missing)
			case slices.ContainsFunc(b.rules, func(rule rbacv1.PolicyRule) bool { return allows(&rule, a) }):
				return true, fmt.Sprintf("RBAC: allowed by %s of %s to %s", b.about, b.role, b.describe(subject)), nil
			}
		}
	}
	return false, refusal(missing), nil
}

// namespaceOf returns the namespace whose RoleBindings count; a path has none.
func namespaceOf(a ident.Access) string {
	if onPath(a) {
		return ""
	}
	return a.Namespace
}

func onPath(a ident.Access) bool { return a.Resource == "" && a.Path != "" }

func refusal(missing []string) string {
	slices.Sort(missing)
	switch missing = slices.Compact(missing); len(missing) {
	case 0:
		return ""
	case 1:
		return "RBAC: " + missing[0]
	}
	return "RBAC: [" + strings.Join(missing, ", ") + "]"
}

// subject returns the first subject of the binding that the caller is.
func (b *binding) subject(a ident.Access) *rbacv1.Subject {
	for i := range b.subjects {
		s := &b.subjects[i]
		switch s.Kind {
		case rbacv1.UserKind:
			if s.Name == a.User {
				return s
			}
		case rbacv1.GroupKind:
			if slices.Contains(a.Groups, s.Name) {
				return s
			}
		case rbacv1.ServiceAccountKind:
			if ns := b.subjectNamespace(s); ns != "" && a.User == username(ns, s.Name) {
				return s
			}
		}
	}
	return nil
}

// subjectNamespace is that of a ServiceAccount subject; the default is the binding's.
func (b *binding) subjectNamespace(s *rbacv1.Subject) string {
	if s.Namespace != "" {
		return s.Namespace
	}
	return b.namespace
}

func (b *binding) describe(s *rbacv1.Subject) string {
	if s.Kind == rbacv1.ServiceAccountKind {
		return fmt.Sprintf("%s %q", s.Kind, s.Name+"/"+b.subjectNamespace(s))
	}
	return fmt.Sprintf("%s %q", s.Kind, s.Name)
}

// allows reports whether one rule allows the access.
func allows(rule *rbacv1.PolicyRule, a ident.Access) bool {
	if !slices.Contains(rule.Verbs, rbacv1.VerbAll) && !slices.Contains(rule.Verbs, a.Verb) {
		return false
	}
	if onPath(a) {
		return slices.ContainsFunc(rule.NonResourceURLs, func(u string) bool { return pathMatches(u, a.Path) })
	}
	return (slices.Contains(rule.APIGroups, rbacv1.APIGroupAll) || slices.Contains(rule.APIGroups, a.Group)) &&
		slices.ContainsFunc(rule.Resources, func(r string) bool { return resourceMatches(r, a) }) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, a.Name))
}

// resourceMatches knows "*", "pods", "pods/log" and "*/scale". "pods" alone
// says nothing about its subresources.
func resourceMatches(rule string, a ident.Access) bool {
	if rule == rbacv1.ResourceAll {
		return true
	}
	if a.Subresource == "" {
		return rule == a.Resource
	}
	return rule == a.Resource+"/"+a.Subresource || rule == "*/"+a.Subresource
}

// pathMatches knows "*", a path, and a path that ends in "*".
func pathMatches(rule, path string) bool {
	if prefix, ok := strings.CutSuffix(rule, "*"); ok {
		return strings.HasPrefix(path, strings.TrimRight(prefix, "*"))
	}
	return rule == path
}
