package kube

import (
	"context"

	authzv1 "k8s.io/api/authorization/v1"

	"github.com/egret-gateway/egret/policy/ident"
)

// Access implements ident.Authorizer by a SubjectAccessReview. What no
// authorizer of the cluster allows is not allowed; the error says that the API
// server could not be asked.
func (c *Client) Access(ctx context.Context, a ident.Access) (allowed bool, reason string, err error) {
	ctx, cancel := context.WithTimeout(ctx, Within)
	defer cancel()
	done, err := c.turn(ctx)
	if err != nil {
		return false, "", err
	}
	defer done()
	answer := &authzv1.SubjectAccessReview{}
	if err := c.authz.Post().Resource("subjectaccessreviews").Body(question(a)).Do(ctx).Into(answer); err != nil {
		return false, "", failed("SubjectAccessReview", err)
	}
	s := &answer.Status
	return s.Allowed && !s.Denied, s.Reason, nil
}

func question(a ident.Access) *authzv1.SubjectAccessReview {
	q := &authzv1.SubjectAccessReview{Spec: authzv1.SubjectAccessReviewSpec{User: a.User, Groups: a.Groups}}
	if a.Resource == "" && a.Path != "" {
		q.Spec.NonResourceAttributes = &authzv1.NonResourceAttributes{Path: a.Path, Verb: a.Verb}
		return q
	}
	q.Spec.ResourceAttributes = &authzv1.ResourceAttributes{
		Namespace: a.Namespace, Verb: a.Verb, Group: a.Group, Version: a.Version,
		Resource: a.Resource, Subresource: a.Subresource, Name: a.Name,
	}
	return q
}
