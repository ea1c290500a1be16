package credential

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
)

// GoogleTokens is where Google gives out tokens for service accounts' keys.
const GoogleTokens = "https://oauth2.googleapis.com/token"

// Key is a Google Cloud service account's key.
type Key struct {
	Email   string
	KeyID   string
	URL     string // of the token endpoint
	Private *rsa.PrivateKey
}

// ServiceAccount reads the key file of a service account. Errors never show
// anything of it.
func ServiceAccount(document []byte) (*Key, error) {
	var in struct {
		Type         string `json:"type"`
		ClientEmail  string `json:"client_email"`
		PrivateKeyID string `json:"private_key_id"`
		PrivateKey   string `json:"private_key"`
		TokenURI     string `json:"token_uri"`
	}
	if json.Unmarshal(document, &in) != nil || in.Type != "service_account" || in.ClientEmail == "" {
		return nil, errors.New("is not a service account's key in JSON")
	}
	if in.TokenURI == "" {
		in.TokenURI = GoogleTokens
	}
	if !endpoint(in.TokenURI) {
		return nil, errors.New("has a token_uri that is no https address, or has a user or a fragment, or a name under .invalid")
	}
	block, _ := pem.Decode([]byte(in.PrivateKey))
	if block == nil {
		return nil, errors.New("has no private_key in PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok {
		return nil, errors.New("has a private_key that is no RSA key")
	}
	return &Key{Email: in.ClientEmail, KeyID: in.PrivateKeyID, URL: in.TokenURI, Private: private}, nil
}
