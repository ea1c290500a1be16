//go:build cluster

package apiserver

import (
	"net/http"
	"strings"
	"testing"
)

// The server is real: definitions are validated, defaulted, and go away again.
func TestServer(t *testing.T) {
	s, err := Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	ctx := t.Context()
	if err := s.Install(ctx, "gateway.networking.k8s.io/gateways"); err != nil {
		t.Fatal(err)
	}
	const path = "/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways"
	gateway := `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g}
spec: {gatewayClassName: egret, listeners: [{name: web, port: 80, protocol: HTTP}]}`
	made, err := s.Do(ctx, http.MethodPost, path, []byte(gateway))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(made), "Waiting for controller") {
		t.Errorf("the schema's defaults are not there: %s", made)
	}
	if _, err := s.Do(ctx, http.MethodPost, path, []byte(strings.Replace(gateway, "80", "0", 1))); err == nil {
		t.Error("port 0 is admitted")
	}
	if err := s.Uninstall(ctx, "gateway.networking.k8s.io/gateways"); err != nil {
		t.Fatal(err)
	}
}
