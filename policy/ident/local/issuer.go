package local

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// IssuerURL is the iss claim of every token, and the audience that the API
// server itself has.
const IssuerURL = "https://kubernetes.default.svc"

const (
	keyBits  = 2048
	maxToken = 16 << 10 // bytes; longer ones are refused unread
	pemType  = "PRIVATE KEY"
)

// Issuer signs the tokens of ServiceAccounts with RS256 and tells its own
// signatures from others.
type Issuer struct {
	keyID  string
	key    *rsa.PrivateKey
	signer jose.Signer
}

// OpenIssuer returns the issuer whose key is in the file, and makes the file
// (mode 0600) when it is missing. Without a path the key lives in memory and
// its tokens end with the process.
func OpenIssuer(path string) (*Issuer, error) {
	if path == "" {
		key, err := rsa.GenerateKey(rand.Reader, keyBits)
		if err != nil {
			return nil, fmt.Errorf("make a signing key: %w", err)
		}
		return NewIssuer(key)
	}
	key, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = makeKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	return NewIssuer(key)
}

// NewIssuer returns the issuer that signs with key, of at least 2048 bits.
// Its key id is the base64url of the SHA-256 of the public key, as an API
// server's is.
func NewIssuer(key *rsa.PrivateKey) (*Issuer, error) {
	if bits := key.N.BitLen(); bits < keyBits {
		return nil, fmt.Errorf("signing key: it has %d bits, %d are the least", bits, keyBits)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	sum := sha256.Sum256(der)
	i := &Issuer{keyID: base64.RawURLEncoding.EncodeToString(sum[:]), key: key}
	i.signer, err = jose.NewSigner(jose.SigningKey{
		Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: i.keyID},
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	return i, nil
}

// JWKS returns the public key as a JSON Web Key Set (RFC 7517 §5).
func (i *Issuer) JWKS() ([]byte, error) {
	return json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{
		Key: i.key.Public(), KeyID: i.keyID, Algorithm: string(jose.RS256), Use: "sig",
	}}})
}

// claims are those of a ServiceAccount's token, in the order they travel in.
type claims struct {
	Audience  []string `json:"aud"`
	Expires   int64    `json:"exp"`
	Issued    int64    `json:"iat"`
	Issuer    string   `json:"iss"`
	ID        string   `json:"jti"`
	Cluster   bound    `json:"kubernetes.io"`
	NotBefore int64    `json:"nbf"`
	Subject   string   `json:"sub"`
}

// bound is what a token is bound to.
type bound struct {
	Namespace string  `json:"namespace"`
	Account   account `json:"serviceaccount"`
}

type account struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

func (i *Issuer) sign(c claims) (string, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	signed, err := i.signer.Sign(body)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// read returns the claims of a token of ours. Only RS256 with our key id
// counts: "none", symmetric algorithms and foreign keys do not get to the
// signature.
func (i *Issuer) read(token string) (claims, error) {
	if len(token) > maxToken {
		return claims{}, fmt.Errorf("the token is longer than %d bytes", maxToken)
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return claims{}, errors.New("the token is neither a user's nor a JWT signed with RS256")
	}
	if len(parsed.Headers) != 1 || parsed.Headers[0].KeyID != i.keyID {
		return claims{}, errors.New("the token was signed with a key that is not ours")
	}
	var c claims
	if err := parsed.Claims(i.key.Public(), &c); err != nil {
		return claims{}, errors.New("the token's signature or claims are wrong")
	}
	return c, nil
}

func readKey(path string) (*rsa.PrivateKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s: others may read or change it (mode %04o); run: chmod 600 %s", path, mode, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != pemType {
		return nil, fmt.Errorf("%s: no PEM block of type %s in it; delete the file to have a new key made, which ends all tokens", path, pemType)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	key, ok := parsed.(crypto.Signer).(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: not an RSA key", path)
	}
	return key, nil
}

func makeKey(path string) (*rsa.PrivateKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, replace(path, pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}))
}
