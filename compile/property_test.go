package compile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/auth"
	"github.com/egret-gateway/egret/policy/ident"
	"github.com/egret-gateway/egret/source"
)

// tenants returns n namespaces, each with a route, backends, policies and
// secrets of its own, behind one Gateway with a listener for each and one for
// all.
func tenants(t testing.TB, n int) source.Snapshot {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/property/tenant.txtar")
	if err != nil {
		t.Fatal(err)
	}
	out := decode(t, section(archive, "shared.yaml"))
	for i := range n {
		one := decode(t, []byte(strings.ReplaceAll(string(section(archive, "tenant.yaml")), "TENANT", tenant(i))))
		join(&out, &one)
		l := decode(t, []byte(strings.NewReplacer("TENANT", tenant(i), "PORT", fmt.Sprint(1000+i)).Replace(string(section(archive, "listener.yaml")))))
		out.Gateways[0].Spec.Listeners = append(out.Gateways[0].Spec.Listeners, l.Gateways[0].Spec.Listeners...)
	}
	return out
}

func tenant(i int) string { return fmt.Sprintf("t%02d", i) }

// join adds the objects of b to a, kind by kind.
func join(a, b *source.Snapshot) {
	to, from := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	for i := range to.NumField() {
		if to.Field(i).Kind() == reflect.Slice {
			to.Field(i).Set(reflect.AppendSlice(to.Field(i), from.Field(i)))
		}
	}
}

// nobody answers no review: plans are only loaded here.
type nobody struct{}

func (nobody) Review(context.Context, string, []string) (ident.Review, error) {
	return ident.Review{}, errors.ErrUnsupported
}

func (nobody) Access(context.Context, ident.Access) (bool, string, error) {
	return false, "", errors.ErrUnsupported
}

// TestNeighbours breaks one object of one tenant in hundreds of ways and looks
// at what the plan has for all others. Whatever comes out, an engine must be
// able to load it: one that could not would keep everybody on the old plan.
func TestNeighbours(t *testing.T) {
	t.Run("gateway-38 gateway-91 a broken object never changes what its neighbours get", func(t *testing.T) {
		const size, rounds = 4, 600
		good := tenants(t, size)
		whole, conditions := Compile(good, Options{Alone: true})
		for _, c := range conditions {
			if c.Bad() {
				t.Fatalf("the sound configuration is not: %+v", c)
			}
		}
		loader := loader()
		before := map[string]share{}
		for i := range size {
			before[tenant(i)] = view(whole, tenant(i))
		}
		for seed := range uint64(rounds) {
			r := rand.New(rand.NewPCG(seed, 1))
			victim := r.IntN(size)
			what, broken := damage(t, r, good, tenant(victim))
			p, _ := Compile(broken, Options{Alone: true})
			if err := loader.Load(p); err != nil {
				t.Fatalf("seed %d: %s made a plan that does not load: %v", seed, what, err)
			}
			for i := range size {
				if i == victim {
					continue
				}
				// cmp is for people, and slow: it explains what is known to differ.
				if was, is := before[tenant(i)], view(p, tenant(i)); !reflect.DeepEqual(was, is) {
					t.Fatalf("seed %d: %s changed what %s gets (-before +after)\n%s", seed, what, tenant(i), cmp.Diff(was, is))
				}
			}
		}
	})
}

func loader() *engine.Engine {
	return engine.New(engine.Deps{Auth: auth.Deps{Reviewer: nobody{}, Authorizer: nobody{}, HTTP: http.DefaultTransport}})
}

// TestRuins breaks several objects at once, shared ones too.
func TestRuins(t *testing.T) {
	t.Run("gateway-38 whatever is broken, nothing panics and the plan loads", func(t *testing.T) {
		good, loader := tenants(t, 2), loader()
		for seed := range uint64(600) {
			r := rand.New(rand.NewPCG(seed, 3))
			s, done := good, ""
			for range 1 + r.IntN(6) {
				var what string
				what, s = damage(t, r, s, "")
				done += what + "; "
			}
			p, _ := Compile(s, Options{Alone: true})
			if err := loader.Load(p); err != nil {
				t.Fatalf("seed %d: %smade a plan that does not load: %v", seed, done, err)
			}
		}
	})
}

// share is all that a plan has for one tenant.
type share struct {
	Listeners []plan.Listener
	Entries   []plan.Entry
	Policies  []plan.Policy
	Rules     []plan.Rule
	Backends  []plan.Backend
	Secrets   []plan.Secret
}

func view(p *plan.Plan, who string) share {
	var s share
	for _, port := range p.Ports {
		for _, l := range port.Listeners {
			if l.Name == who {
				bare := l
				bare.VHosts = nil // others may come and go there
				s.Listeners = append(s.Listeners, bare)
			}
			for _, v := range l.VHosts {
				for _, e := range v.Entries {
					if !strings.HasPrefix(e.ID, who+"-") {
						continue
					}
					s.Entries = append(s.Entries, e)
					for _, pol := range p.Policies {
						if pol.Name == e.Policy {
							s.Policies = append(s.Policies, pol)
						}
					}
				}
			}
		}
	}
	s.Rules = keep(p.Rules, func(r plan.Rule) bool { return strings.HasPrefix(r.Name, who+"/") })
	s.Backends = keep(p.Backends, func(b plan.Backend) bool { return strings.Contains(b.Object, " "+who+"/") })
	s.Secrets = keep(p.Secrets, func(b plan.Secret) bool { return strings.Contains(b.Name, "/"+who+"/") })
	return s
}

func keep[T any](list []T, want func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(list), func(v T) bool { return !want(v) })
}

// damage returns the snapshot with one object of the victim's changed at
// random, or taken away; with any object if the victim is "".
func damage(t *testing.T, r *rand.Rand, good source.Snapshot, victim string) (string, source.Snapshot) {
	t.Helper()
	out := good
	if victim != "" && r.IntN(8) == 0 {
		gw := good.Gateways[0].DeepCopy()
		at := slices.IndexFunc(gw.Spec.Listeners, func(l gwv1.Listener) bool { return string(l.Name) == victim })
		what := mutate(t, r, &gw.Spec.Listeners[at])
		out.Gateways = []*gwv1.Gateway{gw}
		return "listener: " + what, out
	}
	v := reflect.ValueOf(&out).Elem()
	for {
		f := v.Field(r.IntN(v.NumField()))
		if f.Kind() != reflect.Slice || f.Len() == 0 || f.Type().Elem().Kind() != reflect.Pointer {
			continue
		}
		i := r.IntN(f.Len())
		object := f.Index(i)
		if victim != "" && object.Elem().FieldByName("Namespace").String() != victim {
			continue
		}
		list := reflect.AppendSlice(reflect.MakeSlice(f.Type(), 0, f.Len()), f)
		if r.IntN(10) == 0 {
			f.Set(reflect.AppendSlice(list.Slice(0, i), f.Slice(i+1, f.Len())))
			return "removed " + object.Type().String(), out
		}
		broken := reflect.New(object.Type().Elem())
		broken.Elem().Set(object.Elem())
		what := mutate(t, r, broken.Interface())
		list.Index(i).Set(broken)
		f.Set(list)
		return object.Type().String() + ": " + what, out
	}
}

// mutate changes one field of an object, somewhere below its top. Changes
// that the object's type cannot hold are tried again elsewhere.
func mutate(t *testing.T, r *rand.Rand, object any) string {
	t.Helper()
	raw, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	for {
		var tree any
		if err := json.Unmarshal(raw, &tree); err != nil {
			t.Fatal(err)
		}
		what := spoil(r, tree)
		changed, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		fresh := reflect.New(reflect.TypeOf(object).Elem())
		if json.Unmarshal(changed, fresh.Interface()) == nil {
			reflect.ValueOf(object).Elem().Set(fresh.Elem())
			return what
		}
	}
}

// odd are values that nobody expects.
var odd = []any{nil, "", "x y", "\x00", "(", "*.", "request.path ==", "-1s", "99999h", -1.0, 0.0, 70000.0, true, []any{}, map[string]any{}, []any{nil}, "../..", strings.Repeat("a", 300)}

func spoil(r *rand.Rand, tree any) string {
	switch node := tree.(type) {
	case map[string]any:
		if len(node) == 0 {
			return ""
		}
		keys := make([]string, 0, len(node))
		for k := range node {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		k := keys[r.IntN(len(keys))]
		if below := descend(r, node[k]); below != "" {
			return "." + k + below
		}
		if r.IntN(4) == 0 {
			delete(node, k)
			return "." + k + " removed"
		}
		node[k] = odd[r.IntN(len(odd))]
		return fmt.Sprintf(".%s = %v", k, node[k])
	case []any:
		if len(node) == 0 {
			return ""
		}
		i := r.IntN(len(node))
		if below := descend(r, node[i]); below != "" {
			return fmt.Sprintf("[%d]%s", i, below)
		}
		node[i] = odd[r.IntN(len(odd))]
		return fmt.Sprintf("[%d] = %v", i, node[i])
	}
	return ""
}

// descend goes on below a node, four times out of five.
func descend(r *rand.Rand, below any) string {
	if r.IntN(5) == 0 {
		return ""
	}
	return spoil(r, below)
}

func TestDeterminism(t *testing.T) {
	t.Run("gateway-67 the result does not depend on the order of the input", func(t *testing.T) {
		s := tenants(t, 6)
		p, cs := Compile(s, Options{Alone: true})
		for seed := range uint64(20) {
			r := rand.New(rand.NewPCG(seed, 2))
			shuffled := s
			v := reflect.ValueOf(&shuffled).Elem()
			for i := range v.NumField() {
				if f := v.Field(i); f.Kind() == reflect.Slice {
					list := reflect.AppendSlice(reflect.MakeSlice(f.Type(), 0, f.Len()), f)
					r.Shuffle(f.Len(), reflect.Swapper(list.Interface()))
					f.Set(list)
				}
			}
			q, ds := Compile(shuffled, Options{Alone: true})
			if !reflect.DeepEqual(p, q) {
				t.Fatalf("seed %d: plan (-first +second)\n%s", seed, cmp.Diff(p, q))
			}
			if !reflect.DeepEqual(cs, ds) {
				t.Fatalf("seed %d: conditions (-first +second)\n%s", seed, cmp.Diff(cs, ds))
			}
		}
	})
}

func BenchmarkCompile(b *testing.B) {
	s := tenants(b, 500) // two routes each
	if n := len(s.HTTPRoutes); n != 1000 {
		b.Fatalf("%d routes", n)
	}
	b.ReportAllocs()
	for b.Loop() {
		Compile(s, Options{})
	}
}
