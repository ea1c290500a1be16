package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// image is what is said about a layer.
type image struct {
	names, entrypoint, cmd, env list
	user                        string
}

// descriptor is how OCI documents refer to one another.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// write writes the image to a tar, which appears whole or not at all, and
// returns the digest of its manifest.
func (m *image) write(out string, l *layer) (string, error) {
	// A layer can be large: it waits on disk.
	packed, err := os.CreateTemp(filepath.Dir(out), ".layer-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(packed.Name())
	defer packed.Close()
	layer, diff, err := pack(l, packed)
	if err != nil {
		return "", err
	}
	config := encode(m.config(diff))
	manifest := encode(map[string]any{
		"schemaVersion": 2, "mediaType": typeManifest,
		"config": describe(typeConfig, config), "layers": []descriptor{layer},
	})
	var manifests []descriptor
	for _, name := range m.names {
		d := describe(typeManifest, manifest)
		d.Annotations = map[string]string{"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
		manifests = append(manifests, d)
	}
	f, err := os.Create(out + ".new")
	if err != nil {
		return "", err
	}
	defer f.Close()
	t := tar.NewWriter(f)
	put := func(name string, b []byte) {
		check(t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(b))}))
		_, err := t.Write(b)
		check(err)
	}
	put("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	put("index.json", encode(map[string]any{"schemaVersion": 2, "mediaType": typeIndex, "manifests": manifests}))
	put(blob(manifests[0].Digest), manifest)
	put(blob(describe(typeConfig, config).Digest), config)
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: blob(layer.Digest), Mode: 0o644, Size: layer.Size}); err != nil {
		return "", err
	}
	if _, err := packed.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	if _, err := io.Copy(t, packed); err != nil {
		return "", err
	}
	if err := t.Close(); err != nil {
		return "", err
	}
	return manifests[0].Digest, os.Rename(out+".new", out)
}

func (m *image) config(diff string) any {
	env := m.env
	if len(env) == 0 {
		env = list{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	}
	return map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "created": "1970-01-01T00:00:00Z",
		"config": map[string]any{"Entrypoint": m.entrypoint, "Cmd": m.cmd, "Env": env, "User": m.user, "WorkingDir": "/"},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{diff}},
	}
}

// pack writes the layer compressed and returns its descriptor and the digest
// of the tar inside.
func pack(l *layer, f *os.File) (descriptor, string, error) {
	outer, inner := sha256.New(), sha256.New()
	z, err := gzip.NewWriterLevel(io.MultiWriter(f, outer), gzip.BestSpeed)
	if err != nil {
		return descriptor{}, "", err
	}
	if err := l.write(io.MultiWriter(z, inner)); err != nil {
		return descriptor{}, "", err
	}
	if err := z.Close(); err != nil {
		return descriptor{}, "", err
	}
	size, err := f.Seek(0, io.SeekCurrent)
	return descriptor{MediaType: typeLayer, Digest: digest(outer.Sum(nil)), Size: size}, digest(inner.Sum(nil)), err
}

func describe(mediaType string, b []byte) descriptor {
	sum := sha256.Sum256(b)
	return descriptor{MediaType: mediaType, Digest: digest(sum[:]), Size: int64(len(b))}
}

func digest(sum []byte) string { return "sha256:" + hex.EncodeToString(sum) }

// blob is where an OCI layout keeps what has a digest.
func blob(digest string) string { return "blobs/sha256/" + digest[len("sha256:"):] }

func encode(v any) []byte {
	b, err := json.Marshal(v)
	check(err)
	return b
}
