package local

import (
	"bytes"
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/policy/ident"
)

// digestOfX is the SHA-256 of "x".
const digestOfX = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"

func writeUsers(t *testing.T, text string, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users.yaml")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpenUsers(t *testing.T) {
	alice := "users: [{name: alice, groups: [team], tokens: ['" + digestOfX + "']}]"
	path := writeUsers(t, alice, 0o600)
	u, err := OpenUsers(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, _, ok := u.find("x")
	want := ident.User{Username: "alice", Groups: []string{"team", "system:authenticated"}}
	if diff := cmp.Diff(want, got); diff != "" || !ok {
		t.Errorf("user (-want +got):\n%s", diff)
	}
	for _, token := range []string{"", "X", "x ", digestOfX} {
		if got, _, ok := u.find(token); ok {
			t.Errorf("%q is the token of %s", token, got.Username)
		}
	}

	refused := func(name, text string, mode fs.FileMode, want string) {
		t.Run(name, func(t *testing.T) {
			_, err := OpenUsers(writeUsers(t, text, mode), nil)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want one with %q", err, want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows what may be a token: %v", err)
			}
		})
	}
	refused("others may read it", alice, 0o640, "(mode 0640); run: chmod 600")
	refused("others may write it", alice, 0o602, "run: chmod 600")
	refused("an unknown field", "users: [{name: a, password: hunter}]", 0o600, `users.yaml: unknown field "password"; it holds`)
	refused("a field twice", "users: []\nusers: []", 0o600, "already set")
	refused("no name", "users: [{groups: [a]}]", 0o600, "user 1: name")
	refused("space in a name", "users: [{name: ' a'}]", 0o600, "has space around it")
	refused("a ServiceAccount's name", "users: [{name: 'system:serviceaccount:a:b'}]", 0o600, "the cluster's own")
	refused("nobody's name", "users: [{name: 'system:anonymous'}]", 0o600, "the cluster's own")
	refused("a name twice", "users: [{name: a}, {name: a}]", 0o600, `user "a" is there twice`)
	refused("an empty group", "users: [{name: a, groups: ['']}]", 0o600, "group")
	refused("the group of all ServiceAccounts", "users: [{name: a, groups: ['system:serviceaccounts']}]", 0o600, "never to a person")
	refused("a tier's ServiceAccounts", "users: [{name: a, groups: ['system:serviceaccounts:gw-tier-x']}]", 0o600, "never to a person")
	refused("the group of nobody", "users: [{name: a, groups: ['system:unauthenticated']}]", 0o600, "never to a person")
	refused("a token in the clear", "users: [{name: a, tokens: [hunter2]}]", 0o600, "never tokens")
	refused("half a digest", "users: [{name: a, tokens: ['sha256:hunter2']}]", 0o600, "64 hex digits")
	refused("one token of two people", "users: [{name: a, tokens: ['"+digestOfX+"']}, {name: b, tokens: ['"+digestOfX+"']}]", 0o600,
		"have the same token")
	refused("a file that is too large", strings.Repeat("#", maxUsersFile+1), 0o600, "larger than")

	if _, err := OpenUsers(filepath.Join(t.TempDir(), "none"), nil); err == nil {
		t.Error("a file that is not there is no error")
	}
}

func TestEnroll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.yaml")
	enroll := func(name string, groups ...string) string {
		t.Helper()
		token, err := Enroll(path, name, groups, nil)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	holder := func(token string) string {
		t.Helper()
		u, err := OpenUsers(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		user, _, _ := u.find(token)
		return user.Username
	}
	first := enroll("kube:admin")
	if !strings.HasPrefix(first, "egret_user_") || mistyped(first) || !mistyped(first[:len(first)-1]+"x") || !mistyped("egret_user_") {
		t.Errorf("token of a strange shape, %d characters", len(first))
	}
	if got := holder(first); got != "kube:admin" {
		t.Errorf("the token is of %q", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, error %v; want mode 0600", info.Mode(), err)
	}
	if text, err := os.ReadFile(path); err != nil || bytes.Contains(text, []byte(first)) {
		t.Errorf("the token is in the file, or error %v", err)
	}
	other, second := enroll("alice", "team"), enroll("kube:admin", "admins")
	if holder(first) != "" || holder(second) != "kube:admin" || holder(other) != "alice" {
		t.Errorf("tokens are of %q, %q, %q", holder(first), holder(second), holder(other))
	}
	if _, err := Enroll(path, "system:admin", nil, nil); err == nil {
		t.Error("a name of the cluster was enrolled")
	}
	if _, err := Enroll(path, "bob", nil, strings.NewReader("short")); err == nil {
		t.Error("a token without enough randomness was made")
	}
	if files, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); err != nil || len(files) > 0 {
		t.Errorf("left over: %v, error %v", files, err)
	}
}

func TestUsersReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := writeUsers(t, "users: [{name: alice, tokens: ['"+digestOfX+"']}]", 0o600)
		var log bytes.Buffer
		u, err := OpenUsers(path, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- u.Run(ctx, time.Second) }()

		// put replaces the file, and gives it a time of its own: the clock
		// of the file system does not follow the test's.
		edits := 0
		put := func(text string) {
			edits++
			if err := replace(path, []byte(text)); err != nil {
				t.Fatal(err)
			}
			stamp := time.Unix(1_000_000_000+int64(edits), 0)
			if err := os.Chtimes(path, stamp, stamp); err != nil {
				t.Fatal(err)
			}
			<-time.After(2 * time.Second)
			synctest.Wait()
		}
		holder := func() string { user, _, _ := u.find("x"); return user.Username }

		put("users: [{name: bob, tokens: ['" + digestOfX + "']}]")
		if got := holder(); got != "bob" {
			t.Errorf("after an edit the token is of %q", got)
		}
		put("users: [{nmae: eve, tokens: ['" + digestOfX + "']}]")
		<-time.After(10 * time.Second)
		if got := holder(); got != "bob" || strings.Count(log.String(), "level=ERROR") != 1 {
			t.Errorf("after a bad edit the token is of %q, log:\n%s", got, log.String())
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * time.Second)
		if got := holder(); got != "bob" {
			t.Errorf("while the file is missing the token is of %q", got)
		}
		put("users: []")
		if got := holder(); got != "" {
			t.Errorf("after bob was removed the token is of %q", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
