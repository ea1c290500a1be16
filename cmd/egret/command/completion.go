package command

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completion is what may follow a command: its subcommands and flags.
type completion struct {
	path  string // "" for egret itself, "keys create" below
	words []string
}

// completions walks the command line's own model, so that a script never
// knows less than the program.
func completions() ([]completion, error) {
	parser, err := kong.New(&cli{}, kong.Name("egret"), kong.Vars{"version": version})
	if err != nil {
		return nil, err
	}
	var out []completion
	var walk func(path string, n *kong.Node)
	walk = func(path string, n *kong.Node) {
		c := completion{path: path}
		for _, child := range n.Children {
			c.words = append(c.words, child.Name)
		}
		for _, arg := range n.Positional {
			c.words = append(c.words, arg.EnumSlice()...)
		}
		flags := n.Flags
		if n.DefaultCmd != nil { // its flags may follow at once
			flags = append(slices.Clone(flags), n.DefaultCmd.Flags...)
		}
		for _, f := range flags {
			c.words = append(c.words, "--"+f.Name)
		}
		out = append(out, c)
		for _, child := range n.Children {
			walk(strings.TrimSpace(path+" "+child.Name), child)
		}
	}
	walk("", parser.Model.Node)
	return out, nil
}

// bashCompletion completes words; file names are left to the shell.
func bashCompletion(w io.Writer, all []completion) {
	commands := "|"
	for _, c := range all {
		commands += c.path + "|"
	}
	fmt.Fprintf(w, "_egret() {\n  local commands=%q\n", commands)
	fmt.Fprint(w, `  local cur path="" i
  cur="${COMP_WORDS[COMP_CWORD]}"
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$commands" in *"|${path:+$path }${COMP_WORDS[i]}|"*) path="${path:+$path }${COMP_WORDS[i]}" ;; esac
  done
  local words=""
  case "$path" in
`)
	for _, c := range all {
		fmt.Fprintf(w, "    %q) words=%q ;;\n", c.path, strings.Join(c.words, " "))
	}
	fmt.Fprint(w, `  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _egret egret
`)
}
