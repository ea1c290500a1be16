package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"cmp"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// dial makes the client that an address asks for, without a packet, and the
// server's name for messages.
func dial(address string, o Options) (goredis.UniversalClient, string, error) {
	u, err := url.Parse(address)
	if err != nil {
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err // without the address, which has a password in it
		}
		return nil, "", fmt.Errorf("address of the shared counters: %w", err)
	}
	name := (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
	q := u.Query()
	switch {
	case u.Scheme != "redis" && u.Scheme != "rediss":
		return nil, "", errors.New("address of the shared counters: it must begin with redis:// or, for TLS, rediss://")
	case u.Host == "":
		return nil, "", errors.New("address of the shared counters: it names no host; write redis://host:6379/0")
	case q.Has("skip_verify"):
		return nil, "", fmt.Errorf("address of the shared counters %s: skip_verify is not supported; give the server a certificate that can be verified", name)
	}
	quiet()
	client, err := open(address, q, o)
	if err != nil {
		return nil, "", fmt.Errorf("address of the shared counters %s: %s", name, redact(err, u))
	}
	return client, name, nil
}

// open decides by the query what is at the address.
func open(address string, q url.Values, o Options) (goredis.UniversalClient, error) {
	pool := cmp.Or(o.Pool, 64)
	notices := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	switch {
	case q.Has("master_name"):
		f, err := goredis.ParseFailoverURL(address)
		if err != nil {
			return nil, err
		}
		verify(f.TLSConfig, o.Roots)
		f.DialTimeout, f.ReadTimeout, f.WriteTimeout, f.PoolTimeout = dialTimeout, commandTimeout, commandTimeout, commandTimeout
		f.MaxRetries, f.DialerRetries, f.PoolSize, f.MinIdleConns, f.ContextTimeoutEnabled = -1, 1, pool, min(idle, pool), true
		f.Protocol, f.DisableIdentity = 2, true
		return goredis.NewFailoverClient(f), nil
	case q.Has("addr"):
		c, err := goredis.ParseClusterURL(address)
		if err != nil {
			return nil, err
		}
		verify(c.TLSConfig, o.Roots)
		c.DialTimeout, c.ReadTimeout, c.WriteTimeout, c.PoolTimeout = dialTimeout, commandTimeout, commandTimeout, commandTimeout
		c.MaxRetries, c.DialerRetries, c.PoolSize, c.MinIdleConns, c.ContextTimeoutEnabled = -1, 1, pool, min(idle, pool), true
		c.MaxRedirects = 3
		c.Protocol, c.DisableIdentity, c.MaintNotificationsConfig = 2, true, notices
		return goredis.NewClusterClient(c), nil
	}
	s, err := goredis.ParseURL(address)
	if err != nil {
		return nil, err
	}
	verify(s.TLSConfig, o.Roots)
	s.DialTimeout, s.ReadTimeout, s.WriteTimeout, s.PoolTimeout = dialTimeout, commandTimeout, commandTimeout, commandTimeout
	s.MaxRetries, s.DialerRetries, s.PoolSize, s.MinIdleConns, s.ContextTimeoutEnabled = -1, 1, pool, min(idle, pool), true
	s.Protocol, s.DisableIdentity, s.MaintNotificationsConfig = 2, true, notices
	return goredis.NewClient(s), nil
}

// verify sets whom to trust, where TLS is spoken at all.
func verify(c *tls.Config, roots *x509.CertPool) {
	if c != nil {
		c.RootCAs = roots
		c.MinVersion = tls.VersionTLS12
	}
}

// redact takes the password of an address out of a message.
func redact(err error, u *url.URL) string {
	text := err.Error()
	if password, ok := u.User.Password(); ok && password != "" {
		text = strings.ReplaceAll(text, password, "***")
		text = strings.ReplaceAll(text, url.QueryEscape(password), "***")
	}
	return text
}

// quiet keeps the client library from writing to standard error: what it has
// to say comes back as errors.
func quiet() { goredis.SetLogger(silence{}) }

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}
