package feed

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/egret-gateway/egret/xds"
)

// Save keeps the feed in a file that its owner alone may read, since secrets
// are in it. The file has all of the feed, or what it had before.
func (f *Feed) Save(path string) error {
	text, err := json.Marshal(f.Resources())
	if err != nil {
		return err
	}
	fresh, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // of mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(fresh.Name())
	_, err = fresh.Write(text)
	if closed := fresh.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(fresh.Name(), path)
}

// Read returns the feed that Save wrote, held to its head as one that has just
// arrived. It takes the file away: a plan that brings its program down must not
// do so a second time. nil, without an error, means that there is no file.
func Read(path string) (*Feed, error) {
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil {
		return nil, err
	}
	var resources []xds.Resource
	if err := json.Unmarshal(text, &resources); err != nil {
		return nil, fmt.Errorf("%s: no feed that this release has written", path)
	}
	f, err := Join(resources)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}
