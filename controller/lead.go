package controller

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// Times of the lease: a leader that dies is followed after at most
// leaseDuration.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
	askAgain      = 30 * time.Second // whether leases are permitted
)

// lead says whether this replica is the one that writes and serves.
type lead struct {
	namespace, name string // of the Lease
	identity        string
	log             *slog.Logger

	leading atomic.Bool
	changed chan struct{} // capacity 1
}

func newLead(namespace, name, identity string, log *slog.Logger) *lead {
	return &lead{namespace: namespace, name: name, identity: identity, log: log, changed: make(chan struct{}, 1)}
}

func (l *lead) set(leading bool) {
	if l.leading.Swap(leading) != leading {
		l.log.Info("leadership changed", "leading", leading, "identity", l.identity)
	}
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// Run takes part in the election until ctx ends. Where leases are not
// permitted, as under the reference's ClusterRole, there is nobody to elect
// among and this replica leads.
func (l *lead) Run(ctx context.Context, config *rest.Config) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	for !l.permitted(ctx, client) {
		if ctx.Err() != nil {
			return nil
		}
		if !l.leading.Load() {
			l.log.Warn("leases are not permitted, so this controller leads without an election; run one replica", "lease", l.namespace+"/"+l.name)
			l.set(true)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(askAgain): // a permission may come after its controller
		}
	}
	if l.leading.Load() {
		l.set(false)
	}
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: l.namespace, Name: l.name},
		Client:     client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: l.identity},
	}
	for ctx.Err() == nil {
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: lock, Name: l.name, ReleaseOnCancel: true,
			LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(context.Context) { l.set(true) },
				OnStoppedLeading: func() { l.set(false) },
			},
		})
		if err != nil {
			return err
		}
		elector.Run(ctx) // until the lease is lost
	}
	return nil
}

// permitted asks whether leases may be made here. While the API server gives
// no answer there is none to give: it is asked again.
func (l *lead) permitted(ctx context.Context, client kubernetes.Interface) bool {
	for ctx.Err() == nil {
		review, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
				Group: "coordination.k8s.io", Resource: "leases", Verb: "update", Namespace: l.namespace, Name: l.name,
			}},
		}, metav1.CreateOptions{})
		if err == nil {
			return review.Status.Allowed
		}
		l.log.Warn("whether leases are permitted is not known yet", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(retryPeriod):
		}
	}
	return false
}
