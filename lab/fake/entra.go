package fake

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const entraHost = "login.microsoftonline.com"

// App is the application that is registered at Entra ID.
type App struct {
	Tenant, ID string // GUIDs
	Secret     string
	// Subject is that of the tokens of World.Cluster which the application
	// trusts as federated credentials, for the audience api://AzureADTokenExchange.
	Subject string

	cert func() tls.Certificate // made when it is first asked for
}

func newApp(ca *CA) (*App, error) {
	return &App{
		Tenant: "11111111-2222-4333-8444-555555555555", ID: "99999999-8888-4777-8666-555555555555", Secret: secret(),
		Subject: "system:serviceaccount:egret-system:egret",
		cert: sync.OnceValue(func() tls.Certificate {
			key := rsaKey()
			template := validity(ca.cert.Subject)
			der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
			if err != nil {
				panic("BUG: " + err.Error())
			}
			return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
		}),
	}, nil
}

// Certificate is the credential that the application signs assertions with.
func (a *App) Certificate() (*x509.Certificate, *rsa.PrivateKey) {
	pair := a.cert()
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return cert, pair.PrivateKey.(*rsa.PrivateKey)
}

// TokenURL is where the application asks for tokens.
func (a *App) TokenURL() string {
	return "https://" + entraHost + "/" + a.Tenant + "/oauth2/v2.0/token"
}

// entra is the v2.0 token endpoint and what clients read before they use it.
func (w *World) entra() *Vendor {
	v := w.vendor("entra", entraError, entraHost)
	v.handle("POST /{tenant}/oauth2/v2.0/token", (*exchange).entraToken)
	v.handle("GET /{tenant}/v2.0/.well-known/openid-configuration", func(x *exchange) error {
		base := "https://" + entraHost + "/" + w.App.Tenant
		return x.reply(object{"issuer": base + "/v2.0", "token_endpoint": base + "/oauth2/v2.0/token", "authorization_endpoint": base + "/oauth2/v2.0/authorize", "jwks_uri": base + "/discovery/v2.0/keys"})
	})
	v.handle("GET /common/discovery/instance", func(x *exchange) error {
		return x.reply(object{
			"tenant_discovery_endpoint": "https://" + entraHost + "/" + w.App.Tenant + "/v2.0/.well-known/openid-configuration", "api-version": "1.1",
			"metadata": []object{{"preferred_network": entraHost, "preferred_cache": "login.windows.net", "aliases": []string{entraHost}}},
		})
	})
	return v
}

func (x *exchange) entraToken() error {
	form, err := x.form()
	if err != nil {
		return err
	}
	app := x.v.w.App
	switch {
	case x.r.PathValue("tenant") != app.Tenant:
		return oauthRefusal("invalid_request", "AADSTS90002: Tenant '"+x.r.PathValue("tenant")+"' not found.")
	case form.Get("grant_type") != "client_credentials":
		return oauthRefusal("unsupported_grant_type", "AADSTS70003: The app requested an unsupported grant type '"+form.Get("grant_type")+"'.")
	case form.Get("client_id") != app.ID:
		return oauthRefusal("unauthorized_client", "AADSTS700016: Application with identifier '"+form.Get("client_id")+"' was not found in the directory.")
	}
	if err := x.application(form); err != nil {
		return err
	}
	scopes := slices.DeleteFunc(strings.Fields(form.Get("scope")), func(s string) bool {
		return s == "openid" || s == "offline_access" || s == "profile"
	})
	if len(scopes) != 1 || !strings.HasSuffix(scopes[0], "/.default") {
		return oauthRefusal("invalid_scope", "AADSTS1002012: The provided value for scope "+form.Get("scope")+" is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).")
	}
	if err := x.trouble(); err != nil {
		return err
	}
	token, seconds := x.v.w.issue("eyJ0-lab-", "app "+app.ID, scopes[0], time.Hour)
	return x.grant(object{"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token})
}

// application wants the secret, an assertion signed with the registered
// certificate, or a token of the federated issuer.
func (x *exchange) application(form url.Values) error {
	app := x.v.w.App
	if assertion := form.Get("client_assertion"); assertion != "" {
		x.presents(assertion, "")
		if form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
			return oauthRefusal("invalid_request", "AADSTS90014: The required field 'client_assertion_type' is missing or wrong.")
		}
		if err := x.v.w.assertion(assertion); err != nil {
			return err
		}
		x.presents(assertion, "app "+app.ID)
		return nil
	}
	key := form.Get("client_secret")
	x.presents(key, "")
	switch key {
	case "":
		return &refusal{Status: http.StatusUnauthorized, Code: "invalid_client", Message: "AADSTS7000216: 'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type."}
	case app.Secret:
		x.presents(key, "app "+app.ID)
		return nil
	}
	return &refusal{Status: http.StatusUnauthorized, Code: "invalid_client", Message: "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID."}
}

func (w *World) assertion(token string) error {
	unauthorized := func(why string) error {
		return &refusal{Status: http.StatusUnauthorized, Code: "invalid_client", Message: why}
	}
	algorithms := []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256}
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil {
		return unauthorized("AADSTS50027: JWT token is invalid or malformed.")
	}
	algorithm := jose.SignatureAlgorithm(parsed.Headers[0].Algorithm)
	if algorithm == jose.ES256 {
		claims, err := w.Cluster.verify(token, "api://AzureADTokenExchange")
		switch {
		case err != nil:
			return unauthorized("AADSTS700211: No matching federated identity record found for presented assertion: " + err.Error())
		case claims.Subject != w.App.Subject:
			return unauthorized("AADSTS700213: No matching federated identity record found for presented assertion subject '" + claims.Subject + "'.")
		}
		return nil
	}
	cert, _ := w.App.Certificate()
	if !named509(parsed.Headers[0], cert) {
		return unauthorized("AADSTS700027: The certificate with identifier used to sign the client assertion is not registered on application.")
	}
	claims, err := verified(token, algorithm, cert.PublicKey, jwt.Expected{Issuer: w.App.ID, Subject: w.App.ID, AnyAudience: jwt.Audience{w.App.TokenURL()}, Time: w.now()})
	if err != nil || claims.Expiry == nil {
		return unauthorized("AADSTS700027: Client assertion failed signature validation, or is not within its valid time range.")
	}
	return nil
}

// named509 reports whether a header names the certificate by its thumbprint.
func named509(header jose.Header, cert *x509.Certificate) bool {
	old, current := sha1.Sum(cert.Raw), sha256.Sum256(cert.Raw)
	return thumbprint(header.ExtraHeaders["x5t"], old[:]) || thumbprint(header.ExtraHeaders["x5t#S256"], current[:])
}

// thumbprint reports whether a header is the sum in either alphabet of
// base64: RFC 7515 wants the one for URLs, Microsoft's own clients send the other.
func thumbprint(header any, sum []byte) bool {
	text, _ := header.(string)
	return strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(text) == base64.RawURLEncoding.EncodeToString(sum)
}

// entraError is OAuth2's error with Microsoft's number and identifiers.
func entraError(x *exchange, r *refusal) {
	code := r.Code
	if code == "" {
		code = "temporarily_unavailable"
		if r.Status < 500 && r.Status != http.StatusTooManyRequests {
			code = "invalid_request"
		}
	}
	body := object{"error": code, "error_description": r.Message, "timestamp": x.v.w.now().UTC().Format("2006-01-02 15:04:05Z"), "trace_id": x.serial(), "correlation_id": x.serial()}
	if number, _, ok := strings.Cut(strings.TrimPrefix(r.Message, "AADSTS"), ":"); ok && strings.HasPrefix(r.Message, "AADSTS") {
		body["error_codes"] = []json.Number{json.Number(number)}
	}
	x.write(r.Status, body)
}
