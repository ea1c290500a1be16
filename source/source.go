package source

import "context"

// Source is where resources come from: source/file, and next source/kube.
type Source interface {
	// Run calls emit with the first snapshot and again after each change,
	// never twice at once, until ctx is done. A snapshot that comes with
	// problems lacks the objects that are broken; whoever serves from it may
	// prefer to keep the last one that had none. Run returns nil when ctx
	// ended it, or the error that keeps it from ever reading again.
	Run(ctx context.Context, emit func(Snapshot, Problems)) error
	// Report delivers what compile said: as status to an API server, as log
	// lines for files.
	Report(ctx context.Context, cs []Condition) error
}
