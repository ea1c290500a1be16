//go:build cluster

package fleet

import (
	"fmt"
	"os"
	"testing"

	"github.com/egret-gateway/egret/lab/apiserver"
)

// server is a real API server without controllers or nodes, for the whole run.
var server *apiserver.Server

func TestMain(m *testing.M) {
	code, err := withServer(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withServer(run func() int) (int, error) {
	dir, err := os.MkdirTemp("", "fleet")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if server, err = apiserver.Start(dir); err != nil {
		return 0, err
	}
	defer server.Stop()
	return run(), nil
}
