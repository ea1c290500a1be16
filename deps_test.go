// Package egret holds the project's own rules as tests.
package egret

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/egret-gateway/egret/"

// rooms says which rooms a room may import. A room is the first folder, or one
// of the deeper folders named here. It is a statement of policy: change it when
// the shape changes, and say why in a decision.
const rooms = `
plan                 :
api                  :
store                :
manifests            :
dialect              :
provider             : plan
provider/account     : api plan provider
policy/rule          : plan
policy/quota         : store
policy/ident         : plan
policy/ident/local   : policy/ident source store
policy/auth          : plan policy/ident policy/rule
source               : api manifests
compile              : api plan policy/quota policy/rule source
sight                : plan source
engine               : dialect plan policy/auth policy/quota policy/rule provider/account sight
proxy                : engine plan provider
maas                 : api plan source store
maas/kube            : api maas plan policy/ident policy/ident/kube source source/kube store
policy/ident/kube    : policy/ident store
source/kube          : api source
xds                  :
feed                 : plan sight xds
envoy                : plan xds
envoy/extproc        : engine envoy plan
envoy/endpoint       : plan provider
fleet                : feed source
controller           : compile envoy feed fleet plan sight source source/kube xds
pod                  : engine envoy/endpoint envoy/extproc feed plan policy/auth policy/ident/kube policy/quota provider provider/account proxy sight source store telemetry xds
sim                  :
telemetry            : dialect engine policy/quota sight store
admin                : engine plan sight source store
standalone           : admin compile engine maas plan policy/auth policy/ident/local policy/quota provider provider/account proxy sight sim source store telemetry
cmd                  : admin compile controller envoy manifests maas maas/kube plan pod policy/ident/local provider proxy sim source standalone
lab                  : *
`

// outside says which rooms may import modules of others, by prefix. A room
// that is not named may not.
const outside = `
k8s.io/                            : api sight source source/kube compile controller fleet pod policy/ident/kube policy/ident/local maas maas/kube standalone cmd lab
sigs.k8s.io/                       : api source source/kube compile controller envoy fleet policy/ident/local maas maas/kube manifests sim lab
github.com/envoyproxy/go-control-plane/ : envoy envoy/endpoint envoy/extproc xds lab
github.com/cncf/xds/go             : envoy
github.com/go-logr/logr            : source/kube
google.golang.org/                 : controller envoy envoy/endpoint envoy/extproc feed pod xds lab
github.com/redis/go-redis/v9       : policy/quota
github.com/jackc/pgx/v5            : store
github.com/google/cel-go           : policy/rule
github.com/tidwall/                : policy/rule lab
github.com/go-jose/                : feed policy/ident policy/ident/local provider/account lab
modernc.org/sqlite                 : store
github.com/prometheus/client_golang: telemetry sim admin controller pod
github.com/alecthomas/kong         : cmd
github.com/fsnotify/fsnotify       : source
go.yaml.in/yaml/v4                 : source
github.com/google/go-cmp            : *
golang.org/x/                      : *
`

// TestImports holds every file, tests excepted, to the two tables.
func TestImports(t *testing.T) {
	allowed, modules := table(t, rooms), table(t, outside)
	walk(t, func(file, room string, imports []string) {
		if _, ok := allowed[room]; !ok {
			t.Errorf("%s: room %q is not in the table", file, room)
			return
		}
		for _, imp := range imports {
			if own, ok := strings.CutPrefix(imp, module); ok {
				to := roomOf(allowed, own)
				if to != room && !slices.Contains(allowed[room], to) && !slices.Contains(allowed[room], "*") {
					t.Errorf("%s: room %s may not import room %s", file, room, to)
				}
				continue
			}
			if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") {
				continue // standard library
			}
			if !moduleAllowed(modules, imp, room) {
				t.Errorf("%s: room %s may not import %s; add it to the table with a line in docs/dependencies.md", file, room, imp)
			}
		}
	})
}

// TestDependencies: every module that go.mod requires for itself has its
// reasons in docs/dependencies.md.
func TestDependencies(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	direct := 0
	for line := range strings.Lines(string(mod)) {
		name, _, found := strings.Cut(strings.TrimSpace(line), " v")
		if !found || strings.HasSuffix(strings.TrimSpace(line), "// indirect") {
			continue
		}
		direct++
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/dependencies.md does not name %s", name)
		}
	}
	if direct == 0 {
		t.Error("no module found in go.mod")
	}
}

func moduleAllowed(modules map[string][]string, imp, room string) bool {
	for prefix, rooms := range modules {
		if strings.HasPrefix(imp, prefix) {
			return slices.Contains(rooms, room) || slices.Contains(rooms, "*")
		}
	}
	return room == "lab"
}

func table(t *testing.T, text string) map[string][]string {
	out := map[string][]string{}
	for line := range strings.Lines(strings.TrimSpace(text)) {
		name, list, ok := strings.Cut(line, ":")
		if !ok {
			t.Fatalf("bad line %q", line)
		}
		out[strings.TrimSpace(name)] = strings.Fields(list)
	}
	return out
}

// roomOf is the longest folder of dir that the table names.
func roomOf(allowed map[string][]string, dir string) string {
	for room := dir; room != "."; room = path.Dir(room) {
		if _, ok := allowed[room]; ok {
			return room
		}
	}
	return dir
}

func walk(t *testing.T, each func(file, room string, imports []string)) {
	allowed := table(t, rooms)
	files := 0
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || !strings.Contains(name, string(filepath.Separator)) {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		var imports []string
		for _, i := range f.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			imports = append(imports, p)
		}
		files++
		each(name, roomOf(allowed, filepath.ToSlash(filepath.Dir(name))), imports)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 50 {
		t.Fatalf("only %d files were looked at", files)
	}
}
