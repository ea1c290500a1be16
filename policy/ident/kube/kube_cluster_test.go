//go:build cluster

package kube

import (
	"os"
	"slices"
	"strings"
	"testing"

	authnv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/egret-gateway/egret/lab/apiserver"
	"github.com/egret-gateway/egret/policy/ident"
)

var (
	server *apiserver.Server
	admin  client.Client // may do everything
)

func TestMain(m *testing.M) {
	os.Exit(apiserver.Main(m, func(s *apiserver.Server) (err error) {
		server = s
		admin, err = client.New(s.Config(), client.Options{})
		return err
	}))
}

func open(t *testing.T, user string) *Client {
	t.Helper()
	config := server.Config()
	if user != "" {
		config = server.As(user)
	}
	c, err := New(config, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestReview(t *testing.T) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "alice"}}
	if err := admin.Create(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	seconds := int64(600)
	request := &authnv1.TokenRequest{Spec: authnv1.TokenRequestSpec{Audiences: []string{"maas-default-gateway-sa"}, ExpirationSeconds: &seconds}}
	if err := admin.SubResource("token").Create(t.Context(), account, request); err != nil {
		t.Fatal(err)
	}
	token := request.Status.Token
	c := open(t, "")
	t.Run("maas-88 a token of the audience is who it says", func(t *testing.T) {
		r, err := c.Review(t.Context(), token, []string{"https://kubernetes.default.svc", "maas-default-gateway-sa"})
		if err != nil || !r.Authenticated || r.User.Username != "system:serviceaccount:default:alice" || r.User.UID != string(account.UID) {
			t.Fatalf("%+v, error %v", r, err)
		}
		if !slices.Contains(r.User.Groups, "system:serviceaccounts:default") || !slices.Equal(r.Audiences, []string{"maas-default-gateway-sa"}) {
			t.Errorf("groups %v, audiences %v", r.User.Groups, r.Audiences)
		}
		if len(r.ID) != 36 || !r.Expires.Equal(request.Status.ExpirationTimestamp.Time) {
			t.Errorf("jti %q, end %v, want %v", r.ID, r.Expires, request.Status.ExpirationTimestamp)
		}
	})
	refused := func(name, token, audience string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			r, err := c.Review(t.Context(), token, []string{audience})
			if err != nil || r.Authenticated || r.Error == "" || strings.Contains(r.Error, token) {
				t.Errorf("%+v, error %v", r, err)
			}
		})
	}
	refused("maas-40 maas-87 a token of another audience", token, "https://kubernetes.default.svc")
	refused("maas-85 garbage", "garbage", "maas-default-gateway-sa")
	refused("a signature that does not fit", token[:len(token)-8]+"AAAAAAAA", "maas-default-gateway-sa")
	t.Run("who may not ask gets an error, never a yes", func(t *testing.T) {
		asker := open(t, "nobody")
		r, err := asker.Review(t.Context(), token, []string{"maas-default-gateway-sa"})
		if err == nil || !strings.Contains(err.Error(), "system:auth-delegator") || r.Authenticated {
			t.Errorf("%+v, error %v", r, err)
		}
		allowed, _, err := asker.Access(t.Context(), ident.Access{User: "a", Verb: "get", Path: "/"})
		if err == nil || allowed {
			t.Errorf("allowed %v, error %v", allowed, err)
		}
	})
}
