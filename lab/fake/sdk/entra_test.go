package sdk

import (
	"context"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/egret-gateway/egret/lab/fake"
)

// identities is every way to a token of Entra ID.
func identities(t *testing.T, w *fake.World) map[string]azcore.TokenCredential {
	t.Helper()
	options := azcore.ClientOptions{Transport: w.HTTP()}
	app := w.App
	secret, err := azidentity.NewClientSecretCredential(app.Tenant, app.ID, app.Secret, &azidentity.ClientSecretCredentialOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	cert, key := app.Certificate()
	signed, err := azidentity.NewClientCertificateCredential(app.Tenant, app.ID, []*x509.Certificate{cert}, key, &azidentity.ClientCertificateCredentialOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	federated, err := azidentity.NewClientAssertionCredential(app.Tenant, app.ID, func(context.Context) (string, error) {
		return w.Cluster.Token(app.Subject, "api://AzureADTokenExchange", time.Hour), nil
	}, &azidentity.ClientAssertionCredentialOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	machine, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]azcore.TokenCredential{"secret": secret, "certificate": signed, "federated": federated, "managed identity": machine}
}

func TestEntraRefuses(t *testing.T) {
	w := fake.New(t)
	c, err := azidentity.NewClientSecretCredential(w.App.Tenant, w.App.ID, "wrong", &azidentity.ClientSecretCredentialOptions{ClientOptions: azcore.ClientOptions{Transport: w.HTTP()}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{fake.CognitiveScope}})
	var typed *azidentity.AuthenticationFailedError
	if !errors.As(err, &typed) || typed.RawResponse.StatusCode != 401 {
		t.Errorf("%v", err)
	}
}
