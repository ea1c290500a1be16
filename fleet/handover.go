package fleet

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/egret-gateway/egret/source"
)

// annotationHandover marks a Deployment of which pods of the reference may be
// left.
const annotationHandover = "egret.dev/handover"

// phase is how far a fleet has come on the way from the reference's Envoys to
// ours. Those of the reference go at once when they are told to, whatever they
// are answering, so they are told only when they have nothing left to do:
//
//	arriving   theirs serve, ours start
//	leaving    ours serve; theirs get no new connection, close those that there
//	           are after the next answer, and end in handover seconds
//	settled    there are only ours
type phase int

const (
	settled phase = iota
	arriving
	leaving
)

// handover is for how many seconds the reference's Envoys stay beside ours that
// are ready: a little longer than their own time-out of a request (B-28).
const handover = 20

// phase looks at the live Deployment of a fleet.
func (a *Applier) phase(ctx context.Context, f *Fleet) (phase, error) {
	var d appsv1.Deployment
	err := a.Client.Get(ctx, client.ObjectKey{Namespace: f.Gateway.Namespace, Name: f.Name()}, &d)
	switch {
	case apierrors.IsNotFound(err):
		return settled, nil
	case err != nil:
		return settled, fmt.Errorf("read Deployment %s/%s: %w", f.Gateway.Namespace, f.Name(), err)
	case d.Labels[source.LabelManaged] != managed(a.Controller):
		return settled, nil // somebody else's
	case d.Spec.Template.Labels[labelComponent] != component:
		return arriving, nil
	case d.Annotations[annotationHandover] == "":
		return settled, nil
	}
	s, wanted := d.Status, int32(1)
	if d.Spec.Replicas != nil {
		wanted = *d.Spec.Replicas
	}
	theirs := s.Replicas - s.UpdatedReplicas
	switch {
	case s.ObservedGeneration < d.Generation || s.UpdatedReplicas < wanted:
		return arriving, nil
	case theirs <= 0:
		return settled, nil
	case s.ReadyReplicas-theirs < wanted:
		return arriving, nil
	}
	return leaving, nil
}

// shape changes an object of a fleet to what it is in a phase. A pod that is
// ready stands beside those that it replaces for minReadySeconds.
func (p phase) shape(o client.Object) {
	switch o := o.(type) {
	case *appsv1.Deployment:
		if p != settled {
			o.Annotations[annotationHandover] = strconv.Itoa(handover)
			o.Spec.MinReadySeconds = handover
		}
	case *corev1.Service:
		if p == leaving {
			o.Spec.Selector[labelComponent] = component // the reference's pods have no such label
		}
	}
}

// adminPort is that of the admin page of the reference's Envoys; ours have
// none that is open.
const adminPort = "15000"

// dismiss has the reference's Envoys close their connections after the next
// answer, as they do when a check of their health fails. It is done to every
// pod behind the Service: ours refuse the connection. One that cannot be told
// loses no more than requests that come just as it ends.
func (a *Applier) dismiss(ctx context.Context, f *Fleet) {
	var slices discoveryv1.EndpointSliceList
	err := a.Client.List(ctx, &slices, client.InNamespace(f.Gateway.Namespace), client.MatchingLabels{discoveryv1.LabelServiceName: f.Name()})
	if err != nil {
		a.Log.WarnContext(ctx, "the reference's Envoys are not told that they are replaced", "gateway", f.key(), "error", err)
		return
	}
	ctx, stop := context.WithTimeout(ctx, 2*time.Second)
	defer stop()
	direct := &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true},
		// Whoever answers there leads the controller nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	var told sync.WaitGroup
	for _, s := range slices.Items {
		for _, e := range s.Endpoints {
			for _, address := range e.Addresses {
				told.Go(func() { fail(ctx, direct, address) })
			}
		}
	}
	told.Wait()
}

func fail(ctx context.Context, direct *http.Client, address string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+net.JoinHostPort(address, adminPort)+"/healthcheck/fail", nil)
	if err != nil {
		return
	}
	if resp, err := direct.Do(r); err == nil {
		resp.Body.Close()
	}
}
