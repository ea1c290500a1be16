// Package crds embeds the CustomResourceDefinitions that Egret publishes, and
// those of Gateway API that files are validated against.
//
// The YAML files are what a user applies to a cluster: ours in full, Kuadrant's
// and KServe's as stand-ins for clusters that lack the real ones. The Gateway
// API's own definitions are not published here; gateway-api/standard.zip is a
// copy for validation only and says in its README where it comes from.
package crds

import (
	"archive/zip"
	"bytes"
	"embed"
	"fmt"
	"io"

	"sigs.k8s.io/yaml"
)

//go:generate go run ./gateway-api/pack

// FS holds the YAML files and gateway-api/standard.zip.
//
//go:embed *.yaml gateway-api/standard.zip
var FS embed.FS

// Groups of Gateway API: the standard one, and that of what is on trial.
const (
	gatewayAPI  = "gateway.networking.k8s.io"
	gatewayXAPI = "gateway.networking.x-k8s.io"
)

// JSON returns the definition of a resource, such as group kuadrant.io and
// plural authpolicies, as JSON.
func JSON(group, plural string) ([]byte, error) {
	name := group + "_" + plural
	if group == gatewayAPI || group == gatewayXAPI {
		return unpack(name + ".json")
	}
	data, err := FS.ReadFile(name + ".yaml")
	if err != nil {
		return nil, err
	}
	return yaml.YAMLToJSON(data)
}

func unpack(name string) ([]byte, error) {
	data, err := FS.ReadFile("gateway-api/standard.zip")
	if err != nil {
		return nil, err
	}
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("gateway-api/standard.zip: %w", err)
	}
	f, err := z.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}
