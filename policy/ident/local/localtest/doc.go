// Package localtest is one table of authorization questions that the embedded
// realm and a real API server must answer alike.
//
// rbac.yaml holds the objects, which `kubectl apply -f` takes as they are;
// cases.yaml holds SubjectAccessReviews with their answers. The cases ask
// about names of their own (people of example.com, resources of
// serving.kserve.io, paths below /egret), so that an API server's built-in
// roles say nothing about them.
package localtest
