//go:build cluster

package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// Dial returns what connects to a port of a Service, for what is not HTTP: in
// the test cluster through its SOCKS proxy, elsewhere through a port-forward.
// The address that the function is given does not matter.
func (s *Stage) Dial(t testing.TB, namespace, service string, port int) func(context.Context, string) (net.Conn, error) {
	t.Helper()
	target := strings.TrimPrefix(s.Reach(t, namespace, service, port), "http://")
	var proxy *url.URL
	if by := s.Transport().Proxy; by != nil {
		proxy, _ = by(nil)
	}
	return func(ctx context.Context, _ string) (net.Conn, error) {
		d := &net.Dialer{}
		if proxy == nil {
			return d.DialContext(ctx, "tcp", target)
		}
		conn, err := d.DialContext(ctx, "tcp", proxy.Host)
		if err != nil {
			return nil, err
		}
		if err := socks(conn, target); err != nil {
			conn.Close()
			return nil, fmt.Errorf("%s by the SOCKS proxy: %w", target, err)
		}
		return conn, nil
	}
}

// socks has a SOCKS5 proxy connect to host:port (RFC 1928, sections 3 to 6).
func socks(conn net.Conn, target string) error {
	host, text, err := net.SplitHostPort(target)
	if err != nil {
		return err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || len(host) > 255 {
		return errors.New("no host and port")
	}
	ask := append([]byte{5, 1, 0, 5, 1, 0, 3, byte(len(host))}, host...)
	if _, err := conn.Write(append(ask, byte(port>>8), byte(port))); err != nil {
		return err
	}
	answer := make([]byte, 2+10) // method; reply with an IPv4 address
	if _, err := io.ReadFull(conn, answer[:4]); err != nil {
		return err
	}
	if answer[1] != 0 || answer[3] != 0 {
		return fmt.Errorf("answer %v", answer[:4])
	}
	_, err = io.ReadFull(conn, answer[4:])
	return err
}
