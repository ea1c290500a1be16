package offer

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/compile"
	"github.com/egret-gateway/egret/manifests"
	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/source/file"
)

// environment is what os.Getenv would know: "NAME=value".
func environment(pairs ...string) func(string) string {
	all := map[string]string{}
	for _, p := range pairs {
		name, value, _ := strings.Cut(p, "=")
		all[name] = value
	}
	return func(name string) string { return all[name] }
}

func find(t *testing.T, pairs ...string) *Offers {
	t.Helper()
	o, err := Find(t.Context(), environment(pairs...), "opendatahub")
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestFind(t *testing.T) {
	f := func(want string, pairs ...string) {
		t.Helper()
		var got []string
		o := find(t, pairs...)
		for i := range o.List {
			p := &o.List[i]
			got = append(got, fmt.Sprintf("%s %s:%d%s %s", p.Name, p.Host, p.Port, p.Calls[0].Upstream, strings.Join(p.Models, ",")))
		}
		for _, l := range o.Left {
			got = append(got, "not "+l.Variable+": "+l.Why.Error())
		}
		if diff := cmp.Diff(want, strings.Join(got, "; ")); diff != "" {
			t.Errorf("%v: -want +got\n%s", pairs, diff)
		}
	}
	f("")
	f("", "OPENAI_API_KEY= \n", "EGRET_OPENAI_MODELS=a", "AZURE_OPENAI_ENDPOINT=https://e.example.com")
	f("openai api.openai.com:443/v1/chat/completions gpt-5,gpt-5-mini,gpt-4.1,gpt-4o,gpt-4o-mini", "OPENAI_API_KEY=k")
	f("anthropic api.anthropic.com:443/v1/messages claude-opus-4-5,claude-sonnet-4-5,claude-haiku-4-5", "ANTHROPIC_API_KEY=k")
	f("gemini generativelanguage.googleapis.com:443/v1beta/openai/chat/completions gemini-2.5-pro,gemini-2.5-flash", "GEMINI_API_KEY=k")
	f("mistral api.mistral.ai:443/v1/chat/completions mistral-large-latest,mistral-small-latest", "MISTRAL_API_KEY=k")
	f("groq api.groq.com:443/openai/v1/chat/completions llama-3.3-70b-versatile,llama-3.1-8b-instant", "GROQ_API_KEY=k")
	f("openrouter openrouter.ai:443/api/v1/chat/completions openrouter/auto", "OPENROUTER_API_KEY=k")
	f("azure e.openai.azure.com:443/openai/v1/chat/completions d", "AZURE_OPENAI_API_KEY=k", "AZURE_OPENAI_ENDPOINT=https://E.openai.azure.com/", "EGRET_AZURE_OPENAI_MODELS=d")
	f("azure e.openai.azure.com:443/openai/v1/chat/completions d", "AZURE_OPENAI_API_KEY=k", "AZURE_OPENAI_ENDPOINT=https://e.openai.azure.com/openai/v1/", "EGRET_AZURE_OPENAI_MODELS=d")
	f("openai e.example.com:8443/api/chat/completions a,b*", "OPENAI_API_KEY=k", "OPENAI_BASE_URL=https://e.example.com:8443/api/", "EGRET_OPENAI_MODELS= a,,b*, a")

	const nowhere = "not OPENAI_API_KEY: OPENAI_BASE_URL is no plain https address; the key goes nowhere else than to the host it is for"
	f(nowhere, "OPENAI_API_KEY=k", "OPENAI_BASE_URL=http://localhost:11434/v1")
	f(nowhere, "OPENAI_API_KEY=k", "OPENAI_BASE_URL=https://u:p@e.example.com/v1")
	f(nowhere, "OPENAI_API_KEY=k", "OPENAI_BASE_URL=https://e.example.com/v1?key=k")
	f(nowhere, "OPENAI_API_KEY=k", "OPENAI_BASE_URL=e.example.com")
	const unnamed = "not OPENAI_API_KEY: OPENAI_BASE_URL: its host is no name with a dot; providers are offered by name"
	f(unnamed, "OPENAI_API_KEY=k", "OPENAI_BASE_URL=https://192.0.2.1/v1")
	f(unnamed, "OPENAI_API_KEY=k", "OPENAI_BASE_URL=https://[2001:db8::1]/v1")
	f(unnamed, "OPENAI_API_KEY=k", "OPENAI_BASE_URL=https://localhost/v1")
	f("not OPENAI_API_KEY: OPENAI_BASE_URL: its port is not between 1 and 65535", "OPENAI_API_KEY=k", "OPENAI_BASE_URL=https://e.example.com:70000")
	f("not OPENAI_API_KEY: OPENAI_API_KEY holds spaces, line breaks or characters that no key has; set it anew", "OPENAI_API_KEY=a\nb")
	f("not OPENAI_API_KEY: EGRET_OPENAI_MODELS: it lists no model", "OPENAI_API_KEY=k", "EGRET_OPENAI_MODELS=,")
	f(`not OPENAI_API_KEY: EGRET_OPENAI_MODELS: model "a*b": a * may stand at its end only`, "OPENAI_API_KEY=k", "EGRET_OPENAI_MODELS=a*b")
	f(`not OPENAI_API_KEY: EGRET_OPENAI_MODELS: model "a b": a model is at most 256 printable characters without spaces; write a,b`, "OPENAI_API_KEY=k", "EGRET_OPENAI_MODELS=a b")
	f("not AZURE_OPENAI_API_KEY: AZURE_OPENAI_ENDPOINT is not set; set it to the https address of your resource", "AZURE_OPENAI_API_KEY=k")
	f(`not AZURE_OPENAI_API_KEY: EGRET_AZURE_OPENAI_MODELS is not set; name your deployments in it, such as "gpt-4o,gpt-4o-mini"`,
		"AZURE_OPENAI_API_KEY=k", "AZURE_OPENAI_ENDPOINT=https://e.openai.azure.com")
}

// everything is the environment of who has all keys.
func everything() []string {
	out := []string{"AZURE_OPENAI_ENDPOINT=https://e.openai.azure.com", "EGRET_AZURE_OPENAI_MODELS=gpt-4o", `EGRET_OPENAI_MODELS=gpt-4o,"odd": [one]`}
	out[2] = strings.ReplaceAll(out[2], " ", "")
	for _, v := range vendors() {
		out = append(out, v.key+"=sk-very-secret-"+v.name)
	}
	return out
}

func quickstart(t *testing.T) source.Snapshot {
	t.Helper()
	s, problems := file.Load(t.Context(), file.Options{FS: manifests.FS})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	s.Secrets = append(s.Secrets, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "openshift-ingress", Name: "maas-gateway-tls"}})
	return s
}

func TestAmend(t *testing.T) {
	o := find(t, everything()...)
	s := quickstart(t)
	registry := slices.IndexFunc(s.ConfigMaps, func(m *corev1.ConfigMap) bool { return m.Name == source.RegistryConfigMap })
	before, was := s.ConfigMaps[registry], s.ConfigMaps[registry].Data[source.ModelsKey]
	origins := maps.Clone(s.Origins)
	snap := s
	o.Amend(&snap)

	t.Run("every object is accepted and has nothing bad to say", func(t *testing.T) {
		p, conditions := compile.Compile(snap, compile.Options{Alone: true})
		n := 0
		for _, c := range conditions {
			if c.Namespace != Namespace {
				continue
			}
			if n++; c.Bad() {
				t.Errorf("%s %s=%s %s: %s", c.Key(), c.Type, c.Status, c.Reason, c.Message)
			}
		}
		if want := len(vendors()); len(o.List) != want || n < 3*want {
			t.Errorf("%d offers, %d conditions, want %d providers", len(o.List), n, want)
		}
		if text := fmt.Sprintf("%v %+v %s", *p, *p, p.Hash()); strings.Contains(text, "very-secret") {
			t.Error("the plan shows a key")
		}
	})
	t.Run("an offer that is printed shows no key", func(t *testing.T) {
		if text := fmt.Sprintf("%v %+v %#v", o.List, o.List, o.List); strings.Contains(text, "very-secret") {
			t.Errorf("%s", text)
		}
	})
	t.Run("the snapshot that was read stays as it was", func(t *testing.T) {
		if s.ConfigMaps[registry] != before || before.Data[source.ModelsKey] != was || !maps.Equal(origins, s.Origins) {
			t.Error("it was changed")
		}
	})
	t.Run("the registry lists what was there, then the offers", func(t *testing.T) {
		i := slices.IndexFunc(snap.ConfigMaps, func(m *corev1.ConfigMap) bool { return m.Name == source.RegistryConfigMap })
		models, err := source.ParseRegistry(snap.ConfigMaps[i])
		if err != nil {
			t.Fatal(err)
		}
		want := []source.Model{
			{ID: "gpt-4-external", Provider: "openai", Backend: "external-model-backend"},
			{ID: "claude-3-sonnet-external", Provider: "anthropic", Backend: "anthropic-backend"},
			{ID: "gpt-4o", Provider: "openai"}, {ID: `"odd":[one]`, Provider: "openai"},
		}
		if diff := cmp.Diff(want, models[:4]); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
	t.Run("one URL serves the models of those whose path it is, each once", func(t *testing.T) {
		var got []string
		l := lay(o.List)
		for _, r := range l.Rules {
			for _, m := range l.Lists[r.List] {
				if m.Backend != "" {
					got = append(got, r.Path+" "+m.Backend+" "+m.ID)
				}
			}
		}
		want := []string{
			"/v1/chat/completions openai gpt-4o", `/v1/chat/completions openai "odd":[one]`,
			"/v1/chat/completions mistral mistral-large-latest", "/v1/chat/completions mistral mistral-small-latest",
			"/v1/responses openai gpt-4o", `/v1/responses openai "odd":[one]`,
			"/v1/messages anthropic claude-opus-4-5", "/v1/messages anthropic claude-sonnet-4-5", "/v1/messages anthropic claude-haiku-4-5",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
	t.Run("a registry that is not there is made, a broken one left", func(t *testing.T) {
		f := func(in []*corev1.ConfigMap, want string) {
			t.Helper()
			s := source.Snapshot{ConfigMaps: in}
			find(t, "MISTRAL_API_KEY=k", "EGRET_MISTRAL_MODELS=m").Amend(&s)
			for _, m := range s.ConfigMaps {
				if m.Namespace == "opendatahub" && m.Data[source.ModelsKey] != want {
					t.Errorf("%q, want %q", m.Data[source.ModelsKey], want)
				}
			}
		}
		f(nil, `[{"id":"m","provider":"mistral"}]`)
		broken := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "opendatahub", Name: source.RegistryConfigMap}, Data: map[string]string{source.ModelsKey: "{"}}
		f([]*corev1.ConfigMap{broken}, "{")
	})
	t.Run("a path that a route of the gateway serves stays with it", func(t *testing.T) {
		f := func(parent, path string, want ...string) {
			t.Helper()
			r := &gwv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "openshift-ingress", Name: "r"}}
			r.Spec.ParentRefs = []gwv1.ParentReference{{Name: gwv1.ObjectName(parent)}}
			r.Spec.Rules = []gwv1.HTTPRouteRule{{Matches: []gwv1.HTTPRouteMatch{{}, {Path: &gwv1.HTTPPathMatch{Value: &path}}}}}
			o, s := find(t, "MISTRAL_API_KEY=k"), source.Snapshot{HTTPRoutes: []*gwv1.HTTPRoute{r}}
			o.Amend(&s)
			if diff := cmp.Diff(want, o.theirs); diff != "" {
				t.Errorf("%s: -want +got\n%s", path, diff)
			}
			for _, r := range s.HTTPRoutes {
				if r.Namespace == Namespace && len(r.Spec.Rules) != 2-len(want) {
					t.Errorf("%s: %d rules are left", path, len(r.Spec.Rules))
				}
			}
		}
		f("maas-default-gateway", "/v1/chat/completions", "/v1/chat/completions")
		f("maas-default-gateway", "/v1/", "/v1/chat/completions")
		f("maas-default-gateway", "/mistral", "/mistral/v1/chat/completions")
		f("maas-default-gateway", "/")
		f("maas-default-gateway", "/v1/models")
		f("maas-default-gateway", "/v1/chat/comp")
		f("poc-gateway", "/v1/chat/completions")

		all := source.Snapshot{}
		o := find(t, "MISTRAL_API_KEY=k")
		o.Amend(&all)
		for _, r := range all.HTTPRoutes {
			r.Namespace = "default" // the same paths, of somebody else
		}
		theirs := source.Snapshot{HTTPRoutes: all.HTTPRoutes}
		if o.Amend(&theirs); len(o.theirs) != 2 || len(theirs.HTTPRoutes) != 1 || len(theirs.ConfigMaps) != 0 {
			t.Errorf("%v are taken, and there are %d routes and %d ConfigMaps", o.theirs, len(theirs.HTTPRoutes), len(theirs.ConfigMaps))
		}
	})
	t.Run("an object of the manifests' own stays", func(t *testing.T) {
		own := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: "mistral"}}
		s := source.Snapshot{Secrets: []*corev1.Secret{own}}
		if find(t, "MISTRAL_API_KEY=k").Amend(&s); len(s.Secrets) != 1 || s.Secrets[0] != own {
			t.Errorf("%d Secrets", len(s.Secrets))
		}
	})
	t.Run("without keys nothing is added", func(t *testing.T) {
		none := s
		find(t).Amend(&none)
		if diff := cmp.Diff(len(s.HTTPRoutes), len(none.HTTPRoutes)); diff != "" || none.ConfigMaps[registry] != before {
			t.Errorf("it was changed: %s", diff)
		}
	})
}

func TestPrint(t *testing.T) {
	var b strings.Builder
	find(t, append(everything(), "OPENAI_BASE_URL=http://localhost/")...).Print(&b)
	for _, want := range []string{
		"\nOPENAI_API_KEY is in the environment and not offered: OPENAI_BASE_URL is no plain https address",
		"  Anthropic (ANTHROPIC_API_KEY): claude-opus-4-5, claude-sonnet-4-5, claude-haiku-4-5\n    ANTHROPIC_BASE_URL=https://$HOST/anthropic ANTHROPIC_AUTH_TOKEN=$TOKEN\n",
		"  Groq (GROQ_API_KEY): llama-3.3-70b-versatile, llama-3.1-8b-instant\n    OPENAI_BASE_URL=https://$HOST/groq/v1 OPENAI_API_KEY=$TOKEN\n",
		"https://$HOST/anthropic/v1/messages | jq\n", "https://$HOST/v1/chat/completions, /v1/messages\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "secret") {
		t.Errorf("it tells a key:\n%s", b.String())
	}
	b.Reset()
	if find(t).Print(&b); b.Len() > 0 {
		t.Errorf("without keys it says %q", b.String())
	}
}
