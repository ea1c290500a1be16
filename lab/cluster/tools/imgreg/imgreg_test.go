package main

import (
	"archive/tar"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// store puts a tar on the shelf: an image whose manifest is the text given.
// A real digest is not needed to serve one.
func store(t *testing.T, file, image, digest, manifest string) {
	t.Helper()
	f, err := os.Create(file + ".new")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	put := func(name, text string) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	put("blobs/sha256/"+digest, manifest)
	put("index.json", fmt.Sprintf(`{"manifests":[{"digest":"sha256:%s","annotations":{"io.containerd.image.name":%q}}]}`, digest, image))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

func TestPull(t *testing.T) {
	dir := t.TempDir()
	s := &shelf{dir: dir, tars: map[string]*archive{}}
	f := func(path string, status int, body string) {
		t.Helper()
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != status || status == http.StatusOK && w.Body.String() != body {
			t.Errorf("%s: %d %s; want %d %s", path, w.Code, w.Body, status, body)
		}
	}
	f("/v2/", 200, "")
	f("/v2/acme/app/manifests/v1?ns=ghcr.io", 404, "")

	file := filepath.Join(dir, "app.tar")
	store(t, file, "ghcr.io/acme/app:v1", "aa", `{"a":1}`)
	f("/v2/acme/app/manifests/v1?ns=ghcr.io", 200, `{"a":1}`)
	f("/v2/acme/app/manifests/sha256:aa?ns=ghcr.io", 200, `{"a":1}`)
	f("/v2/acme/app/blobs/sha256:aa?ns=ghcr.io", 200, `{"a":1}`)
	f("/v2/acme/app/manifests/v1?ns=quay.io", 404, "")
	f("/v2/acme/app/manifests/v2?ns=ghcr.io", 404, "")
	f("/v2/acme/app/blobs/sha256:bb?ns=ghcr.io", 404, "")

	store(t, file, "ghcr.io/acme/app:v1", "bb", `{"longer":2}`)
	f("/v2/acme/app/manifests/v1?ns=ghcr.io", 200, `{"longer":2}`)

	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	f("/v2/acme/app/manifests/v1?ns=ghcr.io", 404, "")
}
