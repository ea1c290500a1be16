//go:build cluster

package fleet

import (
	"os"
	"testing"

	"github.com/egret-gateway/egret/lab/apiserver"
)

// server is a real API server without controllers or nodes, for the whole run.
var server *apiserver.Server

func TestMain(m *testing.M) {
	os.Exit(apiserver.Main(m, func(s *apiserver.Server) error {
		server = s
		return nil
	}))
}
