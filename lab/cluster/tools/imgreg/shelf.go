package main

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// shelf is a directory of tars as it was when it was last looked at.
type shelf struct {
	dir string

	mu   sync.Mutex
	tars map[string]*archive // by file name
}

// archive is one tar: where its blobs are and what its images are called.
type archive struct {
	changed time.Time
	size    int64
	images  map[string]string // name:tag -> digest of the manifest
	blobs   map[string]blob
}

// blob is a part of a file.
type blob struct {
	file, digest string
	offset, size int64
}

// digest looks at the directory and returns the digest of the image's
// manifest, "" when there is none.
func (s *shelf) digest(image string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look()
	for _, t := range s.tars {
		if d, ok := t.images[image]; ok {
			return d
		}
	}
	return ""
}

func (s *shelf) blob(digest string) (blob, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tars) == 0 { // after a restart
		s.look()
	}
	for _, t := range s.tars {
		if b, ok := t.blobs[digest]; ok {
			return b, true
		}
	}
	return blob{}, false
}

func (s *shelf) look() {
	names, _ := filepath.Glob(filepath.Join(s.dir, "*.tar"))
	old := s.tars
	s.tars = map[string]*archive{}
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			continue
		}
		t := old[name]
		if t == nil || !t.changed.Equal(info.ModTime()) || t.size != info.Size() {
			if t, err = read(name); err != nil {
				log.Printf("%s: %v", name, err)
				continue
			}
		}
		s.tars[name] = t
	}
}

func read(name string) (*archive, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	t := &archive{changed: info.ModTime(), size: info.Size(), images: map[string]string{}, blobs: map[string]blob{}}
	tr := tar.NewReader(f) // f can seek: contents are passed over, not read
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return nil, err
		}
		entry := strings.TrimPrefix(h.Name, "./")
		if sum, ok := strings.CutPrefix(entry, "blobs/sha256/"); ok {
			at, err := f.Seek(0, io.SeekCurrent)
			if err != nil {
				return nil, err
			}
			t.blobs["sha256:"+sum] = blob{file: name, digest: "sha256:" + sum, offset: at, size: h.Size}
		}
		if entry == "index.json" {
			if err := t.index(tr); err != nil {
				return nil, err
			}
		}
	}
}

func (t *archive) index(r io.Reader) error {
	var index struct {
		Manifests []struct {
			Digest      string
			Annotations map[string]string
		}
	}
	if err := json.NewDecoder(r).Decode(&index); err != nil {
		return err
	}
	for _, m := range index.Manifests {
		for _, key := range []string{"io.containerd.image.name", "org.opencontainers.image.ref.name"} {
			if name := m.Annotations[key]; strings.Contains(name, "/") {
				t.images[name] = m.Digest
			}
		}
	}
	return nil
}
