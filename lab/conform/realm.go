package conform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/egret-gateway/egret/policy/ident"
	"github.com/egret-gateway/egret/policy/ident/local"
	"github.com/egret-gateway/egret/policy/quota"
	"github.com/egret-gateway/egret/store"
)

// Audiences of the tokens.
const (
	audienceMaaS    = "maas-default-gateway-sa"
	audienceCluster = "https://kubernetes.default.svc"
)

// realm knows tokens by their form:
//
//	T-free-alice   a MaaS token of alice in tier free; T2-free-alice is another one
//	C-alice        a cluster token of alice
//	N-alice        a token for the MaaS audience of an account outside of the tiers
//
// Who may do what is in the RBAC manifests. Upstreams are known by pki.
type realm struct {
	*local.Realm
	pki  *pki
	away atomic.Bool
}

// nothing is a state that is never asked for anything but its empty deny-list.
type nothing struct{ local.State }

func (nothing) Denied(context.Context, time.Time) ([]store.Denial, error) { return nil, nil }

// Review implements ident.Reviewer.
func (r *realm) Review(_ context.Context, token string, audiences []string) (ident.Review, error) {
	if r.away.Load() {
		return ident.Review{}, errors.New("the API server is away")
	}
	user, audience := holder(token)
	if user.Username == "" || !slices.Contains(audiences, audience) {
		return ident.Review{Error: "not a token for this audience"}, nil
	}
	return ident.Review{Authenticated: true, User: user, Audiences: []string{audience}, ID: token}, nil
}

func holder(token string) (user ident.User, audience string) {
	kind, rest, _ := strings.Cut(token, "-")
	switch {
	case strings.HasPrefix(kind, "T"):
		tier, name, _ := strings.Cut(rest, "-")
		return account("maas-default-gateway-tier-"+tier, name), audienceMaaS
	case kind == "N":
		return account("elsewhere", rest), audienceMaaS
	case kind == "C":
		return ident.User{Username: rest, Groups: []string{"system:authenticated"}}, audienceCluster
	}
	return ident.User{}, ""
}

func account(namespace, name string) ident.User {
	return ident.User{
		Username: "system:serviceaccount:" + namespace + ":" + name, UID: "uid-" + name,
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
	}
}

// tiers plays the tier lookup of the MaaS API.
type tiers struct{}

// RoundTrip implements http.RoundTripper.
func (tiers) RoundTrip(r *http.Request) (*http.Response, error) {
	var question struct{ Groups []string }
	if err := json.NewDecoder(r.Body).Decode(&question); err != nil {
		return nil, err
	}
	answer := `{"error":"not_found"}`
	for _, g := range question.Groups {
		if _, tier, ok := strings.Cut(g, "-tier-"); ok {
			answer = `{"tier":"` + tier + `"}`
		}
	}
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader([]byte(answer))),
	}, nil
}

// counters are limits whose counters can be out of reach.
type counters struct {
	*quota.Memory
	away atomic.Bool
}

// Reserve implements quota.Limiter.
func (c *counters) Reserve(ctx context.Context, b []quota.Bucket) (quota.Verdict, error) {
	if c.away.Load() {
		return quota.Verdict{}, errors.New("the counters are away")
	}
	return c.Memory.Reserve(ctx, b)
}
