package file

import (
	"context"
	"io/fs"
	"path"
	"strings"
)

// embedded reads every manifest of a file system that is part of the program.
// It never changes, so there is nothing to watch. Kustomizations in it are
// instructions for other tools: what they name is read anyway.
func (in *input) embedded(ctx context.Context, files fs.FS) {
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || ctx.Err() != nil {
			return err
		}
		base := path.Base(name)
		if !isManifest(name) || strings.HasPrefix(base, ".") || strings.TrimSuffix(base, path.Ext(base)) == "kustomization" {
			return nil
		}
		f, err := files.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		in.read(name, f)
		return nil
	})
	if err != nil {
		in.fail(".", err)
	}
}
