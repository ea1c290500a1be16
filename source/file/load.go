package file

import (
	"context"
	"io"
	"io/fs"
	"log/slog"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/egret-gateway/egret/source"
)

// Options say what to read. The zero value reads nothing.
type Options struct {
	// Paths are files, directories (read with all their subdirectories) and
	// "-" for Stdin.
	Paths []string
	// Kustomize are directories that hold a kustomization.
	Kustomize []string
	// FS holds manifests that are part of the program. All of them are read,
	// before those of Paths, and taken never to change. nil has none.
	FS fs.FS
	// Stdin is read where Paths has "-"; a watching Source reads it once.
	Stdin io.Reader

	// Quiet is how long no change may have come before a reload, default
	// 50 ms; Hold is the longest that changes coming one after the other can
	// put it off, default 1 s.
	Quiet, Hold time.Duration
	// Reread is the interval at which everything is looked at without being
	// told of a change, default 30 s.
	Reread time.Duration
	// Log is where Report and Run write, default slog.Default().
	Log *slog.Logger
}

// Load reads everything the options name, once. Objects that are broken are
// left out of the snapshot and told of in the problems.
func Load(ctx context.Context, opts Options) (source.Snapshot, source.Problems) {
	return New(opts).Load(ctx)
}

// Source reads manifests from files and tells when they change. It keeps the
// definitions it has compiled, so that loading again is cheap.
type Source struct {
	opts        Options
	kinds       map[groupKind]*kind
	definitions definitions
	stdin       func() ([]byte, error)
	origins     atomic.Pointer[map[source.Key]string] // of the last load, for Report
}

// origin is where the last load found an object.
func (s *Source) origin(key source.Key) string {
	if origins := s.origins.Load(); origins != nil {
		return (*origins)[key]
	}
	return ""
}

// New returns a Source for the options.
func New(opts Options) *Source {
	setDefault(&opts.Quiet, 50*time.Millisecond)
	setDefault(&opts.Hold, time.Second)
	setDefault(&opts.Reread, 30*time.Second)
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	return &Source{opts: opts, kinds: index(kinds()), stdin: readStdin(opts.Stdin)}
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

// Load reads everything once; see the function Load.
func (s *Source) Load(ctx context.Context) (source.Snapshot, source.Problems) {
	return s.build(ctx, s.gather(ctx))
}

// build turns documents into a snapshot.
func (s *Source) build(ctx context.Context, in *input) (source.Snapshot, source.Problems) {
	b := &builder{
		snapshot: source.Snapshot{Origins: map[source.Key]string{}},
		problems: in.problems,
		taken:    map[source.Key]object{},
	}
	parsed := make([][]object, len(in.docs))
	broken := make([]*source.Problem, len(in.docs))
	for i, d := range in.docs {
		parsed[i], broken[i] = d.objects()
	}
	s.warm(ctx, slices.Concat(parsed...))
	for i, objs := range parsed {
		for _, o := range objs {
			s.place(ctx, b, o)
		}
		if broken[i] != nil {
			b.problems = append(b.problems, *broken[i])
		}
	}
	fleet(&b.snapshot)
	for _, k := range s.kinds {
		k.sort(&b.snapshot)
	}
	s.origins.Store(&b.snapshot.Origins)
	return b.snapshot, b.problems
}

// warm compiles the definitions that the objects need side by side. That is
// most of what a first load costs.
func (s *Source) warm(ctx context.Context, objs []object) {
	group, _ := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	asked := map[groupVersionKind]bool{}
	for _, o := range objs {
		k, version, _ := s.identify(o)
		if k == nil || k.plural == "" || asked[groupVersionKind{k.group, version, k.name}] {
			continue
		}
		asked[groupVersionKind{k.group, version, k.name}] = true
		group.Go(func() error {
			if def, err := s.definitions.get(k.group, k.plural, version); err == nil {
				def.rules()
			}
			return nil // admit tells of it, with the object it concerns
		})
	}
	_ = group.Wait()
}

type groupVersionKind struct{ group, version, kind string }

// builder is a snapshot in the making.
type builder struct {
	snapshot source.Snapshot
	problems source.Problems
	taken    map[source.Key]object
}

// place puts one object where it belongs, or says why not.
func (s *Source) place(ctx context.Context, b *builder, o object) {
	k, version, ps := s.identify(o)
	if ps != nil {
		b.problems = append(b.problems, ps...)
		return
	}
	if k == nil {
		b.snapshot.Notices = append(b.snapshot.Notices, source.Notice{
			Key: o.key(), Origin: o.origin(),
			Message: "no part of Egret reads " + o.text("apiVersion") + " " + o.text("kind") + "; the object is left out",
		})
		return
	}
	obj, ps := s.admit(ctx, o, k, version)
	if ps != nil {
		b.problems = append(b.problems, ps...)
		return
	}
	key := source.Key{Kind: k.name, Namespace: obj.GetNamespace(), Name: obj.GetName()}
	if first, twice := b.taken[key]; twice {
		b.problems = append(b.problems, o.problem(key, "", "is declared twice, first at "+first.origin(), "remove one of the two"))
		return
	}
	b.taken[key] = o
	b.snapshot.Origins[key] = o.origin()
	k.add(&b.snapshot, obj)
}
