package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

func main() {
	root := flag.String("root", ".", "the repository")
	page := flag.Bool("page", false, "write docs/defects.md and plant nothing")
	atOnce := flag.Int("p", 2, "plants at once")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *root, *page, *atOnce, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "planted:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, root string, page bool, atOnce int, ids []string) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	lines, err := read(filepath.Join(root, "lab/planted/defects"))
	if err != nil {
		return err
	}
	if page {
		return os.WriteFile(filepath.Join(root, "docs/defects.md"), render(lines), 0o644)
	}
	scratch, err := os.MkdirTemp("", "planted")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	g := &garden{runner: runner{root, scratch}, out: os.Stdout, atOnce: atOnce}
	for _, l := range lines {
		if len(ids) == 0 || slices.Contains(ids, l.id) {
			for _, p := range l.plants {
				g.beds = append(g.beds, bed{l, p})
			}
		}
	}
	return g.work(ctx)
}

// bed is a plant and the line that it is of.
type bed struct {
	*line
	*plant
}

// garden is all that is to be planted.
type garden struct {
	runner
	beds   []bed
	atOnce int

	mu  sync.Mutex
	out io.Writer
	bad int
}

// work looks at the tests as the code is, then at each plant, and prints a line
// for each.
func (g *garden) work(ctx context.Context) error {
	begun := time.Now()
	grounds := map[string][]*plant{}
	for _, b := range g.beds {
		key := b.tags + " " + b.dir
		grounds[key] = append(grounds[key], b.plant)
	}
	fmt.Fprintf(g.out, "as the code is: the tests of %d plants in %d packages\n", len(g.beds), len(grounds))
	g.each(slices.Sorted(maps.Keys(grounds)), func(key string) {
		if why := g.sound(ctx, grounds[key]); why != "" {
			g.say("%s: %s\n", strings.TrimSpace(key), why)
		}
	})
	if g.bad > 0 {
		return errors.New("tests must pass before anything is planted")
	}
	fmt.Fprintf(g.out, "they pass, %.0f s. Planted:\n", time.Since(begun).Seconds())
	byFile := map[string]bed{}
	for _, b := range g.beds {
		byFile[b.file] = b
	}
	g.each(slices.Sorted(maps.Keys(byFile)), func(file string) {
		b, begun := byFile[file], time.Now()
		verdict := g.fails(ctx, b.plant)
		row := fmt.Sprintf("%-5s %-3s %-52s %5.1f s  ", b.plant.id, b.severity, b.dir+" "+b.test, time.Since(begun).Seconds())
		if verdict != "" {
			g.say("%sNOT CAUGHT (%s): %s\n", row, file, verdict)
			return
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		fmt.Fprintln(g.out, row+"caught")
	})
	fmt.Fprintf(g.out, "%d plants, %d not caught, %.0f s\n", len(g.beds), g.bad, time.Since(begun).Seconds())
	if g.bad > 0 {
		return fmt.Errorf("%d defects could come back unnoticed", g.bad)
	}
	return ctx.Err()
}

// each calls do for every name, some at once.
func (g *garden) each(names []string, do func(string)) {
	var group errgroup.Group
	group.SetLimit(g.atOnce)
	for _, name := range names {
		group.Go(func() error {
			do(name)
			return nil
		})
	}
	_ = group.Wait()
}

// say prints what is wrong, and counts it.
func (g *garden) say(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bad++
	fmt.Fprintf(g.out, format, args...)
}
