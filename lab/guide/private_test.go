package guide

import "testing"

func TestPrivateCA(t *testing.T) {
	out := shell(t, blocks(t, root+"/docs/guides/private-ca.md")...)
	if len(out) != 5 {
		t.Fatalf("%d blocks; this test knows 5", len(out))
	}
	prints(t, out[2], `^Say hello\.$`)
	prints(t, out[3], `"code":"no_connection"`, `certificate signed by unknown authority$`)
	prints(t, out[4], `^Say hello\.$`)
}

func TestMutualTLS(t *testing.T) {
	out := shell(t, blocks(t, root+"/docs/guides/mutual-tls.md")...)
	if len(out) != 6 {
		t.Fatalf("%d blocks; this test knows 6", len(out))
	}
	prints(t, out[3], `^XBackendDestination default/partner .*InvalidClientCertificateRef .*private key does not match`, `Subject: CN ?= ?egret at our company$`)
	prints(t, out[4], `Not After :`)
	prints(t, out[5], `^the model backend could not be reached`, `^remote error: tls: unknown certificate authority$`)
}
