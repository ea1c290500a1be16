package command

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/egret-gateway/egret/compile"
	"github.com/egret-gateway/egret/maas"
	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/source/file"
	"github.com/egret-gateway/egret/standalone"
)

// checkCmd validates manifests.
type checkCmd struct {
	manifestFlags
	Quiet bool   `short:"q" help:"Print only what is wrong."`
	Out   string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// Help is the long help of the command.
func (*checkCmd) Help() string {
	return `Exit status 1 when something is not read or not accepted. Nothing is contacted.

Example:
  egret check -f manifests/common -f manifests/openshift -k manifests/maas`
}

// Run prints problems, conditions and notices.
func (c *checkCmd) Run(w *world) error {
	o, err := c.manifestFlags.options(w)
	if err != nil {
		return err
	}
	snap, problems := file.Load(w.ctx, o)
	_, conditions := compile.Compile(snap, compile.Options{Alone: true})
	conditions = append(conditions, maas.Conditions(&snap, standalone.MaaSNamespace)...)
	if c.Out == "json" {
		e := json.NewEncoder(w.stdout)
		e.SetIndent("", "  ")
		if err := e.Encode(map[string]any{"problems": problems, "conditions": conditions, "notices": snap.Notices}); err != nil {
			return err
		}
	} else {
		c.table(w, &snap, problems, conditions)
	}
	bad := len(problems)
	for _, x := range conditions {
		if x.Bad() {
			bad++
		}
	}
	if bad > 0 {
		fmt.Fprintf(w.stderr, "egret: %s\n", count(bad, "problem"))
		return errSilent
	}
	return nil
}

func (c *checkCmd) table(w *world, snap *source.Snapshot, problems source.Problems, conditions []source.Condition) {
	for _, p := range problems {
		fmt.Fprintln(w.stdout, p)
	}
	t := tabwriter.NewWriter(w.stdout, 0, 4, 2, ' ', 0)
	head := "OBJECT\tPART\tCONDITION\tSTATUS\tREASON\tMESSAGE\n"
	for _, x := range conditions {
		if c.Quiet && !x.Bad() {
			continue
		}
		fmt.Fprint(t, head)
		head = ""
		part := x.Parent.SectionName
		if x.Parent.Name != "" {
			part = strings.TrimSuffix(x.Parent.Namespace+"/"+x.Parent.Name+"/"+part, "/")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", x.Key(), part, x.Type, x.Status, x.Reason, x.Message)
	}
	t.Flush()
	for _, n := range snap.Notices {
		if !c.Quiet {
			fmt.Fprintln(w.stdout, "notice:", n)
		}
	}
	if len(conditions) == 0 {
		fmt.Fprintln(w.stdout, count(len(snap.Origins), "object")+" read; none of them is a gateway, a route, a backend or a policy, so there is nothing to serve")
	}
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// planCmd prints the plan.
type planCmd struct {
	manifestFlags
	Hash bool `help:"Print only the plan's hash."`
}

// Help is the long help of the command.
func (*planCmd) Help() string {
	return `The plan is what the data planes serve: every name resolved, every default filled in, secrets by digest only.

Example:
  egret plan -k manifests/maas -f manifests/openshift/maas-bridge.yaml | jq .ports`
}

// Run prints the plan as JSON.
func (c *planCmd) Run(w *world) error {
	o, err := c.manifestFlags.options(w)
	if err != nil {
		return err
	}
	snap, problems := file.Load(w.ctx, o)
	for _, p := range problems {
		fmt.Fprintln(w.stderr, p)
	}
	p, _ := compile.Compile(snap, compile.Options{Alone: true})
	if c.Hash {
		fmt.Fprintln(w.stdout, p.Hash())
	} else {
		b, err := json.MarshalIndent(p.Shown(), "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(w.stdout, "%s\n", readable(b))
	}
	if len(problems) > 0 {
		return errSilent
	}
	return nil
}

// durations are the plan's fields in nanoseconds.
var durations = regexp.MustCompile(`(?m)^( *"(?:request|backend|idle|ttl|window)": )(-?\d+)(,?)$`)

// readable writes durations as people do.
func readable(plan []byte) []byte {
	return durations.ReplaceAllFunc(plan, func(line []byte) []byte {
		m := durations.FindSubmatch(line)
		n, err := strconv.ParseInt(string(m[2]), 10, 64)
		if err != nil {
			return line
		}
		text := time.Duration(n).String()
		if n < 0 {
			text = "none"
		}
		return fmt.Appendf(nil, "%s%q%s", m[1], text, m[3])
	})
}
