package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// layer is the files of an image, by path without the leading slash.
type layer struct {
	root    string // "" or the directory that stands for /
	ldd     bool
	entries map[string]entry
}

// entry is one thing in the layer; a file is read when the layer is written.
type entry struct {
	header tar.Header
	source string // file with the contents
	text   string // or the contents
}

func (l *layer) put(e entry) {
	name := strings.Trim(path.Clean("/"+e.header.Name), "/")
	if name == "" {
		return
	}
	l.parents(name)
	e.header.Name = name
	if e.header.Typeflag == tar.TypeDir {
		e.header.Name += "/"
	}
	l.entries[name] = e
}

func (l *layer) parents(name string) {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if _, ok := l.entries[dir]; !ok {
			l.entries[dir] = entry{header: tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755}}
		}
	}
}

// basics are what programs expect anywhere: people, a name service, /tmp.
func (l *layer) basics(user string) {
	text := func(name, s string) {
		l.put(entry{header: tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(s))}, text: s})
	}
	people, groups := "root:x:0:0:root:/:/bin/sh\n", "root:x:0:\n"
	if uid, gid, ok := strings.Cut(user, ":"); ok {
		people += fmt.Sprintf("app:x:%s:%s:app:/:/bin/false\n", uid, gid)
		if gid != "0" {
			groups += fmt.Sprintf("app:x:%s:\n", gid)
		}
	}
	text("etc/passwd", people)
	text("etc/group", groups)
	text("etc/nsswitch.conf", "hosts: files dns\n")
	l.put(entry{header: tar.Header{Typeflag: tar.TypeDir, Name: "tmp", Mode: 0o1777}})
}

func (l *layer) dir(s string) error {
	name, rest, _ := strings.Cut(s, ":")
	h := tar.Header{Typeflag: tar.TypeDir, Name: name}
	if _, err := fmt.Sscanf(rest, "%o:%d:%d", &h.Mode, &h.Uid, &h.Gid); err != nil {
		return fmt.Errorf("%q is not PATH:MODE:UID:GID", s)
	}
	l.put(entry{header: h})
	return nil
}

func (l *layer) link(name, target string) {
	l.put(entry{header: tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}})
}

// add puts a file or the contents of a directory at dst. A link that is named
// stands for what it leads to; one inside a directory stays a link.
func (l *layer) add(src, dst string) error {
	from, err := l.resolve(src)
	if err != nil {
		return err
	}
	return filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, p)
		to := path.Join(dst, filepath.ToSlash(rel))
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			l.link(to, target)
		case d.IsDir():
			l.put(entry{header: tar.Header{Typeflag: tar.TypeDir, Name: to, Mode: 0o755}})
		case d.Type().IsRegular():
			return l.file(p, to)
		}
		return nil
	})
}

func (l *layer) file(src, dst string) error {
	info, err := os.Stat(src)
	if err != nil {
		return err
	}
	l.put(entry{header: tar.Header{Typeflag: tar.TypeReg, Name: dst, Mode: int64(info.Mode().Perm()), Size: info.Size()}, source: src})
	if l.ldd && info.Mode()&0o111 != 0 {
		return l.libraries(src)
	}
	return nil
}

// resolve returns the file that a path under the root leads to; a link to an
// absolute path stays under the root.
func (l *layer) resolve(src string) (string, error) {
	for range 20 {
		target, err := os.Readlink(filepath.Join(l.root, src))
		if err != nil {
			break
		}
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(src), target)
		}
		src = target
	}
	src = filepath.Join(l.root, src)
	_, err := os.Lstat(src)
	return src, err
}

// libraries adds the loader of a program and what it would load; a script
// loads nothing.
func (l *layer) libraries(program string) error {
	if f, err := elf.Open(program); err != nil {
		return nil
	} else {
		f.Close()
	}
	command := exec.Command("ldd", program)
	if l.root != "" {
		loaders, _ := filepath.Glob(filepath.Join(l.root, "lib*", "ld-linux-*.so.*"))
		if len(loaders) == 0 {
			return fmt.Errorf("no loader under %s/lib*", l.root)
		}
		inside := func(p string) string { return strings.TrimPrefix(p, l.root) }
		command = exec.Command("chroot", l.root, inside(loaders[0]), "--list", inside(program))
	}
	out, err := command.CombinedOutput()
	if bytes.Contains(out, []byte("not a dynamic executable")) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("ldd %s: %w: %s", program, err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "not found") {
			return fmt.Errorf("%s: %s", program, strings.TrimSpace(line))
		}
		for _, word := range strings.Fields(line) {
			if _, have := l.entries[strings.Trim(word, "/")]; have || word[0] != '/' {
				continue
			}
			from, err := l.resolve(word)
			if err != nil {
				return err
			}
			if err := (&layer{root: l.root, entries: l.entries}).file(from, word); err != nil {
				return err
			}
		}
	}
	return nil
}

// write writes the layer as a tar.
func (l *layer) write(w io.Writer) error {
	t := tar.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(l.entries)) {
		e := l.entries[name]
		if err := t.WriteHeader(&e.header); err != nil {
			return err
		}
		if err := e.copy(t); err != nil {
			return err
		}
	}
	return t.Close()
}

func (e entry) copy(w io.Writer) error {
	if e.source == "" {
		_, err := io.WriteString(w, e.text)
		return err
	}
	f, err := os.Open(e.source)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}
