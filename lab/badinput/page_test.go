package badinput

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/policy/ident"
	"github.com/egret-gateway/egret/policy/ident/local"
)

var update = flag.Bool("update", false, "rewrite docs/bad-input.md")

// TestPage keeps docs/bad-input.md what the rows say.
func TestPage(t *testing.T) {
	const file = "../../docs/bad-input.md"
	want := page()
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is stale (-want +got), go test ./lab/badinput -run Page -update rewrites it:\n%s", file, diff)
	}
}

// TestLeeway holds the two readers of tokens to one leeway, which the page states.
func TestLeeway(t *testing.T) {
	if ident.Leeway != local.Leeway {
		t.Errorf("jwt rules allow %s, token reviews %s", ident.Leeway, local.Leeway)
	}
}

func page() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# Bad input

What is answered when something is wrong. Every row is run against the whole system by a test in lab/badinput, and this page is
made from the same rows: go test ./lab/badinput -run Page -update. Texts are parts of what is said. Where
nothing else is written it is said within %s, on a slow machine too; the two rows on slow clients wait for the limits themselves.
What the data plane alone does after minutes and hours is on [another page](bad-input-plane.md).

## Requests

AI calls are refused in the caller's dialect. The caller is told what is wrong with the request, never what is wrong behind the gateway.

`, atOnce)
	table(&b, "input", "answer", "body", "access log", "within")
	for _, r := range slices.Concat(requests, []request{impostor}) {
		log := strings.TrimSpace(literal(r.code) + " " + literal(r.reason))
		if r.unseen {
			log = "no line: there was no whole request"
		}
		line(&b, r.input, r.answer, literal(r.body), log, r.within.String())
	}
	fmt.Fprintf(&b, `
## Tokens

For a MaaS token (kubernetesTokenReview) and for a jwt rule. Clocks may be %s apart: a token counts until that long after its
exp, and from that long before its nbf and iat. A 401 tells the caller %s and a 403 %s, in the header X-Ext-Auth-Reason, and nothing
else; the reason is in the access log, under the code %s or %s. No log holds a token. A jwt rule has no
audiences: a policy compares aud in an authorization rule.

`, ident.Leeway, literal(notAuthenticated), literal(notAuthorized), literal("unauthenticated"), literal("unauthorized"))
	table(&b, "token", "kubernetesTokenReview", "access log", "jwt", "access log")
	for _, f := range forgeries {
		line(&b, f.input, f.review, literal(f.reviewReason), f.jwt, literal(f.jwtReason))
	}
	fmt.Fprint(&b, `
## Edits of the manifests

A file is put beside good ones that are being served. An edit that cannot be read is refused whole, since what could not be read
may be the policy that guards a route; the plan before serves on. One that can be read but not followed is served without its
broken part, and a condition says so. In each row the other routes answer throughout; the status page, the log and egret check say what
is wrong. egret check exits with 1, except for what only a running system can know.

`)
	table(&b, "edit", "what becomes of it", "said", "requests to it", "egret check")
	for _, e := range edits {
		becomes, exit, answer := "refused, the plan before serves on", "exit 1", "—"
		if e.verdict != "" {
			becomes = e.object + ": " + literal(e.verdict)
		}
		if e.path != "" {
			answer = e.answer
		}
		if e.unchecked {
			exit = "exit 0"
		}
		line(&b, e.input, becomes, literal(e.says), answer, exit)
	}
	fmt.Fprint(&b, `
## ConfigMaps of the MaaS API

`)
	table(&b, "edit", "log", "then", "answer", "body")
	for _, d := range datas {
		line(&b, d.input, literal(d.says), map[string]string{"models": "GET /v1/models", "mint": "POST /maas-api/v1/tokens"}[d.call], d.answer, literal(d.body))
	}
	fmt.Fprint(&b, `
## Starts

`)
	table(&b, "input", "exit", "standard error")
	for _, l := range launches {
		line(&b, l.input, fmt.Sprint(l.exit), literal(l.says))
	}
	return b.Bytes()
}

func table(b *bytes.Buffer, columns ...string) {
	line(b, columns...)
	line(b, slices.Repeat([]string{"---"}, len(columns))...)
}

func line(b *bytes.Buffer, cells ...string) {
	for _, c := range cells {
		fmt.Fprintf(b, "| %s ", strings.ReplaceAll(c, "|", `\|`))
	}
	b.WriteString("|\n")
}

// literal sets text as code.
func literal(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}
