package guide

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// covered are the guides that have a test: kubernetes.md has its in lab/e2e,
// since it takes a cluster.
var covered = []string{"chain.md", "cloud.md", "first-gateway.md", "kubernetes.md", "mutual-tls.md", "operations.md", "private-ca.md", "providers.md", "quickstart.md"}

func TestEveryGuideIsCovered(t *testing.T) {
	files, err := filepath.Glob(root + "/docs/guides/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, filepath.Base(f))
	}
	slices.Sort(names)
	if diff := cmp.Diff(covered, names); diff != "" {
		t.Errorf("guides and their tests (-tested +there):\n%s", diff)
	}
}

// prints holds one block's output to patterns, each of which matches a line.
func prints(t *testing.T, out string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile(`(?m)` + p).MatchString(out) {
			t.Errorf("no line is %s in\n%s", p, out)
		}
	}
}

func TestFirstGateway(t *testing.T) {
	out := shell(t, blocks(t, root+"/docs/guides/first-gateway.md")...)
	if len(out) != 6 {
		t.Fatalf("%d blocks; this test knows 6", len(out))
	}
	prints(t, out[0], `^Gateway default/models +Programmed +True`, `^TokenRateLimitPolicy default/budget +Enforced +True`)
	prints(t, out[1], `^-:7: Gateway default/models: spec.gatewayClasName: .*did you mean gatewayClassName\?`)
	var codes []string
	for _, line := range lines(out[3]) {
		if regexp.MustCompile(`^\d{3}$`).MatchString(line) {
			codes = append(codes, line)
		}
	}
	if diff := cmp.Diff([]string{"401", "200", "200", "429"}, codes); diff != "" {
		t.Errorf("%s in\n%s", diff, out[3])
	}
	prints(t, out[3], `"type":"rate_limit`)
	prints(t, out[4], `^verdict +.*limit`, `^route +default/chat`, `^auth policy +default/keys`, `^caller .*blue`,
		`^limit +per-team .*0 of 60 tokens left per 10s`, `^ *blue +small-model +3 +1 `)
	prints(t, out[5], `^egret .*ready: ok`)
}

func TestOperations(t *testing.T) {
	out := shell(t, blocks(t, root+"/docs/guides/operations.md")...)
	if len(out) != 4 {
		t.Fatalf("%d blocks; this test knows 4", len(out))
	}
	prints(t, out[0], `^-rw------- .* egret.db$`, `^-rw------- .* issuer.pem$`)
	if !strings.HasPrefix(out[1], "ok\nok\n") {
		t.Errorf("the probes do not say ok:\n%s", out[1])
	}
	prints(t, out[1], `^egret .*ready: ok$`, `^datastore_partitioned 0$`, `^egret_reloads_total\{result="loaded"\} 1$`)
	prints(t, out[2], `^\{"user":"blue","route":"default/chat","model":"small-model","status":200,"total":\d+\}$`)
}

func TestReadme(t *testing.T) {
	all := blocks(t, root+"/README.md")
	if len(all) != 3 {
		t.Fatalf("%d blocks; this test knows 3", len(all))
	}
	const serve = `bin/egret quickstart --env-file egret.env > egret.log 2>&1 &
		EGRET=$!
		until [ -s egret.env ]; do sleep 0.1; done`
	out := shell(t, serve, all[1], "kill $EGRET; wait $EGRET")
	t.Run("maas-8 maas-10 maas-12 its session is what one sees", func(t *testing.T) {
		prints(t, out[1], `^\["gpt-4-external","openai"\]$`, `^\["claude-3-sonnet-external","anthropic"\]$`, `^\{"prompt_tokens":1,"completion_tokens":\d+,"total_tokens":\d+\}$`,
			`^(200 )+(429 )+$`, `^ *USER +MODEL +REQUESTS +FAILED`, `^ *kube-admin-81378af5 +gpt-4-external +17 `, `^limit +free-user-tokens`)
	})
	t.Run("its own manifests are checked and served", func(t *testing.T) {
		check, run, ok := strings.Cut(all[2], "bin/egret run")
		if !ok {
			t.Fatal("the last block does not run egret")
		}
		out := shell(t, check, "bin/egret run"+strings.SplitN(run, "#", 2)[0]+` > egret.out 2> egret.log &
			EGRET=$!
			until grep -q '^admin: ' egret.out; do sleep 0.1; done; cat egret.out; kill $EGRET; wait $EGRET`)
		prints(t, out[0], `^HTTPRoute default/chat +default/models +Accepted +True`)
		prints(t, out[1], `^gateway default/models port 8080: http://127\.0\.0\.1:\d+$`)
	})
}

// What a guide shows of an example stands in it.
func TestGuidesQuoteTheExamples(t *testing.T) {
	for _, name := range covered {
		name = strings.TrimSuffix(name, ".md")
		files, err := filepath.Glob(root + "/examples/" + name + "/*.yaml")
		if err != nil {
			t.Fatal(err)
		}
		if len(files) == 0 {
			continue
		}
		var example strings.Builder
		for _, f := range files {
			example.WriteString(read(t, f))
		}
		quoted := quotes(t, root+"/docs/guides/"+name+".md")
		if len(quoted) == 0 {
			t.Errorf("guide %s shows nothing of its example", name)
		}
		for _, q := range quoted {
			if !strings.Contains(example.String(), q) {
				t.Errorf("not in example %s:\n%s", name, q)
			}
		}
	}
}
