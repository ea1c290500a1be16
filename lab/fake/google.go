package fake

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/tidwall/gjson"
)

const (
	googleTokenURL = "https://oauth2.googleapis.com/token"
	project        = "egret-lab"
)

// ServiceAccount is the service account of Google's that the fakes know.
type ServiceAccount struct {
	Email string
	// Pool is the workload identity provider whose tokens (of World.Cluster,
	// for this audience) may act as the account, and Subject theirs.
	Pool, Subject string

	id  string
	key func() *rsa.PrivateKey // made when it is first asked for, since that takes time
}

func newServiceAccount() (*ServiceAccount, error) {
	return &ServiceAccount{
		Email:   "egret@" + project + ".iam.gserviceaccount.com",
		Pool:    "//iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/lab/providers/cluster",
		Subject: "system:serviceaccount:egret-system:egret", id: secret(), key: sync.OnceValue(rsaKey),
	}, nil
}

func rsaKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return key
}

// KeyFile is the account's key as Google hands it out.
func (s *ServiceAccount) KeyFile() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(s.key())
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return encode(object{
		"type": "service_account", "project_id": project, "private_key_id": s.id, "private_key": string(block("PRIVATE KEY", der)),
		"client_email": s.Email, "client_id": "100000000000000000001", "auth_uri": "https://accounts.google.com/o/oauth2/auth", "token_uri": googleTokenURL,
		"auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs", "universe_domain": "googleapis.com",
	})
}

// google is the endpoints that issue Google's tokens.
func (w *World) google() *Vendor {
	v := w.vendor("google", googleTokenError, "oauth2.googleapis.com", "sts.googleapis.com", "iamcredentials.googleapis.com")
	v.handle("POST oauth2.googleapis.com/token", (*exchange).jwtBearer)
	v.handle("POST sts.googleapis.com/v1/token", (*exchange).tokenExchange)
	v.handle("POST iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{call}", (*exchange).impersonate)
	return v
}

// jwtBearer is RFC 7523: an assertion that the account has signed with its key.
func (x *exchange) jwtBearer() error {
	form, err := x.form()
	if err != nil {
		return err
	}
	if grant := form.Get("grant_type"); grant != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		return oauthRefusal("unsupported_grant_type", "Invalid grant_type: "+grant)
	}
	account, assertion := x.v.w.ServiceAccount, form.Get("assertion")
	x.presents(assertion, "")
	var more struct {
		Scope string `json:"scope"`
	}
	claims, err := verified(assertion, jose.RS256, account.key().Public(), jwt.Expected{Issuer: account.Email, AnyAudience: jwt.Audience{googleTokenURL}, Time: x.v.w.now()})
	if err != nil {
		return oauthRefusal("invalid_grant", "Invalid JWT: "+err.Error())
	}
	if claims.IssuedAt == nil || claims.Expiry == nil || claims.Expiry.Time().Sub(claims.IssuedAt.Time()) > time.Hour {
		return oauthRefusal("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.")
	}
	if parsed, err := jwt.ParseSigned(assertion, []jose.SignatureAlgorithm{jose.RS256}); err != nil || parsed.Claims(account.key().Public(), &more) != nil || more.Scope == "" {
		return oauthRefusal("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
	}
	x.presents(assertion, account.Email)
	if err := x.trouble(); err != nil {
		return err
	}
	token, seconds := x.v.w.issue("ya29.lab-", account.Email, more.Scope, time.Hour)
	return x.grant(object{"access_token": token, "token_type": "Bearer", "expires_in": seconds})
}

// tokenExchange is RFC 8693: a token of the cluster's for one of the pool's.
func (x *exchange) tokenExchange() error {
	field := func(name string) string { return gjson.GetBytes(x.body, name).Str }
	if x.media("application/json") != nil {
		form, err := x.form()
		if err != nil {
			return err
		}
		field = form.Get
	}
	pick := func(snake, camel string) string {
		if value := field(snake); value != "" {
			return value
		}
		return field(camel)
	}
	account, token := x.v.w.ServiceAccount, pick("subject_token", "subjectToken")
	x.presents(token, "")
	switch {
	case pick("grant_type", "grantType") != "urn:ietf:params:oauth:grant-type:token-exchange":
		return oauthRefusal("unsupported_grant_type", "Invalid grant_type")
	case field("audience") != account.Pool:
		return oauthRefusal("invalid_target", "The target service indicated by the \"audience\" parameters is invalid.")
	case pick("subject_token_type", "subjectTokenType") != "urn:ietf:params:oauth:token-type:jwt":
		return oauthRefusal("invalid_request", "Invalid subject_token_type")
	}
	claims, err := x.v.w.Cluster.verify(token, account.Pool)
	if err != nil || claims.Subject != account.Subject {
		return oauthRefusal("invalid_grant", "The given credential is rejected by the attribute condition, expired or not signed by the provider.")
	}
	x.presents(token, claims.Subject)
	if err := x.trouble(); err != nil {
		return err
	}
	issued, seconds := x.v.w.issue("ya29.d.lab-", "principal:"+claims.Subject, field("scope"), time.Hour)
	return x.grant(object{"access_token": issued, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "token_type": "Bearer", "expires_in": seconds})
}

// impersonate gives the pool's principal a token of the account's.
func (x *exchange) impersonate() error {
	w := x.v.w
	x.presents(x.bearer(), "")
	g, ok := w.tokens.find(x.bearer(), w.now())
	if !ok || !strings.HasPrefix(g.subject, "principal:") {
		return &refusal{Status: http.StatusUnauthorized, Message: "Request had invalid authentication credentials."}
	}
	x.presents(x.bearer(), g.subject)
	if x.r.PathValue("call") != w.ServiceAccount.Email+":generateAccessToken" {
		return &refusal{Status: http.StatusForbidden, Message: "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist)."}
	}
	if x.media("application/json") != nil {
		return &refusal{Status: http.StatusBadRequest, Message: "Invalid content type: want application/json."}
	}
	scope := gjson.GetBytes(x.body, "scope.0").Str
	if scope == "" {
		return &refusal{Status: http.StatusBadRequest, Message: "scope is required"}
	}
	if err := x.trouble(); err != nil {
		return err
	}
	token, seconds := w.issue("ya29.c.lab-", w.ServiceAccount.Email, scope, time.Hour)
	return x.grant(object{"accessToken": token, "expireTime": w.now().Add(time.Duration(seconds) * time.Second).UTC().Format(time.RFC3339)})
}

// googleTokenError speaks OAuth2 where tokens are asked for, Google's own
// shape elsewhere.
func googleTokenError(x *exchange, r *refusal) {
	if strings.HasSuffix(x.r.URL.Path, "/token") {
		oauthError(x, r)
		return
	}
	googleError(x, r)
}
