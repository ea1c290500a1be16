package fault

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	diff "github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite docs/faults.md")

// TestPage keeps docs/faults.md what the rows say.
func TestPage(t *testing.T) {
	const file = "../../../docs/faults.md"
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
	if d := diff.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s is stale (-want +got), go test ./lab/e2e/fault -run Page -update rewrites it:\n%s", file, d)
	}
}

func page() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# Faults

What clients see while a part of the [quickstart on Kubernetes](guides/kubernetes.md) is killed with SIGKILL, at 100 calls a second
and 20 streams through both gateways, with counters in Redis, ledger and API keys in PostgreSQL, and one pod of everything but the
controller of class egret unless the row says otherwise. Every row is held by a test on a cluster in lab/e2e/fault, and this page is made
from the same rows: go test ./lab/e2e/fault -run Page -update.

"Calls" and "streams" are of a model, those of strangers with a token that was not seen within the last minutes; "MaaS API" is
minting, listing keys and listing models. A column says what may come in the place of what is right; with "—" nothing but what is
right may. %q: refused, or closed before the header of an answer; %q: closed after it. Meanwhile is from the kill until the
recovery; after it nothing but what is right is seen again.

`, none, cut)
	line(&b, "killed", "calls meanwhile", "streams meanwhile", "calls of strangers", "MaaS API meanwhile", "longest request", "recovery")
	line(&b, "---", "---", "---", "---", "---", "---", "---")
	for _, r := range rows {
		line(&b, r.killed, list(r.calls), list(r.streams), list(slices.Concat(r.calls, r.strangers)), list(r.api), longest.String(), recovery.String())
	}
	fmt.Fprintf(&b, `
A stream's longest request is until its header.

In every row:

- What was answered in full is in the ledger and in the counters afterwards. Where the killed process carried the calls itself, this is
  so of what it had answered more than %s before; a SIGKILL leaves no time to charge the rest.
- A token that was revoked before is refused throughout, also by pods that start while others are away.
- Somebody whose tokens are revoked meanwhile, as soon as the MaaS API does so, is refused before the recovery is over.
- Minting, revoking and both gateways work afterwards without anybody's help.

Containers of the test request 0.1 CPU, also those of Redis and PostgreSQL. Give yours what they need: on a busy node a container that
requests nothing gets next to nothing, and a restart or a login that takes a moment takes a minute.

`, moment)
	for _, r := range rows {
		fmt.Fprintf(&b, "**%s.** %s\n\n", strings.ToUpper(r.killed[:1])+r.killed[1:], r.why)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func line(b *bytes.Buffer, cells ...string) {
	for _, c := range cells {
		fmt.Fprintf(b, "| %s ", c)
	}
	b.WriteString("|\n")
}

func list(outcomes []string) string { return cmp.Or(strings.Join(outcomes, ", "), "—") }
