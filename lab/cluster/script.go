package cluster

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Output is what a script came to.
type Output struct {
	Stdout, Stderr string
	Code           int // exit status
}

// Script runs a bash script as a reader of a document would run its commands:
// with kubectl, curl, and an `oc` whose `oc whoami -t` prints variable
// OC_TOKEN, in the checkout's directory and, in the test cluster, in the
// cluster's network and with its DNS. Variables are env's and those of the
// test. It does not stop at a command that fails unless the text says `set
// -e`. What it leaves in the background ends with it; after ten minutes all of
// it does.
func (c *Cluster) Script(t testing.TB, env map[string]string, text string) Output {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
	defer stop()
	root := filepath.Join(filepath.Dir(c.script), "..", "..")
	kubeconfig, shell := c.kubeconfig, []string{"bash"}
	if c.own {
		// 127.0.0.1 is another address in there.
		kubeconfig = strings.TrimSpace(c.manage(t, "kubeconfig", "internal"))
		shell = []string{c.script, "exec", "bash"}
	}
	cmd := exec.CommandContext(ctx, shell[0], append(shell[1:], "-c", "trap 'kill $(jobs -p) 2>/dev/null || :' EXIT\n"+text)...)
	cmd.Dir, cmd.WaitDelay = root, 5*time.Second
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig,
		"PATH="+strings.Join([]string{filepath.Join(root, "lab/cluster/addons/bin"), c.programs, os.Getenv("PATH")}, ":"))
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		t.Fatalf("script: %v\n%s", err, stderr.String())
	}
	return Output{Stdout: stdout.String(), Stderr: stderr.String(), Code: cmd.ProcessState.ExitCode()}
}
