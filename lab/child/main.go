package child

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/egret-gateway/egret/cmd/egret/command"
	"github.com/egret-gateway/egret/cmd/egret/offer"
)

const name = "egret"

// Main is what TestMain of a package that uses child calls. It does not return.
func Main(m *testing.M) {
	if filepath.Base(os.Args[0]) == name {
		os.Exit(command.Main(os.Args))
	}
	for _, name := range offer.Variables() { // what the machine's user has keys for is no part of a test
		os.Unsetenv(name)
	}
	os.Exit(m.Run())
}

// Bin returns a directory with a program called egret, to be put into PATH.
func Bin(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(self(t), filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func self(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
