package main

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// makeImage builds an image of a small tree and returns its digest and its tar.
func makeImage(t *testing.T, contents string) (string, map[string][]byte) {
	t.Helper()
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	if err := os.Mkdir(tree, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "app"), []byte(contents), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("app", filepath.Join(tree, "alias")); err != nil {
		t.Fatal(err)
	}
	l := layer{entries: map[string]entry{}}
	l.basics("1001:0")
	if err := l.dir("/data:0770:1001:0"); err != nil {
		t.Fatal(err)
	}
	l.link("/usr/bin/app", "/opt/app")
	if err := l.add(tree, "/opt"); err != nil {
		t.Fatal(err)
	}
	m := image{names: list{"example.com/app:v1", "example.org/app:v2"}, entrypoint: list{"/opt/app"}, user: "1001:0"}
	out := filepath.Join(dir, "app.tar")
	digest, err := m.write(out, &l)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	files := map[string][]byte{}
	walk(t, f, func(h *tar.Header, b []byte) { files[h.Name] = b })
	return digest, files
}

func walk(t *testing.T, r io.Reader, visit func(*tar.Header, []byte)) {
	t.Helper()
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		visit(h, b)
	}
}

func TestSameFilesSameBytes(t *testing.T) {
	a, _ := makeImage(t, "one")
	b, _ := makeImage(t, "one")
	c, _ := makeImage(t, "two")
	if a != b {
		t.Errorf("the same files gave %s and %s", a, b)
	}
	if a == c {
		t.Error("other files gave the same digest")
	}
}

func TestImage(t *testing.T) {
	digest, files := makeImage(t, "one")
	decode := func(name string, v any) {
		t.Helper()
		if err := json.Unmarshal(files[name], v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	var index struct{ Manifests []descriptor }
	decode("index.json", &index)
	var names []string
	for _, m := range index.Manifests {
		if m.Digest != digest {
			t.Errorf("index says %s, write said %s", m.Digest, digest)
		}
		names = append(names, m.Annotations["io.containerd.image.name"])
	}
	if diff := cmp.Diff([]string{"example.com/app:v1", "example.org/app:v2"}, names); diff != "" {
		t.Error(diff)
	}
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	decode(blob(digest), &manifest)
	var config struct{ Config struct{ User string } }
	decode(blob(manifest.Config.Digest), &config)
	if config.Config.User != "1001:0" {
		t.Errorf("user %q", config.Config.User)
	}
	z, err := gzip.NewReader(strings.NewReader(string(files[blob(manifest.Layers[0].Digest)])))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	walk(t, z, func(h *tar.Header, b []byte) {
		if !h.ModTime.IsZero() && h.ModTime.Unix() != 0 {
			t.Errorf("%s has a time: %s", h.Name, h.ModTime)
		}
		if h.Name != "etc/group" {
			got = append(got, fmt.Sprintf("%c %04o %d:%d %s %s%q", h.Typeflag, h.Mode, h.Uid, h.Gid, h.Name, h.Linkname, b))
		}
	})
	want := []string{
		`5 0770 1001:0 data/ ""`,
		`5 0755 0:0 etc/ ""`,
		`0 0644 0:0 etc/nsswitch.conf "hosts: files dns\n"`,
		`0 0644 0:0 etc/passwd "root:x:0:0:root:/:/bin/sh\napp:x:1001:0:app:/:/bin/false\n"`,
		`5 0755 0:0 opt/ ""`,
		`2 0777 0:0 opt/alias app""`,
		`0 0755 0:0 opt/app "one"`,
		`5 1777 0:0 tmp/ ""`,
		`5 0755 0:0 usr/ ""`,
		`5 0755 0:0 usr/bin/ ""`,
		`2 0777 0:0 usr/bin/app /opt/app""`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLinksStayUnderTheRoot(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "etc", "real"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/real", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	got, err := (&layer{root: root}).resolve("/link")
	if want := filepath.Join(root, "etc", "real"); got != want || err != nil {
		t.Errorf("resolve: %q, %v; want %q", got, err, want)
	}
}
