package envoy_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	"github.com/egret-gateway/egret/envoy"
	"github.com/egret-gateway/egret/lab/envoybin"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/xds"
)

var update = flag.Bool("update", false, "rewrite the results in testdata")

// TestTranslations runs every file in testdata/translate: manifests in, Envoy's
// resources out. The first line of a file is its title; line "types:" says
// which types it shows, line "hide:" which fields of any message it leaves out.
func TestTranslations(t *testing.T) {
	files, err := filepath.Glob("testdata/translate/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata: %d files, error %v", len(files), err)
	}
	c := newCompiler(t)
	for _, path := range files {
		a, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		title, settings, _ := strings.Cut(string(a.Comment), "\n")
		t.Run(title, func(t *testing.T) {
			p := c.plan(a.Files[0].Data)
			var out bytes.Buffer
			for _, gateway := range p.Gateways() {
				resources := envoy.Translate(p.For(gateway), gateway, envoy.Options{SystemCAs: []byte("-----BEGIN CERTIFICATE-----")})
				out.Write(printed(t, resources, setting(settings, "types"), setting(settings, "hide")))
			}
			if *update {
				a.Files = []txtar.File{a.Files[0], {Name: "out.yaml", Data: out.Bytes()}}
				if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(a.Files[1].Data), out.String()); diff != "" {
				t.Errorf("%s (-want +got)\n%s", path, diff)
			}
		})
	}
}

// setting returns the words of the line "name: a, b" of a file's comment.
func setting(comment, name string) []string {
	for line := range strings.Lines(comment) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.Fields(strings.ReplaceAll(rest, ",", " "))
		}
	}
	return nil
}

// digest finds what package plan answers for.
var digest = regexp.MustCompile(`(key: egret-digest\s+value: ).*`)

// printed shows resources of some types, one document each.
func printed(t *testing.T, resources []xds.Resource, types, hide []string) []byte {
	t.Helper()
	set := xds.NewSet(envoy.Types, resources)
	var out bytes.Buffer
	for _, g := range set.Types {
		short := g.Type[strings.LastIndexByte(g.Type, '.')+1:]
		if !slices.Contains(types, short) {
			continue
		}
		for _, r := range g.Resources {
			o, err := envoybin.Decode(r)
			if err != nil {
				t.Fatal(err)
			}
			without(o, hide)
			text, err := yaml.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, "--- # %s %s\n%s", short, r.Name, digest.ReplaceAll(text, []byte("${1}DIGEST")))
		}
	}
	return out.Bytes()
}

// without takes fields of some names away, wherever they are.
func without(v any, hide []string) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			without(e, hide)
		}
	case envoybin.Object:
		for key, e := range v {
			if slices.Contains(hide, key) {
				delete(v, key)
			} else {
				without(e, hide)
			}
		}
	}
}

// TestTranslateSays: what holds of all translations.
func TestTranslateSays(t *testing.T) {
	plans := everyPlan(t)
	each := func(f func(name, gateway string, p *plan.Plan, resources []xds.Resource)) {
		n := 0
		for name, p := range plans {
			for _, gateway := range p.Gateways() {
				part := p.For(gateway)
				f(name+" "+gateway, gateway, part, envoy.Translate(part, gateway, envoy.Options{}))
				n++
			}
		}
		if n < 50 {
			t.Fatalf("%d gateways", n)
		}
	}
	t.Run("B-30 gateway-92 private keys are in secrets and nowhere else", func(t *testing.T) {
		keys := 0
		each(func(name, _ string, _ *plan.Plan, resources []xds.Resource) {
			for _, r := range resources {
				switch has := bytes.Contains(r.Value, []byte("PRIVATE KEY")); {
				case has && r.Type == envoy.TypeSecret:
					keys++
				case has:
					t.Errorf("%s: %s %s has a private key", name, r.Type, r.Name)
				}
			}
		})
		if keys == 0 {
			t.Error("no secret has a key")
		}
	})
	t.Run("B-15 B-29 equal plans give equal bytes", func(t *testing.T) {
		each(func(name, gateway string, p *plan.Plan, resources []xds.Resource) {
			if diff := cmp.Diff(resources, envoy.Translate(p, gateway, envoy.Options{})); diff != "" {
				t.Errorf("%s: (-first +second)\n%s", name, diff)
			}
		})
	})
	t.Run("every name is there and there once", func(t *testing.T) {
		each(func(name, _ string, p *plan.Plan, resources []xds.Resource) {
			have := map[string]bool{}
			for _, r := range resources {
				if have[r.Type+r.Name] {
					t.Errorf("%s: %s %s twice", name, r.Type, r.Name)
				}
				have[r.Type+r.Name] = true
				if !slices.Contains(envoy.Types, r.Type) {
					t.Errorf("%s: type %s is not listed", name, r.Type)
				}
			}
			for _, b := range p.Backends {
				if !have[envoy.TypeCluster+b.Name] || have[envoy.TypeEndpoint+b.Name] != (b.Host == "") {
					t.Errorf("%s: backend %s is not told as it should be", name, b.Name)
				}
			}
		})
	})
	t.Run("B-40 both families of addresses are listened to where there are both", func(t *testing.T) {
		f := func(o envoy.Options, want *corev3.SocketAddress) {
			t.Helper()
			for _, r := range envoy.Translate(routesOf([]string{"/a"}), "default/gw", o) {
				if r.Type != envoy.TypeListener {
					continue
				}
				var l listenerv3.Listener
				if err := proto.Unmarshal(r.Value, &l); err != nil {
					t.Fatal(err)
				}
				if got := l.Address.GetSocketAddress(); !proto.Equal(got, want) {
					t.Errorf("bound to %v, want %v", got, want)
				}
				return
			}
			t.Error("no listener")
		}
		port := &corev3.SocketAddress_PortValue{PortValue: 80}
		f(envoy.Options{IPv6: true}, &corev3.SocketAddress{Address: "::", Ipv4Compat: true, PortSpecifier: port})
		f(envoy.Options{}, &corev3.SocketAddress{Address: "0.0.0.0", PortSpecifier: port})
	})
	if envoy.Types[envoy.Gate] != envoy.TypeListener {
		t.Errorf("the gate is before %s", envoy.Types[envoy.Gate])
	}
}
