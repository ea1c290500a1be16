// Command pack writes standard.zip: the Gateway API definitions that Egret
// validates files against, as JSON and without descriptions, from the module
// sigs.k8s.io/gateway-api that go.mod names.
package main

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// channels are the kinds that the sources read, by the channel that has them.
var channels = []struct{ channel, group, plurals string }{
	{"standard", "gateway.networking.k8s.io", "backendtlspolicies gatewayclasses gateways grpcroutes httproutes listenersets referencegrants"},
	{"experimental", "gateway.networking.x-k8s.io", "xbackends"},
}

func main() {
	if err := pack("gateway-api/standard.zip"); err != nil {
		log.Fatal(err)
	}
}

func pack(path string) error {
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		return fmt.Errorf("find module sigs.k8s.io/gateway-api: %w", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(module)), "config", "crd")
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	z := zip.NewWriter(out)
	for _, c := range channels {
		for plural := range strings.FieldsSeq(c.plurals) {
			if err := add(z, filepath.Join(dir, c.channel), c.group+"_"+plural); err != nil {
				return fmt.Errorf("%s: %w", plural, err)
			}
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	return out.Close()
}

func add(z *zip.Writer, dir, name string) error {
	data, err := definition(filepath.Join(dir, name+".yaml"))
	if err != nil {
		return err
	}
	// A header without a time keeps the archive the same from run to run.
	w, err := z.CreateHeader(&zip.FileHeader{Name: name + ".json", Method: zip.Deflate})
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

func definition(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var crd map[string]any
	if err := yaml.Unmarshal(data, &crd); err != nil {
		return nil, err
	}
	dropDescriptions(crd)
	return json.Marshal(crd)
}

// dropDescriptions removes every description that is text. A property called
// description is a schema, hence an object, and stays.
func dropDescriptions(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, text := v["description"].(string); text {
			delete(v, "description")
		}
		for _, child := range v {
			dropDescriptions(child)
		}
	case []any:
		for _, child := range v {
			dropDescriptions(child)
		}
	}
}
