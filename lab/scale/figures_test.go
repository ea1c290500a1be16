//go:build scale

package scale

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// figures are what was measured.
type figures struct {
	Created    time.Duration // all but the Gateways, sixteen at once
	Programmed time.Duration // from the last create to all Gateways Programmed
	Settled    time.Duration // and every route told, and every pod with all of its
	Restarted  time.Duration // from the start of the controller, with all there, to all pods fed
	Changes    []time.Duration
	Writes     int64 // of the controller until settled
	// ChangeWrites are those for all changes, RestartWrites those after a
	// restart.
	ChangeWrites, RestartWrites int64
	memory                      []memory
}

type memory struct {
	when           string
	heap, resident float64
}

func (f *figures) remember(w *world, when string) {
	f.memory = append(f.memory, memory{when, w.metric("go_memstats_heap_inuse_bytes"), w.metric("process_resident_memory_bytes")})
}

// at returns the time in which a share of the changes was acknowledged.
func (f *figures) at(share float64) time.Duration {
	return f.Changes[min(len(f.Changes)-1, int(share*float64(len(f.Changes))))]
}

func (f *figures) lines() []string {
	ms := func(d time.Duration) string { return d.Round(time.Millisecond).String() }
	out := []string{
		"| what | measured | goal |", "| --- | --- | --- |",
		"| last create → all Gateways Programmed | " + ms(f.Programmed) + " | 1 min |",
		"| last create → every route told, every pod with all its routes | " + ms(f.Settled) + " | 1 min |",
		"| start of the controller with all there → all pods fed | " + ms(f.Restarted) + " | 1 min |",
		"| one change → acknowledged by the plane, half of them within | " + ms(f.at(.5)) + " | 2 s |",
		"| one change → acknowledged by the plane, 99 of 100 within | " + ms(f.at(.99)) + " | 4 s |",
		fmt.Sprintf("| writes to the API server until settled | %d | |", f.Writes),
		fmt.Sprintf("| writes to the API server for %d changes | %d | |", len(f.Changes), f.ChangeWrites),
		fmt.Sprintf("| writes to the API server after a restart | %d | 0 |", f.RestartWrites),
	}
	for _, m := range f.memory {
		out = append(out, fmt.Sprintf("| memory of the controller %s: heap, resident | %.0f MiB, %.0f MiB | 500 MiB |", m.when, m.heap/(1<<20), m.resident/(1<<20)))
	}
	return out
}

// hold holds the figures against the goals.
func (f *figures) hold(t *testing.T) {
	f1 := func(what string, got, goal time.Duration) {
		if got > goal {
			t.Errorf("%s took %s, the goal is %s", what, got, goal)
		}
	}
	f1("gateway-102 settling", f.Settled, goalSettle)
	f1("a restart", f.Restarted, goalSettle)
	f1("half of the changes", f.at(.5), goalChange)
	f1("99 of 100 changes", f.at(.99), 2*goalChange)
	for _, m := range f.memory {
		if m.resident > goalMemory {
			t.Errorf("%.0f MiB are resident %s", m.resident/(1<<20), m.when)
		}
	}
	if f.RestartWrites > 0 {
		t.Errorf("%d writes after a restart, though all was said before", f.RestartWrites)
	}
}

// write writes docs/scale.md and its plot.
func (f *figures) write(w *world) {
	least, most := f.memory[0].resident, f.memory[0].resident
	for _, m := range f.memory {
		least, most = min(least, m.resident), max(most, m.resident)
	}
	text := fmt.Sprintf(`# Scale

One controller with %d HTTPRoutes, %d XBackendDestinations, %d AuthPolicies and %d TokenRateLimitPolicies on %d Gateways, half of them on
either plane. The API server is real, the pods are played: they sign in as pods do and acknowledge what comes at once. Made by
`+"`make scale`"+`, which fails where a goal is missed.

%s

![Time from a change to its acknowledgement, of %d changes](scale.svg)

A change is a PATCH of one XBackendDestination's host name; it is acknowledged when the engine has the new plan and, on the Envoy plane, Envoy
the new routes. Creating all objects but the Gateways took %s, sixteen at once.

The controller ran without a limit of memory and had %.0f to %.0f MiB resident. The manifests and the chart limit it to 256Mi for class `+"`egret`"+` and to
128Mi for class `+"`wg-ai-gateway`"+`, so from about this size on give it more, and nine tenths of that as GOMEMLIMIT: in the chart `+"`egret.resources`"+` and
`+"`egret.goMemLimit`"+`, `+"`wg.resources`"+` and `+"`wg.goMemLimit`"+`.

Machine: %s. %s.
`, routes, backends, routes/guarded, routes/guarded, gateways, strings.Join(f.lines(), "\n"), len(f.Changes), f.Created.Round(100*time.Millisecond),
		least/(1<<20), most/(1<<20), machine(), w.versions())
	for name, b := range map[string][]byte{"scale.md": []byte(text), "scale.svg": f.plot()} {
		if err := os.WriteFile("../../docs/"+name, b, 0o644); err != nil {
			w.Fatal(err)
		}
	}
}

// plot draws the sorted times of the changes against their share.
func (f *figures) plot() []byte {
	const width, height, left, bottom = 600.0, 220.0, 50.0, 30.0
	most := max(f.Changes[len(f.Changes)-1], 500*time.Millisecond).Seconds() * 1.1
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="11">`+"\n", width+left+20, height+bottom+20)
	fmt.Fprintf(&b, `<path d="M%g 10V%gH%g" fill="none" stroke="#888"/>`+"\n", left, height+10, left+width)
	for i := range 5 {
		share := float64(i) / 4
		fmt.Fprintf(&b, `<text x="%g" y="%g" text-anchor="middle">%.2f s</text>`+"\n", left+share*width, height+bottom, share*most)
		fmt.Fprintf(&b, `<text x="%g" y="%g" text-anchor="end">%.0f %%</text>`+"\n", left-6, height+14-share*height, share*100)
	}
	fmt.Fprintf(&b, `<path d="M%g %g`, left, height+10)
	for i, d := range f.Changes {
		fmt.Fprintf(&b, "H%.1fV%.1f", left+d.Seconds()/most*width, height+10-float64(i+1)/float64(len(f.Changes))*height)
	}
	b.WriteString(`" fill="none" stroke="#07c" stroke-width="2"/>` + "\n</svg>\n")
	return b.Bytes()
}

func machine() string {
	model := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, found := strings.Cut(string(text), "model name\t: "); found {
			model, _, _ = strings.Cut(rest, "\n")
		}
	}
	load, _ := os.ReadFile("/proc/loadavg")
	return fmt.Sprintf("%d cores, %s, load average %s at the end", runtime.NumCPU(), strings.TrimSpace(model), strings.Join(strings.Fields(string(load))[:1], ""))
}

var gitVersion = regexp.MustCompile(`"gitVersion": *"([^"]+)"`)

// versions are those of what was run.
func (w *world) versions() string {
	raw := w.server.Must(w.T, "GET", "/version", "")
	kubernetes := "unknown"
	if m := gitVersion.FindSubmatch(raw); m != nil {
		kubernetes = string(m[1])
	}
	return "Kubernetes " + kubernetes + ", " + runtime.Version()
}
