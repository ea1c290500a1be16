package process

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/lab/child"
)

func TestStartIsQuick(t *testing.T) {
	began := time.Now()
	g := child.Quickstart(t)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it served after %s, want 5 s at most", took)
	}
	if got := g.Page(t, "/readyz"); got.Status != http.StatusOK {
		t.Errorf("ready: %d %s", got.Status, got.Body)
	}
	g.Signal(syscall.SIGTERM)
	if code := g.Wait(t); code != 0 {
		t.Errorf("exit status %d after SIGTERM, want 0", code)
	}
}

// TestKill holds ledger, counters, keys and users to their promise: what ended
// 100 ms before a kill -9 is there afterwards.
func TestKill(t *testing.T) {
	dir, data := child.Fixed(t), t.TempDir()
	start := func() *child.Gateway { return child.Quickstart(t, "--manifests", dir, "--data", data) }
	g := start()
	token := g.Mint(t, g.UserToken)
	key := g.Call(t, http.MethodPost, "/maas-api/v1/api-keys", g.UserToken, `{"name":"kept"}`)
	var spent int64
	for {
		a := g.Call(t, http.MethodPost, chat, token, ask("Hello, how are you today?"))
		if a.Status == http.StatusTooManyRequests {
			break
		}
		spent += cost(t, a)
	}
	<-time.After(100 * time.Millisecond) // the promise's own figure
	g.Kill()

	g = start()
	t.Run("the ledger survives", func(t *testing.T) {
		if _, tokens := g.Usage(t, account(t, token)); tokens != spent {
			t.Errorf("the ledger has %d tokens, %d were spent", tokens, spent)
		}
	})
	t.Run("maas-116 counters survive", func(t *testing.T) {
		if got := g.Call(t, http.MethodPost, chat, token, ask("Hello")).Status; got != http.StatusTooManyRequests {
			t.Errorf("with a budget spent before the kill: %d, want 429", got)
		}
	})
	t.Run("maas-57 users, tokens and keys survive", func(t *testing.T) {
		if got := g.Call(t, http.MethodGet, "/maas-api/v1/api-keys", g.UserToken, ""); !strings.Contains(got.Body, `"kept"`) || key.Status != http.StatusCreated {
			t.Errorf("a key made (%d) before the kill is not listed: %s", key.Status, got.Body)
		}
	})
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, flag := range []string{"--https", "--http", "--admin"} {
		p := child.Start(t, "", "quickstart", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--admin", "127.0.0.1:0", flag, l.Addr().String())
		code := p.Wait(t)
		lines := strings.Split(strings.TrimSpace(p.Stderr.String()), "\n")
		last := lines[len(lines)-1]
		if code != 1 || !strings.Contains(last, l.Addr().String()) || !strings.Contains(last, "address already in use; choose another address") {
			t.Errorf("%s: exit status %d and %q, want 1 and a sentence that names %s and says what to do", flag, code, last, l.Addr())
		}
	}
}

// firstGateway is a copy of the example with the name.
func firstGateway(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../examples/first-gateway")); err != nil {
		t.Fatal(err)
	}
	return dir
}

const models = "default/models"

// misspelt is the example's gateway with a field that does not exist.
func misspelt(t *testing.T, text string) string {
	t.Helper()
	bad := strings.Replace(text, "  destination:", "  destinatoin:", 1)
	if bad == text {
		t.Fatal("the example has no destination any more")
	}
	return bad
}

func TestBadEdit(t *testing.T) {
	dir := firstGateway(t)
	g := child.Run(t, "-f", dir, "--simulate", "--listen", models+"/http=127.0.0.1:0")
	url := g.Address(t, models, 8080) + "/v1/models"
	well := func() {
		t.Helper()
		if a := g.Call(t, http.MethodGet, url, "blue-team-demo-key", ""); a.Status != http.StatusOK {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	refused := func() bool { return strings.Contains(g.Page(t, "/status").Body, `"refused"`) }
	well()
	file := filepath.Join(dir, "gateway.yaml")
	good := read(t, file)
	child.Write(t, file, misspelt(t, good))
	child.Until(t, "the edit is refused", refused)
	well()
	table := g.Page(t, "/status?format=table").Body
	for _, want := range []string{"is NOT served", "XBackendDestination default/provider", "destinatoin", "gateway.yaml:"} {
		if !strings.Contains(table, want) {
			t.Errorf("/status does not say %q:\n%s", want, table)
		}
	}
	if got := g.Metric(t, `egret_reloads_total{result="kept_previous"}`); got != 1 {
		t.Errorf("kept_previous %v, want 1", got)
	}
	if log := g.Stderr.String(); !strings.Contains(log, "the configuration was refused, the one before serves on") || !strings.Contains(log, "destinatoin") {
		t.Errorf("the log does not say so:\n%s", log)
	}
	child.Write(t, file, strings.Replace(good, "value: /v1", "value: /v2", 1))
	child.Until(t, "the next good edit is served", func() bool {
		return !refused() && g.Call(t, http.MethodGet, url, "blue-team-demo-key", "").Status == http.StatusNotFound
	})
}

func TestBadStart(t *testing.T) {
	dir := firstGateway(t)
	file := filepath.Join(dir, "gateway.yaml")
	child.Write(t, file, misspelt(t, read(t, file)))
	p := child.Start(t, "", "run", "-f", dir)
	if code := p.Wait(t); code != 1 || !strings.Contains(p.Stderr.String(), "destinatoin") {
		t.Errorf("exit status %d and %s, want 1 and the mistake", code, p.Stderr.String())
	}
}

func TestDrain(t *testing.T) {
	t.Parallel() // it waits, mostly
	dir := child.Fixed(t, "            - --mode\n", "            - --inter-token-latency\n            - \"20\"\n            - --mode\n")
	g := child.Quickstart(t, "--manifests", dir)
	token := g.Mint(t, g.UserToken)
	message := strings.TrimSpace(strings.Repeat("word ", 50))
	res, err := g.Open(http.MethodPost, chat, token, ask(message, `"stream":true`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body := bufio.NewReader(res.Body)
	head, err := body.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	g.Signal(syscall.SIGTERM)
	child.Until(t, "new connections are refused", func() bool {
		c, err := net.Dial("tcp", g.Host)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	rest, err := io.ReadAll(body)
	if err != nil {
		t.Fatalf("the stream broke off: %v", err)
	}
	if diff := cmp.Diff(message, said(head+string(rest))); diff != "" {
		t.Error(diff)
	}
	if _, whole := streamed(head + string(rest)); !whole {
		t.Errorf("the stream has no end:\n%s", rest)
	}
	if code := g.Wait(t); code != 0 {
		t.Errorf("exit status %d after a drain, want 0", code)
	}
}

func TestDrainHasAnEnd(t *testing.T) {
	dir := child.Fixed(t, "            - --mode\n", "            - --inter-token-latency\n            - \"600000\"\n            - --mode\n")
	g := child.Quickstart(t, "--manifests", dir, "--drain", "200ms")
	res, err := g.Open(http.MethodPost, chat, g.Mint(t, g.UserToken), ask("Hello again", `"stream":true`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body := bufio.NewReader(res.Body)
	if _, err := body.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	g.Signal(syscall.SIGTERM)
	if code := g.Wait(t); code < 0 {
		t.Errorf("exit status %d: it did not end by itself", code)
	}
	rest, _ := io.ReadAll(body)
	if _, whole := streamed(string(rest)); whole {
		t.Error("a stream of ten minutes came to its end")
	}
}
