package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/egret-gateway/egret/policy/ident"
)

const (
	groupAuthenticated = "system:authenticated"

	maxUsersFile = 4 << 20 // bytes
	digestPrefix = "sha256:"
	userIDPrefix = "user:" // starts Review.ID of a token of the users file
)

// User is one entry of the users file.
type User struct {
	Name   string   `json:"name"`
	Groups []string `json:"groups,omitempty"`
	// Tokens are SHA-256 digests of bearer tokens, as "sha256:" and 64 hex digits.
	Tokens []string `json:"tokens,omitempty"`
}

// userFile is the whole file.
type userFile struct {
	Users []User `json:"users"`
}

// Users is the directory of people. It is read from a file that only its
// owner may read, and again when the file changes; a change that is wrong is
// logged and the last good state stays.
type Users struct {
	path string
	log  *slog.Logger

	people atomic.Pointer[people]
}

// people is one state of the file. It never changes.
type people struct {
	byToken map[[sha256.Size]byte]ident.User
	seen    fileState
	turn    uint64 // counts the states, so that caches notice a new one
}

// fileState is what tells one state of the file from the next.
type fileState struct {
	modified time.Time
	size     int64
}

// OpenUsers reads the users file. It fails for a file that others may read,
// has an unknown field or names somebody who cannot be. Without a path there
// is nobody. log may be nil.
func OpenUsers(path string, log *slog.Logger) (*Users, error) {
	if log == nil {
		log = slog.Default()
	}
	u := &Users{path: path, log: log}
	u.people.Store(&people{})
	if path == "" {
		return u, nil
	}
	return u, u.Reload()
}

// Reload reads the file again and swaps the directory. On an error the last
// good state stays.
func (u *Users) Reload() error {
	file, state, err := readUsers(u.path)
	if err != nil {
		return err
	}
	next, err := file.people()
	if err != nil {
		return fmt.Errorf("users file %s: %w", u.path, err)
	}
	next.seen, next.turn = state, u.people.Load().turn+1
	u.people.Store(next)
	return nil
}

// Run reloads the file when it changed, looking every interval, until ctx is
// done. A mistake is logged once per change of the file.
func (u *Users) Run(ctx context.Context, every time.Duration) error {
	if u.path == "" {
		return nil
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	seen := u.people.Load().seen
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now, err := stat(u.path)
		if err != nil || now == seen {
			continue // a missing file is one that an editor is about to replace
		}
		seen = now
		if err := u.Reload(); err != nil {
			u.log.Error("the users file is wrong, the users before it stay", "error", err)
			continue
		}
		u.log.Info("users reloaded", "path", u.path, "count", len(u.people.Load().byToken))
	}
}

// find returns who holds a token, and the id under which a review of it can
// be taken back.
func (u *Users) find(token string) (user ident.User, id string, ok bool) {
	digest := sha256.Sum256([]byte(token))
	user, ok = u.people.Load().byToken[digest]
	return user, userIDPrefix + hex.EncodeToString(digest[:]), ok
}

// gone reports whether a review id of find is of no use any more.
func (u *Users) gone(id string) bool {
	raw, err := hex.DecodeString(strings.TrimPrefix(id, userIDPrefix))
	if err != nil || len(raw) != sha256.Size {
		return true
	}
	_, ok := u.people.Load().byToken[[sha256.Size]byte(raw)]
	return !ok
}

// readUsers reads the file and what state it was in.
func readUsers(path string) (userFile, fileState, error) {
	f, err := os.Open(path)
	if err != nil {
		return userFile{}, fileState{}, fmt.Errorf("users file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return userFile{}, fileState{}, fmt.Errorf("users file: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return userFile{}, fileState{}, fmt.Errorf("users file %s: others may read or change it (mode %04o); run: chmod 600 %s", path, mode, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxUsersFile+1))
	if err != nil {
		return userFile{}, fileState{}, fmt.Errorf("users file %s: %w", path, err)
	}
	if len(text) > maxUsersFile {
		return userFile{}, fileState{}, fmt.Errorf("users file %s: larger than %d bytes", path, maxUsersFile)
	}
	var file userFile
	if err := yaml.UnmarshalStrict(text, &file); err != nil {
		why := strings.TrimPrefix(err.Error(), "error unmarshaling JSON: while decoding JSON: json: ")
		return userFile{}, fileState{}, fmt.Errorf("users file %s: %s; it holds a list users, each with name, groups and tokens", path, why)
	}
	return file, fileState{info.ModTime(), info.Size()}, nil
}

func stat(path string) (fileState, error) {
	info, err := os.Stat(path)
	if err != nil {
		return fileState{}, err
	}
	return fileState{info.ModTime(), info.Size()}, nil
}

// people checks the file. Names and groups that an API server gives out
// itself cannot be taken: nobody becomes a ServiceAccount by a line in a file.
func (f userFile) people() (*people, error) {
	p := &people{byToken: map[[sha256.Size]byte]ident.User{}}
	names := map[string]bool{}
	for i, u := range f.Users {
		switch {
		case strings.TrimSpace(u.Name) == "" || strings.TrimSpace(u.Name) != u.Name:
			return nil, fmt.Errorf("user %d: name %q is empty or has space around it", i+1, u.Name)
		case strings.HasPrefix(u.Name, "system:"):
			return nil, fmt.Errorf("user %q: names beginning with system: are the cluster's own; choose another", u.Name)
		case names[u.Name]:
			return nil, fmt.Errorf("user %q is there twice", u.Name)
		}
		names[u.Name] = true
		if err := checkGroups(u.Groups); err != nil {
			return nil, fmt.Errorf("user %q: %w", u.Name, err)
		}
		who := ident.User{Username: u.Name, Groups: slices.Clone(u.Groups)}
		if !slices.Contains(who.Groups, groupAuthenticated) {
			who.Groups = append(who.Groups, groupAuthenticated)
		}
		for _, t := range u.Tokens {
			digest, err := parseDigest(t)
			if err != nil {
				return nil, fmt.Errorf("user %q: %w", u.Name, err)
			}
			if other, taken := p.byToken[digest]; taken {
				return nil, fmt.Errorf("users %q and %q have the same token", other.Username, u.Name)
			}
			p.byToken[digest] = who
		}
	}
	return p, nil
}

func checkGroups(groups []string) error {
	for _, g := range groups {
		switch {
		case strings.TrimSpace(g) == "" || strings.TrimSpace(g) != g:
			return fmt.Errorf("group %q is empty or has space around it", g)
		case g == "system:unauthenticated", g == "system:serviceaccounts", strings.HasPrefix(g, "system:serviceaccounts:"):
			return fmt.Errorf("group %q is given by the cluster and never to a person", g)
		}
	}
	return nil
}

func parseDigest(text string) (digest [sha256.Size]byte, err error) {
	// The text may be a token that was put here by mistake, so it is not repeated.
	wrong := errors.New(`a token is not written as "sha256:" and 64 hex digits; the file holds digests, never tokens`)
	digits, ok := strings.CutPrefix(text, digestPrefix)
	if !ok {
		return digest, wrong
	}
	raw, err := hex.DecodeString(digits)
	if err != nil || len(raw) != sha256.Size {
		return digest, wrong
	}
	return [sha256.Size]byte(raw), nil
}
