package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Kubectl runs kubectl and returns what it printed. It fails the test when
// kubectl fails.
func (c *Cluster) Kubectl(t testing.TB, args ...string) string {
	t.Helper()
	return c.kubectl(t, "", args...)
}

// Apply applies YAML documents server-side. What they make outside a namespace
// of the test stays; see Remove.
func (c *Cluster) Apply(t testing.TB, yaml ...string) {
	t.Helper()
	c.kubectl(t, strings.Join(yaml, "\n---\n"), "apply", "--server-side", "--force-conflicts", "-f", "-")
}

// Remove deletes what YAML documents name, whether it is there or not, and
// waits until it is gone.
func (c *Cluster) Remove(t testing.TB, yaml ...string) {
	t.Helper()
	c.kubectl(t, strings.Join(yaml, "\n---\n"), "delete", "--ignore-not-found", "--timeout=60s", "-f", "-")
}

// Token returns a token of a ServiceAccount, valid for an hour, for audiences
// or, without any, for the API server.
func (c *Cluster) Token(t testing.TB, namespace, account string, audiences ...string) string {
	t.Helper()
	args := []string{"create", "token", account, "-n", namespace, "--duration=1h"}
	for _, a := range audiences {
		args = append(args, "--audience="+a)
	}
	return strings.TrimSpace(c.Kubectl(t, args...))
}

func (c *Cluster) kubectl(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	out, err := c.try(ctx, stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// try is Kubectl with an error.
func (c *Cluster) try(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := c.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// command is a kubectl for this cluster.
func (c *Cluster) command(ctx context.Context, args ...string) *exec.Cmd {
	kubectl := "kubectl"
	if c.own {
		kubectl = filepath.Join(c.programs, kubectl)
	}
	cmd := exec.CommandContext(ctx, kubectl, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	return cmd
}

// Try is Kubectl with an error, also after the test has ended.
func (c *Cluster) Try(args ...string) (string, error) {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	return c.try(ctx, "", args...)
}
