package compile

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
)

// Types of PEM blocks.
const (
	blockCertificate = "CERTIFICATE"
	blockCRL         = "X509 CRL"
)

// certificates reads a bundle of certificates and writes it anew, in one form
// for both planes. A block that cannot be read is an error, never left out: who
// wrote it counts on it.
func certificates(text []byte) ([]byte, error) {
	return blocks(text, blockCertificate, "certificate", func(der []byte) error {
		_, err := x509.ParseCertificate(der)
		return err
	})
}

// revocations reads certificate revocation lists in PEM, or one in DER as
// authorities publish them.
func revocations(text []byte) ([]byte, error) {
	if !bytes.Contains(text, []byte("-----BEGIN ")) && judgeCRL(text) == nil {
		return pem.EncodeToMemory(&pem.Block{Type: blockCRL, Bytes: text}), nil
	}
	return blocks(text, blockCRL, "revocation list", judgeCRL)
}

// blocks reads all blocks of a text, which must be of one type and good.
func blocks(text []byte, want, what string, judge func(der []byte) error) ([]byte, error) {
	text = bytes.ReplaceAll(text, []byte("----------BEGIN "), []byte("-----\n-----BEGIN ")) // files joined without a newline
	begun := bytes.Count(text, []byte("-----BEGIN "))
	var out bytes.Buffer
	for n := 1; ; n++ {
		block, rest := pem.Decode(text)
		switch {
		case block == nil && n == 1 && begun == 0:
			return nil, fmt.Errorf("holds no %s in PEM", what)
		case block == nil && n <= begun:
			return nil, fmt.Errorf("has damaged PEM: of %d blocks that begin, %d can be read", begun, n-1)
		case block == nil:
			return out.Bytes(), nil
		case block.Type != want:
			return nil, fmt.Errorf("has a block %q where only %q belongs", block.Type, want)
		}
		if err := judge(block.Bytes); err != nil {
			return nil, fmt.Errorf("block %d is no %s: %w", n, what, err)
		}
		pem.Encode(&out, &pem.Block{Type: want, Bytes: block.Bytes})
		text = rest
	}
}

// judgeCRL refuses what the planes would read differently, or would not read
// at all: lists that are only a part of what is revoked.
func judgeCRL(der []byte) error {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return err
	}
	for _, e := range list.Extensions {
		if e.Critical {
			return fmt.Errorf("it has a critical extension %s; delta lists, and lists of a part of the certificates, are not supported", e.Id)
		}
	}
	for _, r := range list.RevokedCertificateEntries {
		if slices.ContainsFunc(r.Extensions, critical) || r.ReasonCode == removeFromCRL {
			return errors.New("it has entries that only indirect and delta lists have; they are not supported")
		}
	}
	return nil
}

// removeFromCRL takes a certificate off a list, in delta lists (RFC 5280 5.3.1).
const removeFromCRL = 8

func critical(e pkix.Extension) bool { return e.Critical }
