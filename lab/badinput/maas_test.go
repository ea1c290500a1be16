package badinput

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/egret-gateway/egret/lab/child"
	"github.com/egret-gateway/egret/standalone"
)

// data is a row about a ConfigMap that the MaaS API reads.
type data struct {
	input     string
	file      string // of the published manifests
	old, text string // what is replaced in it
	says      string // in the log
	call      string // what is asked then: "models" or "mint"
	answer    string
	body      string // a part of the answer
}

var datas = []data{
	{input: "broken YAML in the registry of external models", file: "openshift/external-model-registry.yaml", old: "- id: gpt-4-external", text: "- id: [gpt-4-external",
		says: "external models are left out of the model list until their ConfigMap is right", call: "models", answer: "200", body: `"data":null`},
	{input: "broken YAML in the tiers", file: "maas/base/tiers.yaml", old: "- name: premium", text: "- name: [premium",
		says: "nobody can mint a token until the tiers are right", call: "mint", answer: "500", body: "Failed to generate token"},
}

// TestMaaS breaks what the MaaS API reads while it serves.
func TestMaaS(t *testing.T) {
	t.Parallel()
	dir, home := child.Manifests(t), t.TempDir()
	user := newSigner(t).own(home)
	w := start(t, dir, func(o *standalone.Options) {
		o.Data, o.Simulate = home, true
		o.Listen[maasGateway+"/http"] = standalone.Address{At: "127.0.0.1:0"}
	})
	for _, row := range datas {
		t.Run(row.input, func(t *testing.T) { row.check(t, w, user) })
	}
	t.Run("client-sent X-MaaS-* to the MaaS API", func(t *testing.T) {
		row := impostor
		row.send = minting(user, "X-MaaS-Username: root", `X-MaaS-Group: ["admin-group"]`)
		row.check(t, w, w.address[maasGateway], "impostor")
		_, claims := w.mint(user)
		if sub, _ := claims["sub"].(string); !strings.HasPrefix(sub, "system:serviceaccount:maas-default-gateway-tier-free:alice-") {
			t.Errorf("the token is for %s", sub)
		}
		ctx, cancel := context.WithTimeout(t.Context(), atOnce)
		defer cancel()
		_, forged := takeApart(t, send(ctx, w.address[maasGateway], row.send, nil).body)
		if forged["sub"] != claims["sub"] {
			t.Errorf("the token is for %v", forged["sub"])
		}
	})
}

// impostor says that it is somebody else; the token it gets is its own all
// the same.
var impostor = request{input: "client-sent `X-MaaS-Username` and `X-MaaS-Group` to the MaaS API: the token is the caller's own", answer: "201", body: `"token":`, within: atOnce}

func (row *data) check(t *testing.T, w *world, user string) {
	ctx, cancel := context.WithTimeout(t.Context(), atOnce)
	defer cancel()
	path := filepath.Join(w.dir, row.file)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mark := w.log.mark()
	write(t, filepath.Dir(path), filepath.Base(path), strings.Replace(string(good), row.old, row.text, 1))
	if !w.log.find(ctx, mark, row.says) || !w.log.find(ctx, mark, "configuration loaded") {
		t.Errorf("the log does not say %q:\n%s", row.says, w.log.since(mark))
	}
	ask := get("/v1/models", "Authorization: Bearer "+user)
	if row.call == "mint" {
		ask = minting(user)
	}
	if got := send(ctx, w.address[maasGateway], ask, nil); got.answer != row.answer || !strings.Contains(got.body, row.body) {
		t.Errorf("%s answers %s %.300q, want %s %q", row.call, got.answer, got.body, row.answer, row.body)
	}
	mark = w.log.mark()
	write(t, filepath.Dir(path), filepath.Base(path), string(good))
	if !w.log.find(ctx, mark, "configuration loaded") {
		t.Errorf("the good configuration is not back:\n%s", w.log.since(mark))
	}
}

// launch is a row about a start that fails.
type launch struct {
	input string
	text  string   // of the manifests
	flags []string // beside -f DIR
	exit  int
	says  string // on standard error
}

var launches = []launch{
	{input: "`egret run`: a port is in use (`--listen`)", text: gateway, flags: []string{"--listen", "lab/edge/http=TAKEN"}, exit: 1, says: "address already in use; choose another address"},
	{input: "`egret run`: a manifest that is refused", text: gateway + "  typo: 1\n", exit: 1, says: "spec.typo: is not a known field"},
	{input: "`egret run`: a file that does not exist", text: gateway, flags: []string{"-f", "gone.yaml"}, exit: 1, says: "gone.yaml: does not exist; check the path"},
	{input: "`egret run`: the admin page's port is in use", text: gateway, flags: []string{"--admin", "TAKEN"}, exit: 1, says: "address already in use; choose another address"},
	{input: "an unknown flag", text: gateway, flags: []string{"--no-such-flag"}, exit: 2, says: "unknown flag --no-such-flag"},
}

// TestLaunches starts what cannot serve: it says why and ends.
func TestLaunches(t *testing.T) {
	t.Parallel()
	for _, row := range launches {
		t.Run(row.input, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "edge.yaml", row.text)
			args := []string{"run", "-f", dir}
			for _, f := range row.flags {
				args = append(args, strings.Replace(f, "TAKEN", taken(t), 1))
			}
			p := child.Start(t, "", args...)
			if exit := p.Wait(t); exit != row.exit || !strings.Contains(p.Stderr.String(), row.says) {
				t.Errorf("exit %d: %s", exit, p.Stderr.String())
			}
		})
	}
}
