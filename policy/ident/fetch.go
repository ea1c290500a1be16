package ident

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Bounds of a fetch of keys, discovery included.
const (
	FetchTimeout = 3 * time.Second
	maxDocument  = 1 << 20 // bytes
)

// Discover makes a Fetch for an issuer's keys: from the address jwks when that
// is given, else from the one in the issuer's discovery document (OpenID
// Connect Discovery 1.0 §4), whose issuer must be the very same. Redirects are
// not followed. TLS is verified as rt does it.
func Discover(rt http.RoundTripper, issuer, jwks string) (Fetch, error) {
	switch {
	case jwks != "":
		if err := address(jwks); err != nil {
			return nil, fmt.Errorf("jwksUrl: %w", err)
		}
		return func(ctx context.Context) (*jose.JSONWebKeySet, error) { return keysAt(ctx, rt, jwks) }, nil
	case issuer != "":
		if err := address(issuer); err != nil {
			return nil, fmt.Errorf("issuerUrl: %w", err)
		}
	default:
		return nil, errors.New("neither issuerUrl nor jwksUrl is given")
	}
	return func(ctx context.Context) (*jose.JSONWebKeySet, error) {
		var doc struct {
			Issuer string `json:"issuer"`
			JWKS   string `json:"jwks_uri"`
		}
		if err := get(ctx, rt, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", &doc); err != nil {
			return nil, err
		}
		if doc.Issuer != issuer {
			return nil, fmt.Errorf("the discovery document of %s is about another issuer", issuer)
		}
		if err := address(doc.JWKS); err != nil {
			return nil, fmt.Errorf("the discovery document of %s: jwks_uri: %w", issuer, err)
		}
		return keysAt(ctx, rt, doc.JWKS)
	}, nil
}

func address(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%q is not an http or https URL", text)
	}
	return nil
}

// keysAt reads a JWK set. Keys of kinds that are not known here are passed
// over (RFC 7517 §5), so that an issuer may add some.
func keysAt(ctx context.Context, rt http.RoundTripper, at string) (*jose.JSONWebKeySet, error) {
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := get(ctx, rt, at, &doc); err != nil {
		return nil, err
	}
	set := &jose.JSONWebKeySet{}
	for _, raw := range doc.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(raw) == nil {
			set.Keys = append(set.Keys, k)
		}
	}
	if len(set.Keys) == 0 {
		return nil, fmt.Errorf("%s holds no keys", at)
	}
	return set, nil
}

// get reads a JSON document.
func get(ctx context.Context, rt http.RoundTripper, at string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	res, err := rt.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("get %s: %w", at, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("get %s: status %d", at, res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxDocument+1))
	if err != nil {
		return fmt.Errorf("get %s: %w", at, err)
	}
	if len(body) > maxDocument {
		return fmt.Errorf("get %s: longer than 1 MiB", at)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("get %s: %w", at, err)
	}
	return nil
}
