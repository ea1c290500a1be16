package pods

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json" // refuses duplicate names
	"github.com/go-jose/go-jose/v4/jwt"
	"google.golang.org/grpc/metadata"

	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/xds"
)

const (
	maxToken = 16 << 10 // bytes
	skew     = 10 * time.Second
)

// Pod is who holds a token.
type Pod struct {
	Namespace      string
	ServiceAccount string
	Name, UID      string // of the pod; "" when the token is bound to none
}

// Verifier verifies tokens. Its fields are set before use and not changed
// after; it is safe for concurrent use.
type Verifier struct {
	// Server is the API server's base address, "https://10.96.0.1".
	Server string
	// Client trusts the API server and signs in to it.
	Client *http.Client
	Now    func() time.Time // nil = time.Now

	keys   atomic.Pointer[keyring]
	mu     sync.Mutex // one fetch at a time; guards what follows
	asked  time.Time
	failed error // of the last fetch
}

// Authenticate is an xds.Options.Authenticate: nodes says which nodes a pod
// may speak for. A pod is the host of the containers in it.
func (v *Verifier) Authenticate(nodes func(Pod) func(node string) bool) func(context.Context) (xds.Peer, error) {
	return func(ctx context.Context) (xds.Peer, error) {
		token, err := bearer(ctx)
		if err != nil {
			return xds.Peer{}, err
		}
		pod, err := v.Verify(ctx, token)
		if err != nil {
			return xds.Peer{}, err
		}
		return xds.Peer{Nodes: nodes(pod), Host: pod.UID}, nil
	}
}

// bearer returns the token in the metadata of a call.
func bearer(ctx context.Context) (string, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	values := md.Get("authorization")
	if len(values) != 1 {
		return "", fmt.Errorf("want one authorization header, have %d", len(values))
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", errors.New("the authorization header holds no bearer token")
	}
	return token, nil
}

// claims are those of a projected token (Kubernetes, "Managing Service
// Accounts": schema for service account private claims).
type claims struct {
	jwt.Claims
	Kubernetes struct {
		Namespace      string `json:"namespace"`
		ServiceAccount struct {
			Name string `json:"name"`
		} `json:"serviceaccount"`
		Pod struct {
			Name string `json:"name"`
			UID  string `json:"uid"`
		} `json:"pod"`
	} `json:"kubernetes.io"`
}

// Verify returns who holds the token. Errors say what is wrong and never show
// the token.
func (v *Verifier) Verify(ctx context.Context, token string) (Pod, error) {
	if len(token) > maxToken {
		return Pod{}, fmt.Errorf("the token is larger than %d bytes", maxToken)
	}
	signed, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil {
		return Pod{}, errors.New("this is no token signed as ServiceAccount tokens are")
	}
	keys, key, err := v.key(ctx, signed.Signatures[0].Protected)
	if err != nil {
		return Pod{}, err
	}
	payload, err := signed.Verify(key)
	if err != nil {
		return Pod{}, errors.New("the token's signature is wrong")
	}
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return Pod{}, errors.New("the token's claims are not those of a ServiceAccount token")
	}
	return c.pod(keys.issuer, v.now())
}

// pod checks the claims.
func (c *claims) pod(issuer string, now time.Time) (Pod, error) {
	p := Pod{Namespace: c.Kubernetes.Namespace, ServiceAccount: c.Kubernetes.ServiceAccount.Name, Name: c.Kubernetes.Pod.Name, UID: c.Kubernetes.Pod.UID}
	switch {
	case c.Issuer != issuer:
		return Pod{}, fmt.Errorf("the token is of issuer %q, not of %q", c.Issuer, issuer)
	case !slices.Contains(c.Audience, feed.Audience):
		return Pod{}, fmt.Errorf("the token is for audience %q, not for %q", []string(c.Audience), feed.Audience)
	case c.Expiry == nil:
		return Pod{}, errors.New("the token never expires, which no projected token does")
	case !now.Before(c.Expiry.Time().Add(skew)):
		return Pod{}, errors.New("the token has expired")
	case c.NotBefore != nil && now.Add(skew).Before(c.NotBefore.Time()):
		return Pod{}, errors.New("the token is not valid yet")
	case p.Namespace == "" || p.ServiceAccount == "" || c.Subject != "system:serviceaccount:"+p.Namespace+":"+p.ServiceAccount:
		return Pod{}, fmt.Errorf("the token's subject %q is not the ServiceAccount it names", c.Subject)
	}
	return p, nil
}

func (v *Verifier) now() time.Time {
	if v.Now == nil {
		return time.Now()
	}
	return v.Now()
}
