package envoy_test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/egret-gateway/egret/lab/envoybin"
)

// start runs an Envoy with a bootstrap until the test is over, and returns
// when its workers run if wait is set. Its log is shown if the test fails.
func start(t *testing.T, version, bootstrap string, wait bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), envoybin.Path(t, version), "-c", bootstrap,
		"--disable-hot-restart", "--concurrency", "1", "--log-level", "info", "--log-format", "%l %n %v")
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	running, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		once := sync.OnceFunc(func() { close(running) })
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if text := lines.Text(); !strings.HasPrefix(text, "info ") {
				log.WriteString(text + "\n")
			} else if strings.Contains(text, "starting workers") {
				once()
			}
		}
	}()
	t.Cleanup(func() {
		<-ended
		cmd.Wait()
		if t.Failed() {
			t.Logf("Envoy %s said:\n%s", version, log.String())
		}
	})
	if !wait {
		return
	}
	select {
	case <-running:
	case <-ended:
		t.Fatalf("Envoy %s ended before it served", version)
	}
}

// validate lets Envoy judge a bootstrap without serving it.
func validate(t *testing.T, version, bootstrap string) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), envoybin.Path(t, version), "-c", bootstrap, "--mode", "validate", "--log-level", "warning")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return &refused{version, string(out)}
	}
	return nil
}

type refused struct{ version, says string }

func (r *refused) Error() string { return "Envoy " + r.version + " refuses: " + r.says }

// volume is a folder as the kubelet mounts it: the files are links into a
// folder that a link names, and a renewal moves that link.
type volume struct {
	t    *testing.T
	path string
}

func newVolume(t *testing.T, files map[string]string) volume {
	v := volume{t, t.TempDir()}
	v.renew(files)
	for name := range files {
		v.do(os.Symlink(filepath.Join("..data", name), filepath.Join(v.path, name)))
	}
	return v
}

func (v volume) renew(files map[string]string) {
	v.t.Helper()
	fresh, err := os.MkdirTemp(v.path, "..time-")
	v.do(err)
	for name, text := range files {
		v.do(os.WriteFile(filepath.Join(fresh, name), []byte(text), 0o600))
	}
	link := filepath.Join(v.path, "..data_tmp")
	v.do(os.Symlink(filepath.Base(fresh), link))
	v.do(os.Rename(link, filepath.Join(v.path, "..data")))
}

func (v volume) do(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}
