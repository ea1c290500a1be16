package pod

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/egret-gateway/egret/plan"
)

// hop is how a gateway knows that a call has come through another one, which
// accounts for it: of the hops of a call one alone writes to the ledger. The
// word for it is signed with what only gateways that write to one ledger know,
// its address and password; so gateways with ledgers of their own each write,
// and no client can pass for a gateway. The word is good for one Gateway and a
// short time. Nobody else sees it: the Gateway that gets it drops it.
type hop struct {
	key []byte // nil = there is no ledger, or no secret in its address
	now func() time.Time
}

const (
	hopFor  = 2 * time.Minute // how long a word is good
	hopSkew = time.Minute     // by which clocks of nodes may differ
)

// newHop returns the hop of gateways that write to the ledger at address.
func newHop(ledger string, now func() time.Time) hop {
	u, err := url.Parse(ledger)
	if err != nil {
		return hop{now: now}
	}
	if password, _ := u.User.Password(); password == "" {
		return hop{now: now}
	}
	key := sha256.Sum256([]byte("egret hop\x00" + ledger))
	return hop{key: key[:], now: now}
}

// to is the word for a Gateway, "" when there is none to say.
func (h hop) to(gateway string) string {
	if h.key == nil || gateway == "" {
		return ""
	}
	until := strconv.FormatInt(h.now().Add(hopFor).Unix(), 10)
	return until + "." + h.sign(gateway, until)
}

// from reports whether a request for a Gateway bears the word for it.
func (h hop) from(gateway string, header http.Header) bool {
	said := header[plan.ProofHeader]
	if h.key == nil || len(said) != 1 {
		return false
	}
	until, signature, _ := strings.Cut(said[0], ".")
	end, err := strconv.ParseInt(until, 10, 64)
	if err != nil {
		return false
	}
	left := time.Unix(end, 0).Sub(h.now())
	return left > -hopSkew && left < hopFor+hopSkew && hmac.Equal([]byte(signature), []byte(h.sign(gateway, until)))
}

func (h hop) sign(gateway, until string) string {
	mac := hmac.New(sha256.New, h.key)
	mac.Write([]byte(gateway + "\x00" + until))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
