package file

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/egret-gateway/egret/source"
)

// Bounds on what is read.
const (
	maxTotal     = 64 << 20
	maxDocument  = 10 << 20
	maxDocuments = 100_000
)

// stdin is the path that means standard input.
const stdin = "-"

// input gathers documents and what went wrong on the way to them.
type input struct {
	docs     []document
	problems source.Problems
	// left is how many bytes may still be read.
	left int64
	seen map[string]bool
	// dirs are the directories in which a change may matter.
	dirs []string
}

// gather reads everything the options name, in their order.
func (s *Source) gather(ctx context.Context) *input {
	in := &input{left: maxTotal, seen: map[string]bool{}}
	if s.opts.FS != nil {
		in.embedded(ctx, s.opts.FS)
	}
	for _, path := range s.opts.Paths {
		switch info, err := os.Stat(path); {
		case ctx.Err() != nil:
			return in
		case path == stdin:
			in.stdin(s.stdin)
		case err != nil:
			in.dirs = append(in.dirs, filepath.Dir(path))
			in.fail(path, err)
		case info.IsDir():
			in.directory(ctx, path)
		default:
			in.dirs = append(in.dirs, filepath.Dir(path))
			in.file(path)
		}
	}
	for _, dir := range s.opts.Kustomize {
		in.kustomization(dir)
	}
	return in
}

func (in *input) fail(path string, err error) {
	why, do := err.Error(), ""
	var perr *fs.PathError
	if errors.As(err, &perr) {
		why = "cannot be read: " + perr.Err.Error()
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		why, do = "does not exist", "check the path"
	case errors.Is(err, fs.ErrPermission):
		do = "check its permissions"
	}
	in.problems = append(in.problems, source.Problem{File: path, Why: why, Do: do})
}

// directory reads every manifest below a directory, in the order of names.
func (in *input) directory(ctx context.Context, root string) {
	l := listing{ctx: ctx, root: root}
	if err := filepath.WalkDir(root, l.visit); err != nil {
		in.fail(root, err)
	}
	in.dirs = append(in.dirs, l.dirs...)
	for _, path := range l.paths {
		in.file(path)
	}
}

// embedded reads every manifest of a file system that is part of the program.
// It never changes, so there is nothing to watch.
func (in *input) embedded(ctx context.Context, fsys fs.FS) {
	l := listing{ctx: ctx, root: "."}
	if err := fs.WalkDir(fsys, ".", l.visit); err != nil {
		in.fail(".", err)
	}
	for _, path := range l.paths {
		f, err := fsys.Open(path)
		if err != nil {
			in.fail(path, err)
			continue
		}
		in.read(path, f)
		f.Close()
	}
}

// listing gathers the manifests below root, and the directories they are in.
// It leaves out what is hidden, for ConfigMap volumes keep their history
// there, and kustomizations: they instruct other tools, and what they name is
// read anyway.
type listing struct {
	ctx         context.Context
	root        string
	paths, dirs []string
}

// visit is an fs.WalkDirFunc.
func (l *listing) visit(path string, d fs.DirEntry, err error) error {
	switch {
	case err != nil:
		return err
	case l.ctx.Err() != nil:
		return l.ctx.Err()
	case path != l.root && strings.HasPrefix(d.Name(), "."):
		if d.IsDir() {
			return fs.SkipDir
		}
	case d.IsDir():
		l.dirs = append(l.dirs, path)
	case isManifest(path) && isReadable(d) && !slices.Contains(kustomizationFiles, d.Name()):
		l.paths = append(l.paths, path)
	}
	return nil
}

func isManifest(path string) bool {
	switch filepath.Ext(path) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

// isReadable leaves out pipes and devices, which may never end. They can be
// named outright.
func isReadable(d fs.DirEntry) bool {
	return d.Type().IsRegular() || d.Type()&fs.ModeSymlink != 0
}

// file reads one file, once however often it is named.
func (in *input) file(path string) {
	if abs, err := filepath.Abs(path); err == nil {
		if in.seen[abs] {
			return
		}
		in.seen[abs] = true
	}
	f, err := os.Open(path)
	if err != nil {
		in.fail(path, err)
		return
	}
	defer f.Close()
	in.read(path, f)
}

func (in *input) stdin(text func() ([]byte, error)) {
	data, err := text()
	if err != nil {
		in.fail(stdin, err)
		return
	}
	in.read(stdin, bytes.NewReader(data))
}

// readStdin returns a function that reads standard input when first called:
// it can be read once, and loaded again and again.
func readStdin(r io.Reader) func() ([]byte, error) {
	return sync.OnceValues(func() ([]byte, error) {
		if r == nil {
			return nil, errors.New("standard input is not connected")
		}
		return io.ReadAll(io.LimitReader(r, maxTotal+1))
	})
}

func (in *input) read(path string, r io.Reader) {
	text, err := io.ReadAll(io.LimitReader(r, in.left+1))
	switch {
	case err != nil:
		in.fail(path, err)
		return
	case int64(len(text)) > in.left:
		in.left = 0
		in.problems = append(in.problems, source.Problem{
			File: path,
			Why:  fmt.Sprintf("is not read: all manifests together exceed %d MiB", maxTotal>>20),
			Do:   "name fewer files, or a directory that holds manifests only",
		})
		return
	}
	in.left -= int64(len(text))
	in.add(split(path, text)...)
}

// add keeps the documents that are neither too large nor too many.
func (in *input) add(docs ...document) {
	for _, d := range docs {
		if len(in.docs) == maxDocuments {
			in.problems = append(in.problems, source.Problem{
				File: d.file, Line: d.line,
				Why: fmt.Sprintf("nothing is read from here on: the manifests hold more than %d documents", maxDocuments),
				Do:  "name fewer files",
			})
			return
		}
		if len(d.text) > maxDocument {
			in.problems = append(in.problems, source.Problem{
				File: d.file, Line: d.line,
				Why: fmt.Sprintf("the document that starts here exceeds %d MiB", maxDocument>>20),
				Do:  "split it",
			})
			continue
		}
		in.docs = append(in.docs, d)
	}
}

// digest identifies everything that was read, and what could not be.
func (in *input) digest() [sha256.Size]byte {
	h := sha256.New()
	for _, d := range in.docs {
		fmt.Fprintf(h, "%s:%d %d\n", d.file, d.line, len(d.text))
		h.Write(d.text)
	}
	io.WriteString(h, in.problems.String())
	return [sha256.Size]byte(h.Sum(nil))
}
