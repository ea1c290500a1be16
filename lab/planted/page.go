package main

import (
	"bytes"
	"fmt"
	"strings"
)

const head = `# Defects of the reference controller

What the reference is known to do wrong, by number and severity (S1 crash or security, S2 wrong behaviour, S3 missing feature), and the test
that fails when it is done here. Made by ` + "`go run ./lab/planted -page`" + ` from lab/planted/defects; ` + "`make planted`" + ` puts every defect into the code
and sees the test fail. Tests marked (cluster) have that build tag and need an API server, which ` + "`make cluster-build`" + ` compiles.

| number | the reference | Egret | test |
| --- | --- | --- | --- |
`

// render makes docs/defects.md.
func render(lines []*line) []byte {
	var out bytes.Buffer
	out.WriteString(head)
	for _, l := range lines {
		if len(l.plants) == 0 {
			fmt.Fprintf(&out, "| %s %s | | %s | |\n", l.id, l.severity, cell(l.why))
		}
		for _, p := range l.plants {
			test, tags := p.dir+" "+p.test, ""
			if p.tags != "" {
				tags = " (" + p.tags + ")"
			}
			fmt.Fprintf(&out, "| %s %s | %s | %s | `%s`%s |\n", l.id, l.severity, cell(p.reference), cell(p.egret), cell(test), tags)
		}
	}
	return out.Bytes()
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
