package local

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

func TestIssuerKeepsItsKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signing.pem")
	first, err := OpenIssuer(path)
	if err != nil {
		t.Fatal(err)
	}
	token, err := first.sign(claims{Subject: "s"})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file %v, error %v, want mode 0600", info, err)
	}
	second, err := OpenIssuer(path)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := second.read(token); err != nil || c.Subject != "s" {
		t.Errorf("claims %+v, error %v", c, err)
	}
}

func TestIssuerRefusesKeys(t *testing.T) {
	f := func(name, text string, mode os.FileMode, want string) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "signing.pem")
			if err := os.WriteFile(path, []byte(text), mode); err != nil {
				t.Fatal(err)
			}
			if _, err := OpenIssuer(path); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want one with %q", err, want)
			}
		})
	}
	pkcs8 := func(key any) string {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	key, err := ourKey()
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f("others may read it", pkcs8(key), 0o644, "run: chmod 600")
	f("no PEM", "x", 0o600, "no PEM block")
	f("too small", pkcs8(small), 0o600, "2048 are the least")
	f("no RSA", pkcs8(curve), 0o600, "not an RSA key")
	f("garbage in PEM", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0o600, "signing.pem")
}

// The header, the order of the claims and the key set are an API server's.
func TestTokenShape(t *testing.T) {
	s := newScene(t)
	token := s.sign(s.good())
	part := func(i int) string {
		text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[i])
		s.must(err)
		return string(text)
	}
	want := `{"alg":"RS256","kid":"` + s.issuer.keyID + `"}`
	if got := part(0); got != want || len(s.issuer.keyID) != 43 {
		t.Errorf("header %s, want %s", got, want)
	}
	want = `{"aud":["maas-default-gateway-sa","other"],"exp":1771003513,"iat":1771002913,"iss":"https://kubernetes.default.svc",` +
		`"jti":"id","kubernetes.io":{"namespace":"ns","serviceaccount":{"name":"sa","uid":"` + s.account.UID + `"}},` +
		`"nbf":1771002913,"sub":"system:serviceaccount:ns:sa"}`
	if diff := cmp.Diff(want, part(1)); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}

	text, err := s.issuer.JWKS()
	s.must(err)
	var set jose.JSONWebKeySet
	s.must(json.Unmarshal(text, &set))
	if strings.Contains(string(text), `"d":`) || len(set.Keys) != 1 || !set.Keys[0].IsPublic() {
		t.Fatal("the key set is not one public key")
	}
	if k := set.Keys[0]; k.KeyID != s.issuer.keyID || k.Algorithm != "RS256" || k.Use != "sig" {
		t.Errorf("key %s %s %s", k.KeyID, k.Algorithm, k.Use)
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	s.must(err)
	if _, err := signed.Verify(set.Key(s.issuer.keyID)[0]); err != nil {
		t.Errorf("the key set does not verify the token: %v", err)
	}
}
