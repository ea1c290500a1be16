package local

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// tokenPrefix starts tokens that Enroll makes, so that secret scanners and
// people recognise them.
const tokenPrefix = "egret_user_"

const usersHeader = "# Users of this Egret. Tokens are SHA-256 digests; the tokens themselves are stored nowhere.\n"

// Enroll gives a person a fresh token and returns it: this is the only time
// that it can be seen. The file is made when it is missing (mode 0600); of a
// user who is there already the groups are replaced and the tokens before
// end. Other users stay, comments do not. random is the source of the token's
// 32 bytes; nil means the system's.
func Enroll(path, name string, groups []string, random io.Reader) (token string, err error) {
	file, _, err := readUsers(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	token, err = newToken(random)
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256([]byte(token))
	user := User{Name: name, Groups: groups, Tokens: []string{digestPrefix + hex.EncodeToString(digest[:])}}
	file.put(user)
	if _, err := file.people(); err != nil {
		return "", fmt.Errorf("users file %s: %w", path, err)
	}
	text, err := yaml.Marshal(file)
	if err != nil {
		return "", err
	}
	return token, replace(path, append([]byte(usersHeader), text...))
}

func (f *userFile) put(user User) {
	for i := range f.Users {
		if f.Users[i].Name == user.Name {
			f.Users[i] = user
			return
		}
	}
	f.Users = append(f.Users, user)
}

// newToken makes a token: the prefix, 32 random bytes, and eight hex digits
// of checksum over what is before them.
func newToken(random io.Reader) (string, error) {
	if random == nil {
		random = rand.Reader
	}
	var b [32]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	body := tokenPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	return body + checksum(body), nil
}

func checksum(body string) string { return fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(body))) }

// mistyped reports whether a token looks like one of newToken and has a wrong
// checksum, so that the log can tell a bad copy from a wrong token.
func mistyped(token string) bool {
	if !strings.HasPrefix(token, tokenPrefix) {
		return false
	}
	body := len(token) - 8
	return body < len(tokenPrefix) || checksum(token[:body]) != token[body:]
}

// replace puts a private file in place of another in one step, so that a
// reader sees the old one or the new one.
func replace(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
