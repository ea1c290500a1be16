package account

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/egret-gateway/egret/api/credential"
	"github.com/egret-gateway/egret/plan"
)

// keyOf names what is got by: accounts of a namespace that ask alike, with the
// same secret, share it; a Secret that is rotated makes a new one.
func keyOf(a *plan.Account, secret *plan.Secret) string {
	asks := struct {
		Scheme                        plan.Scheme
		Namespace                     string
		AWS                           *plan.AWS
		Token                         *plan.Token
		Secret, ID, Key, Session, Sum string
	}{Scheme: a.Scheme, Namespace: a.Namespace, AWS: a.AWS, Token: a.Token, Secret: a.Secret, ID: a.ID, Key: a.Key, Session: a.Session}
	if secret != nil {
		asks.Sum = secret.Digest
	}
	return plan.Digest(asks)
}

// token returns the account's bearer token.
func (o *Office) token(u *Use) (grant, error) {
	a, f := u.Account, o.oauth2
	switch {
	case a.Scheme == plan.SchemeGCP && a.Token.Pod:
		f = o.googlePod
	case a.Scheme == plan.SchemeGCP:
		f = o.google
	case a.Scheme == plan.SchemeAzure && a.Token.Pod:
		f = o.azurePod
	case a.Scheme == plan.SchemeAzure:
		f = o.azure
	}
	return o.get(u, func(ctx context.Context) (grant, error) { return f(ctx, a, u.Secret) })
}

// ask posts a form and reads the token in the answer.
func (o *Office) ask(ctx context.Context, address string, form url.Values, header http.Header) (grant, error) {
	body, err := o.post(ctx, address, form, header)
	if err != nil {
		return grant{}, err
	}
	return o.granted(body)
}

// oauth2 asks by client credentials (RFC 6749 4.4).
func (o *Office) oauth2(ctx context.Context, a *plan.Account, secret *plan.Secret) (grant, error) {
	form, header := url.Values{"grant_type": {"client_credentials"}}, http.Header{}
	if len(a.Token.Scopes) > 0 {
		form.Set("scope", strings.Join(a.Token.Scopes, " "))
	}
	if a.Token.Audience != "" {
		form.Set("audience", a.Token.Audience)
	}
	id, key := clientOf(a, secret), string(secret.Item(a.Key))
	if a.Token.InBody {
		form.Set("client_id", id)
		form.Set("client_secret", key)
	} else { // both are escaped first (RFC 6749 2.3.1)
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(key))))
	}
	return o.ask(ctx, a.Token.URL, form, header)
}

func clientOf(a *plan.Account, secret *plan.Secret) string {
	if a.Token.Client == "" && a.ID != "" {
		return string(secret.Item(a.ID))
	}
	return a.Token.Client
}

// google asks by a service account's key (RFC 7523).
func (o *Office) google(ctx context.Context, a *plan.Account, secret *plan.Secret) (grant, error) {
	key, err := credential.ServiceAccount(secret.Item(a.Key))
	if err != nil {
		return grant{}, fmt.Errorf("item %s %w", a.Key, err)
	}
	now := o.opts.Now()
	assertion, err := assert(key, map[string]any{
		"iss": key.Email, "scope": strings.Join(a.Token.Scopes, " "), "aud": key.URL, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	})
	if err != nil {
		return grant{}, err
	}
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}}
	return o.ask(ctx, key.URL, form, nil)
}

// assert makes a token of our own, signed with RS256 (RFC 7515).
func assert(key *credential.Key, claims map[string]any) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key.Private, KeyID: key.KeyID}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", errors.New("the service account's key cannot sign")
	}
	return jwt.Signed(signer).Claims(claims).Serialize()
}

// googlePod asks the metadata service.
func (o *Office) googlePod(ctx context.Context, a *plan.Account, _ *plan.Secret) (grant, error) {
	return o.metadata(ctx, googleMetadata+"?"+url.Values{"scopes": {strings.Join(a.Token.Scopes, ",")}}.Encode(), "Metadata-Flavor", "Google")
}

func (o *Office) metadata(ctx context.Context, address, field, value string) (grant, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return grant{}, errors.New("the metadata service's address cannot be used")
	}
	req.Header.Set(field, value)
	body, err := o.call(req, o.opts.Metadata)
	if err != nil {
		return grant{}, err
	}
	return o.granted(body)
}

// azure asks Entra ID by a client secret.
func (o *Office) azure(ctx context.Context, a *plan.Account, secret *plan.Secret) (grant, error) {
	return o.ask(ctx, a.Token.URL+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "scope": {strings.Join(a.Token.Scopes, " ")},
		"client_id": {clientOf(a, secret)}, "client_secret": {string(secret.Item(a.Key))},
	}, nil)
}

// azurePod asks Entra ID by the pod's federated token or, in a pod that has
// none, the metadata service.
func (o *Office) azurePod(ctx context.Context, a *plan.Account, _ *plan.Secret) (grant, error) {
	client := a.Token.Client
	if client == "" {
		client = o.opts.Getenv("AZURE_CLIENT_ID")
	}
	if o.opts.Getenv("AZURE_FEDERATED_TOKEN_FILE") == "" {
		resource := strings.TrimSuffix(strings.Join(a.Token.Scopes, " "), "/.default")
		q := url.Values{"api-version": {"2018-02-01"}, "resource": {resource}}
		if client != "" {
			q.Set("client_id", client)
		}
		return o.metadata(ctx, azureMetadata+"?"+q.Encode(), "Metadata", "true")
	}
	assertion, err := o.identity("AZURE_FEDERATED_TOKEN_FILE")
	if err != nil {
		return grant{}, err
	}
	address := a.Token.URL
	if strings.HasSuffix(address, "/") { // the tenant is the pod's
		address += o.opts.Getenv("AZURE_TENANT_ID")
	}
	return o.ask(ctx, address+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "scope": {strings.Join(a.Token.Scopes, " ")}, "client_id": {client},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion},
	}, nil)
}

// identity reads the token of the pod's identity, whose file a variable of its
// environment names. The kubelet renews it.
func (o *Office) identity(variable string) (string, error) {
	file := o.opts.Getenv(variable)
	if file == "" || o.opts.ReadFile == nil {
		return "", fmt.Errorf("this gateway has no identity of its own: %s is not set", variable)
	}
	b, err := o.opts.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", variable, err)
	}
	v, err := credential.Value(b)
	if err != nil {
		return "", fmt.Errorf("the file that %s names %w", variable, err)
	}
	return v, nil
}
