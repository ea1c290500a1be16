// Command acceptance makes docs/acceptance.md: which test shows which line of
// the acceptance lists. The statements stand in statements.txt beside this
// file, the tests are found by the numbers in their names.
package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var number = regexp.MustCompile(`\b(maas|gateway)-([0-9]+)\b`)

func main() {
	root := flag.String("root", ".", "the repository")
	write := flag.Bool("w", false, "write docs/acceptance.md rather than standard output")
	flag.Parse()
	if err := run(*root, *write); err != nil {
		fmt.Fprintln(os.Stderr, "acceptance:", err)
		os.Exit(1)
	}
}

func run(root string, write bool) error {
	lines, err := statements(filepath.Join(root, "lab/acceptance/statements.txt"))
	if err != nil {
		return err
	}
	found, err := tests(root)
	if err != nil {
		return err
	}
	page, err := render(lines, found)
	if err != nil {
		return err
	}
	if !write {
		_, err = os.Stdout.Write(page)
		return err
	}
	return os.WriteFile(filepath.Join(root, "docs/acceptance.md"), page, 0o644)
}

// statement is one line of an acceptance list.
type statement struct {
	list    string
	number  int
	text    string
	exempt  string // why no test of this build shows it; "" when one must
	section string
}

func (s statement) id() string { return s.list + "-" + strconv.Itoa(s.number) }

// statements reads lines of the form "maas-97 text" and "maas-58 ! reason |
// text"; "# title" begins a section.
func statements(file string) ([]statement, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []statement
	section := ""
	for scan := bufio.NewScanner(f); scan.Scan(); {
		line := strings.TrimSpace(scan.Text())
		if line == "" {
			continue
		}
		if title, ok := strings.CutPrefix(line, "# "); ok {
			section = title
			continue
		}
		id, text, _ := strings.Cut(line, " ")
		m := number.FindStringSubmatch(id)
		if m == nil || text == "" {
			return nil, fmt.Errorf("%s: line %q does not begin with a number and a text", file, line)
		}
		n, _ := strconv.Atoi(m[2])
		s := statement{list: m[1], number: n, text: text, section: section}
		if reason, ok := strings.CutPrefix(text, "! "); ok {
			if s.exempt, s.text, ok = strings.Cut(reason, " | "); !ok {
				return nil, fmt.Errorf("%s: %s has no text behind its reason", file, id)
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// tests maps a number to the tests that carry it: "package TestName".
func tests(root string) (map[string][]string, error) {
	found := map[string][]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && name != root:
			return filepath.SkipDir
		case d.IsDir():
			return nil
		case strings.HasSuffix(name, "_test.go"):
			return inGo(root, name, found)
		case strings.Contains(filepath.ToSlash(name), "/testdata/") && (strings.HasSuffix(name, ".txt") || strings.HasSuffix(name, ".txtar")):
			return inScenario(root, name, found)
		}
		return nil
	})
	for id := range found {
		slices.Sort(found[id])
		found[id] = slices.Compact(found[id])
	}
	return found, err
}

// inGo finds numbers in the string literals of test functions.
func inGo(root, name string, found map[string][]string) error {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(root, filepath.Dir(name))
	if err != nil {
		return err
	}
	for _, d := range f.Decls {
		title := filepath.Base(name)
		if fn, ok := d.(*ast.FuncDecl); ok {
			title = fn.Name.Name
		}
		ast.Inspect(d, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				for _, m := range number.FindAllString(lit.Value, -1) {
					found[m] = append(found[m], rel+" "+title)
				}
			}
			return true
		})
	}
	return nil
}

// inScenario finds numbers in what stands before the first file of a txtar
// archive.
func inScenario(root, name string, found map[string][]string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	head, _, _ := bytes.Cut(text, []byte("\n-- "))
	rel, err := filepath.Rel(root, name)
	if err != nil {
		return err
	}
	for _, m := range number.FindAllString(string(head), -1) {
		found[m] = append(found[m], filepath.ToSlash(rel))
	}
	return nil
}

// render refuses a list in which a statement has neither test nor reason, and
// tests that show what is in no list.
func render(lines []statement, found map[string][]string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("# Acceptance\n\nEach line of the acceptance lists of MaaS and of the egress gateway, and the tests that show it. Made by `make acceptance` from the names of\nthe tests; a line without a test says why.\n")
	var missing []string
	section := ""
	for _, s := range lines {
		if s.section != section {
			section = s.section
			fmt.Fprintf(&b, "\n## %s\n\n| number | statement | shown by |\n| --- | --- | --- |\n", section)
		}
		shown := strings.Join(quoted(found[s.id()]), "<br>")
		switch {
		case shown == "" && s.exempt == "":
			missing = append(missing, s.id())
		case shown == "":
			shown = "not here: " + s.exempt
		case s.exempt != "":
			shown += "<br>not here: " + s.exempt
		}
		fmt.Fprintf(&b, "| %s %d | %s | %s |\n", s.list, s.number, s.text, shown)
	}
	var strange []string
	for id := range found {
		if !slices.ContainsFunc(lines, func(s statement) bool { return s.id() == id }) {
			strange = append(strange, id)
		}
	}
	if len(strange) > 0 {
		slices.Sort(strange)
		return nil, fmt.Errorf("tests carry the numbers %s, which statements.txt does not have", strings.Join(strange, ", "))
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("no test carries the numbers %s, and statements.txt gives no reason", strings.Join(missing, ", "))
	}
	return b.Bytes(), nil
}

func quoted(in []string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = "`" + s + "`"
	}
	return out
}
