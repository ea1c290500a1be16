package file

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/egret-gateway/egret/source"
)

// kustomization builds a directory as "kubectl kustomize" would, from local
// files only and without plugins.
func (in *input) kustomization(dir string) {
	refuse := func(why, do string) {
		in.problems = append(in.problems, source.Problem{File: dir, Why: why, Do: do})
	}
	local := locality{seen: map[string]bool{}}
	err := local.check(dir)
	in.dirs = append(in.dirs, local.dirs...)
	if err != nil {
		p := document{file: dir}.problem(err)
		p.Why = "kustomization: " + p.Why
		in.problems = append(in.problems, *p)
		return
	}
	// An absolute path is never taken for a repository.
	abs, err := filepath.Abs(dir)
	if err != nil {
		refuse("kustomization: "+err.Error(), "")
		return
	}
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), abs)
	if err != nil {
		refuse("kustomization: "+firstLine(err), "run kubectl kustomize on it")
		return
	}
	text, err := resources.AsYaml()
	if err != nil {
		refuse("kustomization: "+firstLine(err), "run kubectl kustomize on it")
		return
	}
	if in.left -= int64(len(text)); in.left < 0 {
		in.left = 0
		refuse(fmt.Sprintf("all manifests together exceed %d MiB", maxTotal>>20), "name fewer files")
		return
	}
	// Lines of the built text are nowhere to be seen for the user.
	for _, d := range split(dir, text) {
		d.line = 0
		in.add(d)
	}
}

// firstLine cuts kustomize's errors, which repeat themselves on many lines.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// kustomizationFiles are the names that kustomize looks for.
var kustomizationFiles = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// locality makes sure that a kustomization is made of local files.
type locality struct {
	// seen are the kustomizations that were checked, by absolute path.
	seen map[string]bool
	// dirs are the directories that files were found in.
	dirs []string
}

// check reports the first thing below a kustomization that is not a local file
// or needs a plugin. Kustomize itself would fetch it: a name that looks like a
// repository is cloned even where a directory of that name exists.
func (l *locality) check(dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil || l.seen[abs] {
		return err
	}
	l.seen[abs] = true
	l.dirs = append(l.dirs, dir)
	k, err := readKustomization(dir)
	if err != nil {
		return err
	}
	if len(k.Generators)+len(k.Transformers)+len(k.Validators)+len(k.HelmCharts)+len(k.HelmChartInflationGenerator) > 0 {
		return &mistake{
			why: dir + " uses generators, transformers, validators or Helm charts, which may run programs",
			do:  "build it with kubectl kustomize and read the result",
		}
	}
	for _, name := range filesOf(k) {
		if isRemote(name) {
			return notLocal(dir, name)
		}
		if _, path, named := strings.Cut(name, "="); named {
			name = path
		}
		if name != "" {
			l.dirs = append(l.dirs, filepath.Dir(filepath.Join(dir, name)))
		}
	}
	for _, name := range slices.Concat(k.Resources, k.Components) {
		if err := l.checkResource(dir, name); err != nil {
			return err
		}
	}
	return nil
}

func notLocal(dir, name string) error {
	return &mistake{why: fmt.Sprintf("%s names %q, which is not a local file", dir, name), do: "copy it into a local file"}
}

// checkResource checks a name that may be a file or another kustomization.
func (l *locality) checkResource(dir, name string) error {
	if isRemote(name) {
		return notLocal(dir, name)
	}
	path := filepath.Join(dir, name)
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return &mistake{why: fmt.Sprintf("%s names %q, which does not exist", dir, name), do: "check the path"}
	case info.IsDir():
		return l.check(path)
	}
	l.dirs = append(l.dirs, filepath.Dir(path))
	return nil
}

func readKustomization(dir string) (*types.Kustomization, error) {
	for _, name := range kustomizationFiles {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		var k types.Kustomization
		if err := yaml.Unmarshal(text, &k); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, name), err)
		}
		k.FixKustomization()
		return &k, nil
	}
	return nil, &mistake{why: dir + " has no kustomization.yaml", do: "name a directory with one, or read plain manifests as files"}
}

// filesOf lists the files a kustomization reads beside its resources.
func filesOf(k *types.Kustomization) []string {
	files := append(slices.Concat(k.Crds, k.Configurations), k.OpenAPI["path"])
	//lint:ignore SA1019 old manifests use it, and kustomize still reads it
	for _, p := range k.PatchesStrategicMerge {
		if !strings.Contains(string(p), "\n") {
			files = append(files, string(p))
		}
	}
	//lint:ignore SA1019 old manifests use it, and kustomize still reads it
	for _, p := range slices.Concat(k.Patches, k.PatchesJson6902) {
		files = append(files, p.Path)
	}
	for _, r := range k.Replacements {
		files = append(files, r.Path)
	}
	for _, g := range k.ConfigMapGenerator {
		files = append(append(append(files, g.FileSources...), g.EnvSources...), g.EnvSource)
	}
	for _, g := range k.SecretGenerator {
		files = append(append(append(files, g.FileSources...), g.EnvSources...), g.EnvSource)
	}
	return files
}

// isRemote reports whether kustomize might take a name for a URL or a repository.
func isRemote(name string) bool {
	name = strings.ToLower(name)
	for _, sign := range []string{"://", "@", "?ref=", "_git/", ".git"} {
		if strings.Contains(name, sign) {
			return true
		}
	}
	for _, host := range []string{"github.com", "gh:", "git::", "gitlab.com", "bitbucket.org"} {
		if strings.HasPrefix(name, host) {
			return true
		}
	}
	return false
}
