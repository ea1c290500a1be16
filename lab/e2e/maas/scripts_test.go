//go:build cluster

package maas

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// scripts is maas 139 to 142: what the platform's own scripts check, on a
// complete install with one local model. testdata/*.sh ask the same.
func (w *walk) scripts(t *testing.T) {
	const platform = "../testdata/openshift/"
	w.Kubectl(t, "apply", "-f", platform+"crds.yaml")
	w.Kubectl(t, "wait", "--for=condition=Established", "-f", platform+"crds.yaml", "--timeout=30s")
	w.Kubectl(t, "apply", "-f", platform+"objects.yaml")
	defer w.Kubectl(t, "delete", "-f", platform+"objects.yaml", "--ignore-not-found", "--wait=false")
	w.Rolled(t, "kuadrant-system", "authorino")
	w.service(t, "open", "", gateway, at(w.URL("/llm/open")))
	defer w.drop(t, "open")
	// The platform's DNS leads its name to the gateway.
	home := t.TempDir()
	address := strings.TrimPrefix(w.URL(""), "http://")
	if err := os.WriteFile(filepath.Join(home, ".curlrc"), []byte(`resolve = "maas.apps.egret.test:443:`+address+`"`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, script, last string }{
		{"maas-139 the deployment validates", "validate.sh", `(?m)^failed 0, warnings 0$`},
		{"maas-140 tokens and the list of keys", "keys.sh", `(?m)^passed$`},
		{"maas-141 a limit is met within 25 calls", "limits.sh", `(?m)^429 after \d+ calls$`},
		{"maas-142 smoke", "smoke.sh", `(?m)^passed$`},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := w.Script(t, map[string]string{"OC_TOKEN": w.login(t, "free"), "CURL_HOME": home}, read(t, filepath.Join("testdata", c.script)))
			if out.Code != 0 || !matches(c.last, out.Stdout) {
				t.Errorf("exit status %d\n%s\n%s", out.Code, out.Stdout, out.Stderr)
			}
		})
	}
}
