package guide

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/egret-gateway/egret/lab/child"
)

func TestMain(m *testing.M) { child.Main(m) }

const root = "../.."

// fence finds the blocks of a page.
var fence = regexp.MustCompile("(?ms)^```(bash|yaml)\n(.*?)^```$")

// blocks returns the bash blocks of a file.
func blocks(t *testing.T, file string) []string { return fenced(t, file, "bash") }

// quotes returns the YAML blocks of a file.
func quotes(t *testing.T, file string) []string { return fenced(t, file, "yaml") }

func fenced(t *testing.T, file, language string) []string {
	t.Helper()
	var out []string
	for _, m := range fence.FindAllStringSubmatch(read(t, file), -1) {
		if m[1] == language {
			out = append(out, m[2])
		}
	}
	return out
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// needs fails when a program of the guides is not installed.
func needs(t *testing.T) {
	t.Helper()
	for _, program := range []string{"bash", "curl", "jq", "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("the guides need %s, which is not installed: %v", program, err)
		}
	}
	if out, err := exec.Command("curl", "--json", "{}", "--version").CombinedOutput(); err != nil {
		t.Fatalf("the guides need a curl that knows --json (7.82 or newer): %s", out)
	}
}

const mark = "\x02"

// shell runs scripts one after the other in one bash, in a directory with
// nothing but egret in it, and returns what each of them printed.
func shell(t *testing.T, scripts ...string) []string {
	t.Helper()
	return outside{}.shell(t, scripts...)
}

// outside is what lies around a guide that speaks to others. Its commands stay
// as they are: egret is told by flags where a name is.
type outside struct {
	env     []string
	resolve []string // values of --resolve
}

func (o outside) shell(t *testing.T, scripts ...string) []string {
	t.Helper()
	needs(t)
	dir, bin := t.TempDir(), child.Bin(t)
	path := bin + ":" + os.Getenv("PATH")
	if len(o.resolve) > 0 {
		path = o.wrapped(t, bin) + ":" + path
	}
	for name, to := range map[string]string{"bin": bin, "manifests": absolute(t, "manifests"), "examples": absolute(t, "examples")} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", strings.Join(scripts, "\nprintf '"+mark+"'\n"))
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = dir, &stdout, &stderr, time.Second
	cmd.Env = append(os.Environ(), "PATH="+path, "EXAMPLES="+absolute(t, "examples"))
	cmd.Env = append(cmd.Env, o.env...)
	// What the guide leaves running ends with it: it is one process group.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	group := -cmd.Process.Pid
	late := time.AfterFunc(4*child.Patience, func() { syscall.Kill(group, syscall.SIGKILL) })
	err := cmd.Wait()
	late.Stop()
	syscall.Kill(group, syscall.SIGKILL)
	out := strings.Split(stdout.String(), mark)
	if err != nil || len(out) != len(scripts) {
		t.Fatalf("%v\nin block %d:\n%s\nstdout:\n%s\nstderr:\n%s%s", err, len(out), scripts[len(out)-1], stdout.String(), stderr.String(), logs(dir))
	}
	return out
}

// wrapped returns a folder with an egret that adds the flags to `egret run`.
func (o outside) wrapped(t *testing.T, bin string) string {
	t.Helper()
	script := "#!/bin/bash\nif [ \"$1\" = run ]; then set -- \"$@\" --resolve=" + strings.Join(o.resolve, " --resolve=") + "; fi\nexec " + bin + "/egret \"$@\"\n"
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "egret"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	out, err := filepath.Abs(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// logs are what the processes of a guide wrote into files.
func logs(dir string) string {
	var b strings.Builder
	files, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	for _, f := range files {
		text, _ := os.ReadFile(f)
		fmt.Fprintf(&b, "%s:\n%s\n", filepath.Base(f), text)
	}
	return b.String()
}

func lines(s string) []string { return strings.Split(strings.TrimSpace(s), "\n") }
