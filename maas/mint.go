package maas

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/egret-gateway/egret/store"
)

// errChainOver refuses to exchange a MaaS token for another one.
var errChainOver = errors.New("this MaaS token can no longer be exchanged for a new one; " +
	"mint one with your cluster credential, for example the token that `oc whoami -t` prints")

// person is whom a caller stands for: themselves, or whoever minted the MaaS
// token they call with.
type person struct {
	Owner string // username that API keys are filed under
	// Account is set when the call came with a MaaS token: the ServiceAccount of that token.
	Account *store.Account
	Tier    string // of Account
}

// person finds out whom a caller stands for. A MaaS token stands for the
// person who minted it, so that it has the same tier, budget and keys, and
// cannot be traded for a fresh identity.
func (s *Server) person(ctx context.Context, who *caller) (person, error) {
	namespace, name, tier, ok := tierAccount(s.instance(), who.Username)
	if !ok {
		return person{Owner: who.Username}, nil
	}
	account, err := s.Cluster.FindAccount(ctx, namespace, name)
	if err != nil {
		return person{}, fmt.Errorf("find the ServiceAccount of the MaaS token: %w", err)
	}
	owner := account.Owner
	if owner == "" {
		owner = who.Username
	}
	return person{Owner: owner, Account: &account, Tier: tier}, nil
}

// grant is a token that was minted.
type grant struct {
	Token   string
	JTI     string // "" when the cluster gives its tokens none
	Issued  time.Time
	Expires time.Time
	Account store.Account
	Tier    string
}

// mint makes a token for the caller, to be given to them. A caller with a
// MaaS token gets one for the same ServiceAccount, as long as
// Config.ChainLimit has not passed since that person last used their own
// credential, and none that outlives it by more than MinLifetime; a cluster may shorten a token too, and
// expiresAt tells.
func (s *Server) mint(ctx context.Context, who *caller, p person, life time.Duration) (grant, error) {
	now := s.now()
	if p.Account == nil {
		return s.mintFor(ctx, who, life, now)
	}
	if _, err := s.tierNamed(p.Tier); err != nil {
		return grant{}, err
	}
	left := p.Account.LastHumanMint.Add(s.Config.ChainLimit).Sub(now)
	if left <= 0 {
		return grant{}, errChainOver
	}
	return s.token(ctx, *p.Account, p.Tier, min(life, max(left, MinLifetime)))
}

// mintFor makes a token for someone who came with their own credential.
// human is when they did so to get a token, zero when the token is not given
// to them.
func (s *Server) mintFor(ctx context.Context, who *caller, life time.Duration, human time.Time) (grant, error) {
	tier, err := s.tierOf(who.Groups)
	if err != nil {
		return grant{}, err
	}
	name, err := AccountName(who.Username)
	if err != nil {
		return grant{}, err
	}
	namespace := tierNamespace(s.instance(), tier.Name)
	if err := s.Cluster.EnsureNamespace(ctx, namespace, namespaceLabels(s.instance(), tier.Name)); err != nil {
		return grant{}, fmt.Errorf("make namespace %s: %w", namespace, err)
	}
	account, err := s.Cluster.EnsureAccount(ctx, store.Account{
		Namespace: namespace, Name: name, Owner: who.Username,
		Labels: accountLabels(s.instance(), tier.Name), LastHumanMint: human,
	})
	if err != nil {
		return grant{}, fmt.Errorf("make ServiceAccount %s/%s: %w", namespace, name, err)
	}
	// The name carries 32 bits of a hash, which someone who may choose their
	// username can bring to collide: they must not become somebody else.
	if account.Owner != who.Username {
		return grant{}, fmt.Errorf("ServiceAccount %s/%s belongs to another user, %q", namespace, name, account.Owner)
	}
	return s.token(ctx, account, tier.Name, life)
}

func (s *Server) tierOf(groups []string) (Tier, error) {
	c := s.state()
	if c.tiersErr != nil {
		return Tier{}, c.tiersErr
	}
	return c.tiers.Of(s.instance(), groups)
}

func (s *Server) tierNamed(name string) (Tier, error) {
	c := s.state()
	if c.tiersErr != nil {
		return Tier{}, c.tiersErr
	}
	return c.tiers.Named(name)
}

// token asks the cluster for a token. Its claims are read without checking
// the signature, for it came from the cluster itself.
func (s *Server) token(ctx context.Context, a store.Account, tier string, life time.Duration) (grant, error) {
	jwt, expires, err := s.Cluster.Token(ctx, a, s.audience(), life.Truncate(time.Second))
	if err != nil {
		return grant{}, fmt.Errorf("make a token for ServiceAccount %s/%s: %w", a.Namespace, a.Name, err)
	}
	claims, err := readClaims(jwt)
	if err != nil {
		return grant{}, fmt.Errorf("read the token made for ServiceAccount %s/%s: %w", a.Namespace, a.Name, err)
	}
	if claims.IssuedAt == 0 {
		return grant{}, fmt.Errorf("the token made for ServiceAccount %s/%s has no iat claim", a.Namespace, a.Name)
	}
	return grant{
		Token: jwt, JTI: claims.ID, Issued: time.Unix(claims.IssuedAt, 0), Expires: expires, Account: a, Tier: tier,
	}, nil
}

// claims are the parts of a token that this API reads.
type claims struct {
	Audience audience `json:"aud"`
	IssuedAt int64    `json:"iat"`
	ID       string   `json:"jti"`
}

// audience is a claim that may be one text or several (RFC 7519 §4.1.3).
type audience []string

func (a *audience) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*a = make(audience, 1)
		return json.Unmarshal(b, &(*a)[0])
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// readClaims reads a token's claims and believes nothing.
func readClaims(jwt string) (claims, error) {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return claims{}, errors.New("a JWT has three parts")
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return claims{}, errors.New("its claims are not base64url")
	}
	var c claims
	if err := json.Unmarshal(body, &c); err != nil {
		return claims{}, errors.New("its claims are not JSON")
	}
	return c, nil
}

// randomID stands in for the jti of a cluster whose tokens have none.
func randomID() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
