package account

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/plan"
)

func newBody(s string) io.ReadCloser { return io.NopCloser(strings.NewReader(s)) }

func readAll(r io.Reader) string {
	if r == nil {
		return ""
	}
	b, _ := io.ReadAll(r)
	return string(b)
}

// asks runs one account against a token endpoint and returns what was asked
// and what came of it.
func asks(t *testing.T, o Options, a *plan.Account, s *plan.Secret, body string) (to *http.Request, form url.Values, out *Request) {
	t.Helper()
	e := &endpoint{answer: func(int, *http.Request) (int, string) { return 200, body }}
	if o.HTTP = e; o.Metadata != nil {
		o.HTTP, o.Metadata = nil, e
	}
	f := New(o)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go f.Run(ctx)
	out = &Request{Method: "POST", Host: "b.example.com", Path: "/x?a=1", Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte("{}")}
	if err := f.Apply(NewUse(a, s), out); err != nil {
		t.Fatal(err)
	}
	if len(e.asked) != 1 {
		t.Fatalf("asked %d times", len(e.asked))
	}
	form, err := url.ParseQuery(e.forms[0])
	if err != nil {
		t.Fatal(err)
	}
	return e.asked[0], form, out
}

const bearer = `{"access_token":"tok","token_type":"Bearer","expires_in":"3600"}`

func opaque(items ...string) *plan.Secret {
	s := &plan.Secret{Name: "secret/n/s/opaque", Kind: plan.SecretOpaque, Digest: "d"}
	for i := 0; i < len(items); i += 2 {
		s.Data = append(s.Data, plan.Item{Key: items[i], Value: []byte(items[i+1])})
	}
	return s
}

func TestOAuth2(t *testing.T) {
	t.Run("gateway-119 client credentials, by header", func(t *testing.T) {
		to, form, out := asks(t, Options{}, oauth(), hush("s/s"), bearer)
		user, password, _ := to.BasicAuth()
		if to.URL.String() != "https://login.example.com/token" || user != "me%26co" || password != "s%2Fs" {
			t.Errorf("%s as %q, %q", to.URL, user, password)
		}
		if d := cmp.Diff(url.Values{"grant_type": {"client_credentials"}, "scope": {"a b"}, "audience": {"aud"}}, form); d != "" {
			t.Error(d)
		}
		if got := out.Header.Get("Authorization"); got != "Bearer tok" {
			t.Errorf("sent %q", got)
		}
	})
	t.Run("gateway-119 client credentials, in the form, with the id from the Secret", func(t *testing.T) {
		a := oauth()
		a.ID, a.Token = "id", &plan.Token{URL: "https://login.example.com/token", InBody: true}
		to, form, _ := asks(t, Options{}, a, opaque("id", "app", "key", "hush"), bearer)
		if d := cmp.Diff(url.Values{"grant_type": {"client_credentials"}, "client_id": {"app"}, "client_secret": {"hush"}}, form); d != "" || to.Header["Authorization"] != nil {
			t.Error(d, to.Header)
		}
	})
}

func TestGoogle(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	document, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "me@p.iam.gserviceaccount.com", "private_key_id": "k1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	a := &plan.Account{Name: "a", Scheme: plan.SchemeGCP, Secret: "s", Key: "key", Field: "Authorization", Prefix: "Bearer ", Token: &plan.Token{Scopes: []string{"s1", "s2"}}}
	now := time.Now()
	t.Run("gateway-119 a service account signs for its token", func(t *testing.T) {
		to, form, out := asks(t, Options{Now: func() time.Time { return now }}, a, opaque("key", string(document)), bearer)
		if to.URL.String() != "https://oauth2.googleapis.com/token" || form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
			t.Errorf("%s %v", to.URL, form)
		}
		parts := strings.Split(form.Get("assertion"), ".")
		if len(parts) != 3 {
			t.Fatalf("assertion %v", parts)
		}
		var raw [3][]byte
		for i, p := range parts {
			if raw[i], err = base64.RawURLEncoding.DecodeString(p); err != nil {
				t.Fatal(err)
			}
		}
		sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
		if err := rsa.VerifyPKCS1v15(&private.PublicKey, crypto.SHA256, sum[:], raw[2]); err != nil {
			t.Error(err)
		}
		var claims map[string]any
		if err := json.Unmarshal(raw[1], &claims); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{
			"iss": "me@p.iam.gserviceaccount.com", "scope": "s1 s2", "aud": "https://oauth2.googleapis.com/token",
			"iat": float64(now.Unix()), "exp": float64(now.Unix() + 3600),
		}
		if d := cmp.Diff(want, claims); d != "" {
			t.Error(d)
		}
		if out.Header.Get("Authorization") != "Bearer tok" {
			t.Error(out.Header)
		}
	})
	t.Run("gateway-119 a pod asks the metadata service", func(t *testing.T) {
		pod := *a
		pod.Secret, pod.Key, pod.Token = "", "", &plan.Token{Scopes: []string{"s1"}, Pod: true}
		to, _, _ := asks(t, Options{Metadata: http.DefaultTransport}, &pod, nil, bearer)
		if to.URL.Host != "metadata.google.internal" || to.Header.Get("Metadata-Flavor") != "Google" || to.URL.Query().Get("scopes") != "s1" {
			t.Errorf("%s %v", to.URL, to.Header)
		}
	})
}

// pod is the environment of a pod that has an identity.
func pod(t *testing.T, vars ...string) Options {
	return Options{
		Getenv: func(name string) string {
			for i := 0; i < len(vars); i += 2 {
				if vars[i] == name {
					return vars[i+1]
				}
			}
			return ""
		},
		ReadFile: func(file string) ([]byte, error) {
			if file != "/var/run/token" {
				t.Errorf("read %s", file)
			}
			return []byte("federated\n"), nil
		},
	}
}

func TestAzure(t *testing.T) {
	a := func(token plan.Token) *plan.Account {
		token.Scopes = []string{"https://cognitiveservices.azure.com/.default"}
		return &plan.Account{Name: "a", Scheme: plan.SchemeAzure, Key: "key", Field: "Authorization", Prefix: "Bearer ", Token: &token}
	}
	t.Run("gateway-119 Entra ID by a client secret", func(t *testing.T) {
		to, form, out := asks(t, Options{}, a(plan.Token{URL: "https://login.microsoftonline.com/tenant", Client: "app"}), opaque("key", "hush"), bearer)
		want := url.Values{"grant_type": {"client_credentials"}, "scope": {"https://cognitiveservices.azure.com/.default"}, "client_id": {"app"}, "client_secret": {"hush"}}
		if d := cmp.Diff(want, form); d != "" || to.URL.String() != "https://login.microsoftonline.com/tenant/oauth2/v2.0/token" || out.Header.Get("Authorization") != "Bearer tok" {
			t.Error(d, to.URL, out.Header)
		}
	})
	t.Run("gateway-119 Entra ID by a federated token", func(t *testing.T) {
		o := pod(t, "AZURE_FEDERATED_TOKEN_FILE", "/var/run/token", "AZURE_CLIENT_ID", "app", "AZURE_TENANT_ID", "tenant")
		to, form, _ := asks(t, o, a(plan.Token{URL: "https://login.microsoftonline.com/", Pod: true}), nil, bearer)
		if to.URL.Path != "/tenant/oauth2/v2.0/token" || form.Get("client_assertion") != "federated" || form.Get("client_id") != "app" ||
			form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
			t.Errorf("%s %v", to.URL, form)
		}
	})
	t.Run("gateway-119 a managed identity asks the metadata service", func(t *testing.T) {
		o := pod(t)
		o.Metadata = http.DefaultTransport
		to, _, _ := asks(t, o, a(plan.Token{URL: "https://login.microsoftonline.com/", Client: "app", Pod: true}), nil, bearer)
		q := to.URL.Query()
		if to.URL.Host != "169.254.169.254" || to.Header.Get("Metadata") != "true" || q.Get("resource") != "https://cognitiveservices.azure.com" || q.Get("client_id") != "app" {
			t.Errorf("%s %v", to.URL, to.Header)
		}
	})
}

func TestRoles(t *testing.T) {
	const credentials = `<Credentials><AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>hush2</SecretAccessKey><SessionToken>session</SessionToken><Expiration>2126-01-01T00:00:00Z</Expiration></Credentials>`
	const role = "arn:aws:iam::123456789012:role/models"
	signedBy := func(t *testing.T, out *Request) {
		t.Helper()
		if got := out.Header.Get("Authorization"); !strings.HasPrefix(got, "AWS4-HMAC-SHA256 Credential=ASIA1/") || !strings.Contains(got, "/eu-west-1/bedrock/aws4_request") {
			t.Errorf("signature %s", got)
		}
		if !strings.Contains(out.Header.Get("Authorization"), "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token,") || out.Header.Get("X-Amz-Security-Token") != "session" {
			t.Errorf("header %v", out.Header)
		}
	}
	t.Run("gateway-119 a role is assumed with keys", func(t *testing.T) {
		a := &plan.Account{Name: "a", Scheme: plan.SchemeAWS, Secret: "s", ID: "id", Key: "key", AWS: &plan.AWS{Region: "eu-west-1", Service: "bedrock", Role: role, ExternalID: "x", Session: "egret"}}
		to, form, out := asks(t, Options{}, a, opaque("id", "AKIA1", "key", "hush"),
			`<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>`+credentials+`</AssumeRoleResult></AssumeRoleResponse>`)
		want := url.Values{"Action": {"AssumeRole"}, "Version": {"2011-06-15"}, "RoleArn": {role}, "RoleSessionName": {"egret"}, "ExternalId": {"x"}}
		if d := cmp.Diff(want, form); d != "" || to.URL.String() != "https://sts.eu-west-1.amazonaws.com/" {
			t.Error(d, to.URL)
		}
		if got := to.Header.Get("Authorization"); !strings.Contains(got, "Credential=AKIA1/") || !strings.Contains(got, "/eu-west-1/sts/") {
			t.Errorf("asked with %s", got)
		}
		signedBy(t, out)
	})
	t.Run("gateway-119 a role is assumed with the pod's web identity", func(t *testing.T) {
		a := &plan.Account{Name: "a", Scheme: plan.SchemeAWS, AWS: &plan.AWS{Region: "eu-west-1", Service: "bedrock", Session: "egret", Pod: true}}
		to, form, out := asks(t, pod(t, "AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token", "AWS_ROLE_ARN", role), a, nil,
			`<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult>`+credentials+`</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`)
		want := url.Values{"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleArn": {role}, "RoleSessionName": {"egret"}, "WebIdentityToken": {"federated"}}
		if d := cmp.Diff(want, form); d != "" || to.Header["Authorization"] != nil {
			t.Error(d, to.Header)
		}
		signedBy(t, out)
	})
	t.Run("a session token in the Secret is signed with", func(t *testing.T) {
		a := &plan.Account{Name: "a", Scheme: plan.SchemeAWS, Secret: "s", ID: "id", Key: "key", Session: "more", AWS: &plan.AWS{Region: "eu-west-1", Service: "bedrock"}}
		r := &Request{Method: "GET", Host: "h", Path: "/", Header: http.Header{}}
		if err := New(Options{}).Apply(NewUse(a, opaque("id", "AKIA1", "key", "hush", "more", "session")), r); err != nil || r.Header.Get("X-Amz-Security-Token") != "session" {
			t.Errorf("%v, %v", err, r.Header)
		}
	})
}

// Of a refusal only codes are repeated: the rest may quote what was sent.
func TestWord(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		if got := word([]byte(body)); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
	f(`{"error":"invalid_client","error_description":"AADSTS7000215: secret s3cret","error_codes":[7000215]}`, " invalid_client AADSTS7000215")
	f(`{"error":"invalid_client","error_description":"s3cret"}`, " invalid_client")
	f(`{"error":"invalid_client","error_codes":["s3cret"]}`, " invalid_client")
	f(`<Error><Code>AccessDenied</Code><Message>s3cret</Message></Error>`, " AccessDenied")
	f(`s3cret`, "")
}
