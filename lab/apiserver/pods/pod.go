package pods

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"

	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/feed/token"
	"github.com/egret-gateway/egret/lab/apiserver"
	"github.com/egret-gateway/egret/xds"
	"github.com/egret-gateway/egret/xds/xdstest"
)

// Pod is a pod of a Gateway.
type Pod struct {
	Server *apiserver.Server
	// Namespace is the Gateway's, and Fleet the name of its objects.
	Namespace, Fleet string
	Node             string // xDS node id
	Address          string // host:port of the controller's xDS server
	Dir              string // for its files

	// Engine gets the feed and, on the Envoy plane, Envoy what Envoy does; nil
	// on the native plane. Their Node and Delta are set by Run.
	Engine, Envoy *xdstest.Peer
}

// Sign gets what the pod signs in with. The fleet must be there.
func (p *Pod) Sign(ctx context.Context) ([]grpc.DialOption, error) {
	core := "/api/v1/namespaces/" + p.Namespace
	raw, err := p.Server.Do(ctx, http.MethodPost, core+"/serviceaccounts/"+p.Fleet+"/token",
		[]byte(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"audiences":["`+feed.Audience+`"]}}`))
	if err != nil {
		return nil, err
	}
	var review struct{ Status struct{ Token string } }
	var config corev1.ConfigMap
	err = json.Unmarshal(raw, &review)
	if err == nil {
		raw, err = p.Server.Do(ctx, http.MethodGet, core+"/configmaps/"+p.Fleet, nil)
	}
	if err == nil {
		err = json.Unmarshal(raw, &config)
	}
	if err != nil {
		return nil, err
	}
	ca, own := filepath.Join(p.Dir, "ca.crt"), filepath.Join(p.Dir, "token")
	if err := errors.Join(os.WriteFile(ca, []byte(config.Data["ca.crt"]), 0o600), os.WriteFile(own, []byte(review.Status.Token), 0o600)); err != nil {
		return nil, err
	}
	return []grpc.DialOption{grpc.WithTransportCredentials(token.TLS(ca)), grpc.WithPerRPCCredentials(token.File(own))}, nil
}

// Ready has the Deployment say that so many pods serve, as the kubelet and the
// controllers of a cluster would.
func (p *Pod) Ready(ctx context.Context, pods int) error {
	_, err := p.Server.Do(ctx, http.MethodPatch, "/apis/apps/v1/namespaces/"+p.Namespace+"/deployments/"+p.Fleet+"/status",
		fmt.Appendf(nil, `{"status":{"replicas":%[1]d,"readyReplicas":%[1]d,"availableReplicas":%[1]d,"updatedReplicas":%[1]d}}`, pods))
	return err
}

// Run signs in and acknowledges what comes, until ctx or a stream ends; the
// error says why it did.
func (p *Pod) Run(ctx context.Context) error {
	options, err := p.Sign(ctx)
	if err != nil {
		return err
	}
	ended := make(chan error, 2)
	p.Engine.Node, p.Engine.Delta = p.Node, true
	if err := p.stream(ctx, p.Engine, options, feed.Types, ended); err != nil {
		return err
	}
	if p.Envoy != nil {
		p.Envoy.Node, p.Envoy.Delta, p.Envoy.Follow = p.Node, true, xdstest.References
		if err := p.stream(ctx, p.Envoy, options, []string{xds.TypeCluster, xds.TypeListener}, ended); err != nil {
			return err
		}
	}
	return <-ended
}

// stream connects a peer, which asks for the types unless it did before.
func (p *Pod) stream(ctx context.Context, peer *xdstest.Peer, options []grpc.DialOption, types []string, ended chan<- error) error {
	conn, err := grpc.NewClient("passthrough:///"+p.Address, options...)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	known := peer.Have(types[len(types)-1]) != nil
	if err := peer.Open(ctx, conn); err != nil {
		return err
	}
	for _, typ := range types {
		if known {
			break
		}
		if err := peer.Subscribe(typ); err != nil {
			return err
		}
	}
	go func() { ended <- peer.Run() }()
	return nil
}
