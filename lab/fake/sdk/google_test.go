package sdk

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cloud.google.com/go/compute/metadata"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/oauth2/google"
	"golang.org/x/oauth2/google/externalaccount"
	"google.golang.org/genai"

	"github.com/egret-gateway/egret/lab/fake"
)

// TestVertex gets tokens as a service account, by workload identity and from
// the metadata server, and calls Gemini on Vertex AI with each.
func TestVertex(t *testing.T) {
	w := fake.New(t)
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, w.HTTP())
	account, err := google.JWTConfigFromJSON(w.ServiceAccount.KeyFile(), fake.CloudScope)
	if err != nil {
		t.Fatal(err)
	}
	subject := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(subject, []byte(w.Cluster.Token(w.ServiceAccount.Subject, w.ServiceAccount.Pool, time.Hour)), 0o600); err != nil {
		t.Fatal(err)
	}
	federated, err := externalaccount.NewTokenSource(ctx, externalaccount.Config{
		Audience: w.ServiceAccount.Pool, SubjectTokenType: "urn:ietf:params:oauth:token-type:jwt", TokenURL: "https://sts.googleapis.com/v1/token",
		ServiceAccountImpersonationURL: "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/" + w.ServiceAccount.Email + ":generateAccessToken",
		CredentialSource:               &externalaccount.CredentialSource{File: subject}, Scopes: []string{fake.CloudScope},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, source := range map[string]oauth2.TokenSource{"service account": account.TokenSource(ctx), "workload identity": federated, "metadata server": machine{w.HTTP()}} {
		t.Run(name, func(t *testing.T) {
			w.Gemini.Forget()
			c, err := genai.NewClient(t.Context(), &genai.ClientConfig{
				Backend: genai.BackendVertexAI, Project: "egret-lab", Location: "us-central1",
				HTTPClient: &http.Client{Transport: &oauth2.Transport{Source: source, Base: w.HTTP().Transport}},
			})
			if err != nil {
				t.Fatal(err)
			}
			generate(t, c)
			if seen := w.Gemini.Journal()[0]; seen.Subject != w.ServiceAccount.Email {
				t.Errorf("called as %q", seen.Subject)
			}
		})
	}
}

// machine is a token source that asks the metadata server with Google's client.
type machine struct{ http *http.Client }

func (m machine) Token() (*oauth2.Token, error) {
	text, err := metadata.NewClient(m.http).GetWithContext(context.Background(), "instance/service-accounts/default/token")
	if err != nil {
		return nil, err
	}
	var answer struct {
		Token string `json:"access_token"`
	}
	err = json.Unmarshal([]byte(text), &answer)
	return &oauth2.Token{AccessToken: answer.Token}, err
}

func TestOAuth(t *testing.T) {
	w := fake.New(t)
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, w.HTTP())
	for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams} {
		config := clientcredentials.Config{ClientID: w.Client.ID, ClientSecret: w.Client.Secret, TokenURL: w.Client.TokenURL, Scopes: []string{w.Client.Scope}, AuthStyle: style}
		token, err := config.Token(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if subject, scope, ok := w.Granted(token.AccessToken); !ok || subject != "client egret-lab" || scope != w.Client.Scope {
			t.Errorf("%q, %q, %v", subject, scope, ok)
		}
		config.ClientSecret = "wrong"
		if _, err := config.Token(ctx); err == nil {
			t.Error("a wrong secret got a token")
		}
	}
}
