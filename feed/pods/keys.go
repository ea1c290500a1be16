package pods

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// algorithms are those by which API servers sign; HMAC and "none" are not
// among them, so that a public key can never pass for a secret.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512}

const (
	maxDocument = 1 << 20          // bytes of a discovery document
	fetchTime   = 5 * time.Second  // for both
	fetchPause  = 10 * time.Second // between two fetches
	keysLife    = time.Hour        // after which keys are fetched again, though all are known
)

// keyring is what the API server publishes. It is not changed.
type keyring struct {
	issuer string
	keys   []jose.JSONWebKey
	at     time.Time
}

// find returns the key of that id for the algorithm, which must be the key's
// own where it names one.
func (k *keyring) find(h jose.Header) *jose.JSONWebKey {
	if k == nil || h.KeyID == "" {
		return nil
	}
	for i := range k.keys {
		key := &k.keys[i]
		if key.KeyID == h.KeyID && (key.Algorithm == "" || key.Algorithm == h.Algorithm) {
			return key
		}
	}
	return nil
}

// key returns the key that signed, and the keyring that it is of. Keys are
// fetched when the id is not known, or after an hour; where that fails, what
// is known serves on.
func (v *Verifier) key(ctx context.Context, h jose.Header) (*keyring, *jose.JSONWebKey, error) {
	known := v.keys.Load()
	if key := known.find(h); key != nil && v.now().Sub(known.at) < keysLife {
		return known, key, nil
	}
	err := v.refresh(ctx, known)
	known = v.keys.Load()
	if key := known.find(h); key != nil {
		return known, key, nil
	}
	if known == nil {
		return nil, nil, fmt.Errorf("the API server's keys are not known yet: %w", err)
	}
	return nil, nil, errors.New("the token is signed with none of the API server's keys")
}

// refresh fetches the keys, unless somebody just did.
func (v *Verifier) refresh(ctx context.Context, seen *keyring) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.now()
	if v.keys.Load() != seen {
		return nil
	}
	if !v.asked.IsZero() && now.Sub(v.asked) < fetchPause {
		return v.failed
	}
	v.asked = now
	keys, err := v.fetch(ctx)
	if v.failed = err; err != nil {
		return err
	}
	keys.at = now
	v.keys.Store(keys)
	return nil
}

// fetch reads issuer and keys from the API server's own addresses, whatever
// host the discovery document names: that one is for the world outside.
func (v *Verifier) fetch(ctx context.Context) (*keyring, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTime) // others wait for the same keys
	defer cancel()
	var about struct {
		Issuer string `json:"issuer"`
	}
	if err := v.get(ctx, "/.well-known/openid-configuration", &about); err != nil {
		return nil, err
	}
	if about.Issuer == "" {
		return nil, errors.New("the API server's discovery document names no issuer")
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := v.get(ctx, "/openid/v1/jwks", &set); err != nil {
		return nil, err
	}
	out := &keyring{issuer: about.Issuer}
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) != nil || !key.IsPublic() || !key.Valid() || key.Use != "" && key.Use != "sig" {
			continue // of a kind that we do not use
		}
		if key.Algorithm != "" && !slices.Contains(algorithms, jose.SignatureAlgorithm(key.Algorithm)) {
			continue
		}
		out.keys = append(out.keys, key)
	}
	if len(out.keys) == 0 {
		return nil, errors.New("the API server publishes no key to verify tokens with")
	}
	return out, nil
}

func (v *Verifier) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(v.Server, "/")+path, nil)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	resp, err := v.Client.Do(req)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("read %s: the API server answers %s", path, resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument))
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
