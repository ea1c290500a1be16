package provider

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"github.com/egret-gateway/egret/plan"
)

// errNoHTTP2 is a server's refusal to be spoken to as its backend says.
var errNoHTTP2 = errors.New("the server does not agree to HTTP/2 (ALPN h2)")

// protocolNames are those that a handshake offers (ALPN, RFC 7301).
func protocolNames(p plan.Protocol) []string {
	if p == plan.HTTP2 {
		return []string{"h2"}
	}
	return []string{"http/1.1"}
}

// dial opens a connection, as http.Transport asks for it.
type dial = func(ctx context.Context, network, address string) (net.Conn, error)

// secure opens connections with TLS on those of open. Whatever goes wrong before a peer is
// verified is a failure to connect, which Connecting knows: nothing of a request
// has left. The handshake takes at most plan.DefaultConnectTimeout.
func secure(open dial, config *tls.Config) dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		raw, err := open(ctx, network, address)
		if err != nil {
			return nil, err
		}
		config := config
		if config.ServerName == "" {
			host, _, err := net.SplitHostPort(address)
			if err != nil {
				raw.Close()
				return nil, &connectError{err}
			}
			config = config.Clone()
			config.ServerName = host
		}
		ctx, cancel := context.WithTimeout(ctx, plan.DefaultConnectTimeout)
		defer cancel()
		c := tls.Client(raw, config)
		err = c.HandshakeContext(ctx)
		if err == nil && config.NextProtos[0] == "h2" && c.ConnectionState().NegotiatedProtocol != "h2" {
			err = errNoHTTP2
		}
		if err != nil {
			raw.Close()
			return nil, &connectError{err}
		}
		return c, nil
	}
}
