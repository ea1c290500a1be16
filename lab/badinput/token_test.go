package badinput

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/egret-gateway/egret/manifests"
	"github.com/egret-gateway/egret/policy/ident/local"
	"github.com/egret-gateway/egret/source/file"
	"github.com/egret-gateway/egret/standalone"
)

// forgery is a row about a token: what is done to a good one, and what the
// two kinds of rules that read tokens make of it. Where there is a status, the
// caller is told no more.
type forgery struct {
	input  string
	claims func(now int64, claims map[string]any) // nil leaves them
	sign   func(s *signer, payload []byte) string // nil signs well

	review       string // kubernetesTokenReview, as for MaaS tokens: the answer
	reviewReason string // in the access log, which says no more than "unauthenticated" to the caller
	jwt          string // jwt
	jwtReason    string
}

// after sets a time claim to some seconds from now.
func after(claim string, seconds int64) func(int64, map[string]any) {
	return func(now int64, c map[string]any) { c[claim] = now + seconds }
}

var forgeries = []forgery{
	{input: "none wrong", review: "200", jwt: "200"},
	{input: "expired 3 s ago, within the leeway", claims: after("exp", -3), review: "200", jwt: "200"},
	{input: "expired 11 s ago", claims: after("exp", -11), review: "401", reviewReason: "the token has expired", jwt: "401", jwtReason: "credential rejected: expired"},
	{input: "valid from 5 s from now on, within the leeway", claims: after("nbf", 5), review: "200", jwt: "200"},
	{input: "valid from 60 s from now on", claims: after("nbf", 60), review: "401", reviewReason: "the token is not valid yet", jwt: "401", jwtReason: "not valid yet (nbf)"},
	{input: "for another audience", claims: func(_ int64, c map[string]any) { c["aud"] = []string{"other"} },
		review: "401", reviewReason: "not for", jwt: "403", jwtReason: "audience: a pattern does not match"},
	{input: "by another issuer", claims: func(_ int64, c map[string]any) { c["iss"] = "https://other.example" },
		review: "401", reviewReason: "the token's issuer is", jwt: "401", jwtReason: "issued by another issuer"},
	{input: "algorithm HS256, keyed with the public key", sign: func(s *signer, p []byte) string { return s.sign(p, jose.HS256, s.public(), s.kid) },
		review: "401", reviewReason: "the token is neither a user's nor a JWT signed with RS256", jwt: "401", jwtReason: "the algorithm is not one of"},
	{input: "algorithm RS512", sign: func(s *signer, p []byte) string { return s.sign(p, jose.RS512, s.key, s.kid) },
		review: "401", reviewReason: "the token is neither a user's nor a JWT signed with RS256", jwt: "401", jwtReason: "no key of the issuer fits its kid and algorithm"},
	{input: "`alg: none`", sign: unsigned, review: "401", reviewReason: "the token is neither a user's nor a JWT signed with RS256", jwt: "401", jwtReason: "the algorithm is not one of"},
	{input: "unknown `kid`", sign: func(s *signer, p []byte) string { return s.sign(p, jose.RS256, s.key, "unknown") },
		review: "401", reviewReason: "the token was signed with a key that is not ours", jwt: "401", jwtReason: "no key of the issuer fits its kid and algorithm"},
	{input: "signed by another key under the right `kid`", sign: func(s *signer, p []byte) string { return s.sign(p, jose.RS256, s.other, s.kid) },
		review: "401", reviewReason: "the token's signature or claims are wrong", jwt: "401", jwtReason: "the signature does not verify"},
	{input: "claims changed after signing", sign: func(s *signer, p []byte) string {
		parts := strings.Split(s.sign(p, jose.RS256, s.key, s.kid), ".")
		return parts[0] + "." + base64.RawURLEncoding.EncodeToString(append(p[:len(p)-1], `,"admin":true}`...)) + "." + parts[2]
	}, review: "401", reviewReason: "the token's signature or claims are wrong", jwt: "401", jwtReason: "the signature does not verify"},
	{input: "not a token", sign: func(*signer, []byte) string { return "sesame" }, review: "401", reviewReason: "the token is neither a user's nor a JWT", jwt: "401", jwtReason: "not a signed token in compact form"},
}

// signer is an issuer whose key the test holds.
type signer struct {
	t          *testing.T
	key, other *rsa.PrivateKey
	kid        string
}

func newSigner(t *testing.T) *signer {
	t.Helper()
	s := &signer{t: t}
	for _, k := range []**rsa.PrivateKey{&s.key, &s.other} {
		var err error
		if *k, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			t.Fatal(err)
		}
	}
	thumb, err := (&jose.JSONWebKey{Key: s.key.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	s.kid = base64.RawURLEncoding.EncodeToString(thumb)
	return s
}

// public is the public key as bytes that a careless verifier would take for
// the secret of an HMAC.
func (s *signer) public() []byte {
	der, err := x509.MarshalPKIXPublicKey(s.key.Public())
	if err != nil {
		s.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func (s *signer) sign(payload []byte, alg jose.SignatureAlgorithm, key any, kid string) string {
	signing, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	signed, err := signing.Sign(payload)
	if err != nil {
		s.t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

func unsigned(s *signer, payload []byte) string {
	head := fmt.Sprintf(`{"alg":"none","kid":%q}`, s.kid)
	return base64.RawURLEncoding.EncodeToString([]byte(head)) + "." + base64.RawURLEncoding.EncodeToString(payload) + "."
}

// token is a good one with the row's forgery done to it.
func (s *signer) token(row *forgery, good map[string]any) string {
	claims := maps.Clone(good)
	if row.claims != nil {
		row.claims(time.Now().Unix(), claims)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		s.t.Fatal(err)
	}
	if row.sign != nil {
		return row.sign(s, payload)
	}
	return s.sign(payload, jose.RS256, s.key, s.kid)
}

// serveKeys is the issuer's discovery document and key set.
func (s *signer) serveKeys(t *testing.T) (address string) {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.key.Public(), KeyID: s.kid, Algorithm: "RS256", Use: "sig"}}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]string{"issuer": "http://issuer.example", "jwks_uri": "http://issuer.example/keys"})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(set) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

const jwtPolicy = `---
apiVersion: kuadrant.io/v1
kind: AuthPolicy
metadata: {name: jwt, namespace: lab}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: echo}
  rules:
    authentication:
      issuer: {jwt: {issuerUrl: http://issuer.example}}
    authorization:
      audience:
        patternMatching: {patterns: [{predicate: '"models" in auth.identity.aud'}]}
    response:
      success:
        headers:
          X-User: {plain: {expression: auth.identity.sub}}
`

const maasGateway = "openshift-ingress/maas-default-gateway"

// TestTokens runs every row against a jwt rule, and against the MaaS gateway
// of the published manifests with a token that the MaaS API made.
func TestTokens(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	issuer := s.serveKeys(t)
	manifestsDir, data := t.TempDir(), t.TempDir()
	write(t, manifestsDir, "edge.yaml", gateway+backends()+jwtPolicy)
	user := s.own(data)
	w := start(t, manifestsDir, func(o *standalone.Options) {
		o.Files = file.Options{FS: manifests.FS, Paths: []string{manifestsDir}, Log: o.Log}
		o.Data, o.Simulate = data, true
		o.Listen[maasGateway+"/http"] = standalone.Address{At: "127.0.0.1:0"}
		o.Resolve.Set("issuer.example", 80, issuer)
	})
	kid, minted := w.mint(user)
	maas := *s
	maas.kid = kid
	own := map[string]any{"iss": "http://issuer.example", "sub": "alice", "aud": []string{"models"}, "exp": time.Now().Unix() + 600}
	for i := range forgeries {
		row := &forgeries[i]
		bearer := func(token string) string { return "Authorization: Bearer " + token }
		t.Run(row.input+", jwt", func(t *testing.T) {
			r := row.request(get("/echo", bearer(s.token(row, own)), "X-User: root"), row.jwt, row.jwtReason)
			if row.jwt == "200" {
				r.body = `{"X-User":"alice"}` // not what the client says of itself
			}
			r.check(t, w, w.address["lab/edge"], fmt.Sprintf("jwt-%d", i))
		})
		t.Run(row.input+", kubernetesTokenReview", func(t *testing.T) {
			r := row.request(get("/external/v1/models", bearer(maas.token(row, minted))), row.review, row.reviewReason)
			r.check(t, w, w.address[maasGateway], fmt.Sprintf("review-%d", i))
		})
	}
	// Each of the tokens began so; no log holds a part of one.
	if log := w.log.since(0) + w.access.since(0); strings.Contains(log, "eyJ") {
		t.Errorf("a token is in a log: %s", grep(log, "eyJ"))
	}
}

// What callers are told, whatever the reason.
const (
	notAuthenticated = "not authenticated"
	notAuthorized    = "Unauthorized"
)

func (row *forgery) request(send, answer, reason string) request {
	r := request{send: send, answer: answer, reason: reason, within: atOnce}
	switch answer {
	case "401":
		r.code, r.told = "unauthenticated", notAuthenticated
	case "403":
		r.code, r.told = "unauthorized", notAuthorized
	}
	return r
}

// own makes s the issuer of a data directory and returns a user's token.
func (s *signer) own(data string) (user string) {
	der, err := x509.MarshalPKCS8PrivateKey(s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "issuer.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if user, err = local.Enroll(filepath.Join(data, "users.yaml"), "alice", nil, nil); err != nil {
		s.t.Fatal(err)
	}
	return user
}

// mint has the MaaS API make a token and takes it apart.
func (w *world) mint(user string) (kid string, claims map[string]any) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	got := send(ctx, w.address[maasGateway], minting(user), nil)
	if got.answer != "201" {
		w.t.Fatalf("mint: %s %s\n%s", got.answer, got.body, w.log.since(0))
	}
	return takeApart(w.t, got.body)
}

// minting is the request for a token of ten minutes.
func minting(user string, headers ...string) string {
	const body = `{"expiration":"10m"}`
	headers = append(headers, "Authorization: Bearer "+user, "Content-Type: application/json", fmt.Sprint("Content-Length: ", len(body)))
	return "POST" + strings.TrimPrefix(get("/maas-api/v1/tokens", headers...), "GET") + body
}

// takeApart reads the answer to minting.
func takeApart(t *testing.T, answer string) (kid string, claims map[string]any) {
	t.Helper()
	var minted struct{ Token string }
	if err := json.Unmarshal([]byte(answer), &minted); err != nil {
		t.Fatal(err)
	}
	var head struct{ Kid string }
	parts := strings.Split(minted.Token+"..", ".")
	for i, into := range []any{&head, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err == nil {
			err = json.Unmarshal(text, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return head.Kid, claims
}
