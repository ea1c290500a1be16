package token

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"google.golang.org/grpc/credentials"
)

// most is how many bytes of a file are looked at.
const most = 1 << 20

// File sends the token in the file with every call, over TLS only. The file is
// read for each, since the kubelet replaces it before it expires.
func File(path string) credentials.PerRPCCredentials { return file(path) }

type file string

// GetRequestMetadata returns the header with the token.
func (f file) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	b, err := read(string(f))
	if err != nil {
		return nil, fmt.Errorf("read the ServiceAccount token: %w", err)
	}
	b = bytes.TrimSpace(b)
	if len(b) == 0 || bytes.ContainsAny(b, "\r\n\x00 ") {
		return nil, fmt.Errorf("read the ServiceAccount token: %s does not hold one token", string(f))
	}
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// RequireTransportSecurity reports true: a token is never sent in the clear.
func (file) RequireTransportSecurity() bool { return true }

// TLS trusts the certificate authorities in the PEM file and nothing else; the
// certificate must be for the host that was dialled. The file is read for each
// connection, since it is replaced when the authority is.
func TLS(caFile string) credentials.TransportCredentials { return &trust{caFile: caFile} }

type trust struct {
	caFile string
	name   string // overrides the server's name
}

// ClientHandshake begins TLS with what the file holds now.
func (t *trust) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	pem, err := read(t.caFile)
	if err != nil {
		return nil, nil, fmt.Errorf("read the controller's CA: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, nil, fmt.Errorf("read the controller's CA: %s holds no certificate", t.caFile)
	}
	return credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: t.name, MinVersion: tls.VersionTLS12}).ClientHandshake(ctx, authority, conn)
}

// ServerHandshake refuses: these are a client's credentials.
func (t *trust) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("a CA file does not make a server")
}

// Info describes the protocol.
func (t *trust) Info() credentials.ProtocolInfo {
	//lint:ignore SA1019 what gRPC's own TLS credentials say of themselves, too
	return credentials.ProtocolInfo{SecurityProtocol: "tls", ServerName: t.name}
}

// Clone returns a copy.
func (t *trust) Clone() credentials.TransportCredentials {
	c := *t
	return &c
}

// OverrideServerName sets the name that the certificate must be for.
func (t *trust) OverrideServerName(name string) error {
	t.name = name
	return nil
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(b) > most {
		err = fmt.Errorf("%s is larger than %d bytes", path, most)
	}
	return b, err
}
