package compile

import (
	"bytes"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
)

// TestRevocationForms: lists come in PEM, or as authorities publish them.
func TestRevocationForms(t *testing.T) {
	text := crlOf(t)
	der, _ := pem.Decode(text)
	f := func(name string, in []byte, want string) {
		t.Run(name, func(t *testing.T) {
			out, err := revocations(in)
			if want == "" && (err != nil || !bytes.Equal(out, text)) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s\nerror %v, want %q", out, err, want)
			}
		})
	}
	f("PEM", text, "")
	f("with words around it", slices.Concat([]byte("# of the partner\r\n"), text, []byte("\nthe end\n")), "")
	f("DER", der.Bytes, "")
	f("DER that is cut short", der.Bytes[:100], "holds no revocation list in PEM")
	f("PEM that is cut short", text[:100], "damaged PEM: of 1 blocks that begin, 0 can be read")
	f("nothing", nil, "holds no revocation list in PEM")
}

// crlOf is the list of a scenario.
func crlOf(t testing.TB) []byte {
	t.Helper()
	for _, s := range decode(t, section(archiveOf(t, "testdata/gateway-111-extension.txtar"), "in.yaml")).Secrets {
		if s.Name == "lists" {
			return s.Data["other"]
		}
	}
	t.Fatal("no list")
	return nil
}

// FuzzBlocks: what is read of a bundle is read again as it is, and nothing in
// it takes long or panics.
func FuzzBlocks(f *testing.F) {
	text := crlOf(f)
	f.Add(text)
	f.Add(slices.Concat(text, bytes.TrimSpace(text), text))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("----------BEGIN -----END"))
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, read := range []func([]byte) ([]byte, error){certificates, revocations} {
			out, err := read(in)
			if err != nil {
				continue
			}
			if again, err := read(out); err != nil || !bytes.Equal(again, out) {
				t.Errorf("%q becomes %q, then %q: %v", in, out, again, err)
			}
		}
	})
}
