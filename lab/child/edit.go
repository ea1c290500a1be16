package child

import (
	"os"
	"path/filepath"
	"testing"
)

// Write replaces a file at once, so that a watcher never sees half of it.
func Write(t testing.TB, path, text string) {
	t.Helper()
	tmp, err := os.CreateTemp(filepath.Dir(path), ".edit-*")
	if err != nil {
		t.Fatal(err)
	}
	_, err = tmp.WriteString(text)
	if err == nil {
		err = tmp.Close()
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		t.Fatal(err)
	}
}
