package command

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMaas(t *testing.T) {
	for _, name := range []string{"KUBECONFIG", "KUBERNETES_SERVICE_HOST", "STORAGE_MODE", "DB_CONNECTION_URL"} {
		t.Setenv(name, "")
	}
	f := func(name string, exit int, stdout, stderr string, args ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			var out, log bytes.Buffer
			got := run(world{ctx: t.Context(), stdout: &out, stderr: &log}, append([]string{"egret", "maas"}, args...))
			if got != exit || !strings.Contains(out.String(), stdout) || !strings.HasPrefix(log.String(), stderr) {
				t.Errorf("exit %d\nstdout: %s\nstderr: %s", got, out.String(), log.String())
			}
		})
	}
	f("help has an example", 0, "Example:\n  egret maas --kubeconfig", "", "--help")
	f("no cluster", 1, "", "error: no cluster: ")
	f("maas-58 external storage without a URL", 1, "", "error: --storage=external needs --db-connection-url", "--storage=external")
	f("maas-58 a database that is not known", 1, "", "error: --db-connection-url must begin with postgresql://",
		"--storage=external", "--db-connection-url=mysql://h/d")
	f("a kubeconfig that is not there", 1, "", "error: kubeconfig ", "--kubeconfig", filepath.Join(t.TempDir(), "none"))
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	f("a kubeconfig that is none", 1, "", "error: kubeconfig ", "--kubeconfig", broken)
}
