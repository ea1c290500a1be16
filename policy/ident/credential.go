package ident

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/egret-gateway/egret/plan"
)

// MaxCredential is the longest credential that is looked at, in bytes. Tokens
// of clusters are 1-2 KiB long.
const MaxCredential = 16 << 10

// DefaultPrefix is the scheme that an authorizationHeader credential has when
// its rule names none.
const DefaultPrefix = "Bearer"

// Extract takes the credential that c describes out of a request's headers
// (canonical names) and its path with query. The error is ErrNoCredential or a
// *Rejected: one that is too long, holds blanks or control characters, or is
// given more than once, since two readers may then disagree on who is calling.
func Extract(c plan.Credential, header http.Header, path string) (string, error) {
	var token string
	var err error
	switch c.In {
	case plan.InHeader:
		token, err = only(header.Values(c.Name))
	case plan.InCookie:
		token, err = only(cookies(header.Values("Cookie"), c.Name))
	case plan.InQuery:
		token, err = only(parameters(path, c.Name))
	default:
		token, err = only(header.Values("Authorization"))
		if err == nil {
			token, err = bearer(token, c.Name)
		}
	}
	if err != nil {
		return "", err
	}
	return token, sound(token)
}

func only(values []string) (string, error) {
	switch {
	case len(values) > 1:
		return "", rejected("more than one credential in the request")
	case len(values) == 0 || values[0] == "":
		return "", ErrNoCredential
	}
	return values[0], nil
}

// bearer cuts the scheme off. It is compared with case and with exactly one
// blank behind it, as Authorino does: anything else is another
// scheme, hence no credential.
func bearer(value, prefix string) (string, error) {
	if prefix == "" {
		prefix = DefaultPrefix
	}
	rest, ok := strings.CutPrefix(value, prefix)
	if !ok || len(rest) < 2 || rest[0] != ' ' {
		return "", ErrNoCredential
	}
	return rest[1:], nil
}

func sound(token string) error {
	if len(token) > MaxCredential {
		return rejected("longer than 16 KiB")
	}
	for i := range len(token) {
		if token[i] <= ' ' || token[i] == 0x7f {
			return rejected("holds a blank or a control character")
		}
	}
	return nil
}

// cookies returns the values of the cookies called name (RFC 6265 §5.4), with
// the quotes that some clients put around them removed.
func cookies(headers []string, name string) (values []string) {
	for _, h := range headers {
		for pair := range strings.SplitSeq(h, ";") {
			k, v, ok := strings.Cut(strings.TrimSpace(pair), "=")
			if !ok || k != name {
				continue
			}
			if len(v) > 1 && v[0] == '"' && v[len(v)-1] == '"' {
				v = v[1 : len(v)-1]
			}
			values = append(values, v)
		}
	}
	return values
}

// parameters returns the values of the query parameter called name.
func parameters(path, name string) (values []string) {
	_, query, _ := strings.Cut(path, "?")
	for pair := range strings.SplitSeq(query, "&") {
		k, v, _ := strings.Cut(pair, "=")
		k, err := url.QueryUnescape(k)
		if err != nil || k != name {
			continue
		}
		plain, err := url.QueryUnescape(v)
		if err != nil {
			plain = " " // not a credential, but not absent either: sound rejects it
		}
		values = append(values, plain)
	}
	return values
}
