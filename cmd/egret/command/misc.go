package command

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/egret-gateway/egret/policy/ident/local"
	"github.com/egret-gateway/egret/sim"
	simprovider "github.com/egret-gateway/egret/sim/provider"
)

// simCmd runs the simulator. Its flags are the simulator's own, so that they
// do not pass through the parser of egret's.
type simCmd struct {
	Args []string `arg:"" optional:"" passthrough:"" help:"Flags of the simulator; --help lists them. --provider first: the provider simulator."`
}

// simExamples open the help of both simulators.
const simExamples = `Usage: egret sim [flags]              a model server (llm-d-inference-sim)
       egret sim --provider [flags]   a provider that asks for an API key

Example:
  egret sim --port 8000 --model gpt-4-external --mode random --seed 1
  egret sim --provider --port 8001 --api-key sk-demo --model gpt-4

`

// Run serves until a signal.
func (c *simCmd) Run(w *world) error {
	if len(c.Args) > 0 && c.Args[0] == "--provider" {
		return c.provider(w, c.Args[1:])
	}
	if slices.Contains(c.Args, "--help") || slices.Contains(c.Args, "-h") {
		fmt.Fprint(w.stdout, simExamples+sim.Help())
		return nil
	}
	config, err := sim.Parse(c.Args)
	if err != nil {
		return err
	}
	s, err := sim.New(config)
	if err != nil {
		return err
	}
	return s.Run(w.ctx)
}

func (c *simCmd) provider(w *world, args []string) error {
	if slices.Contains(args, "--help") || slices.Contains(args, "-h") {
		fmt.Fprint(w.stdout, simExamples+simprovider.Help())
		return nil
	}
	config, err := simprovider.Parse(args)
	if err != nil {
		return err
	}
	s, err := simprovider.New(config)
	if err != nil {
		return err
	}
	return s.Run(w.ctx)
}

// usersCmd edits a users file.
type usersCmd struct {
	Add usersAddCmd `cmd:"" help:"Add a user, or give one a new token, and print the token once."`
}

// Help is the long help of the command.
func (*usersCmd) Help() string {
	return `Example:
  egret users add alice -g premium-group -f data/users.yaml`
}

type usersAddCmd struct {
	Name  string   `arg:"" help:"User name."`
	Group []string `short:"g" help:"Group of the user. May be repeated."`
	File  string   `short:"f" type:"path" required:"" placeholder:"FILE" help:"The users file; made when it is missing."`
}

// Help is the long help of the command.
func (*usersAddCmd) Help() string {
	return `Only the SHA-256 of the token is kept. A running Egret takes the change in within two seconds.

Example:
  egret users add alice -g premium-group -f data/users.yaml`
}

// Run adds.
func (c *usersAddCmd) Run(w *world) error {
	token, err := local.Enroll(c.File, c.Name, c.Group, nil)
	if err != nil {
		return err
	}
	fmt.Fprintln(w.stdout, token)
	return nil
}

// versionCmd prints the version.
type versionCmd struct{ outFlag }

// Help is the long help of the command.
func (*versionCmd) Help() string {
	return `Example:
  egret version -o json`
}

// Run prints.
func (c *versionCmd) Run(w *world) error {
	revision := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	if c.Out == "json" {
		return printJSON(w, map[string]string{"version": version, "revision": revision, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
	}
	fmt.Fprintf(w.stdout, "egret %s (%s, %s, %s/%s)\n", version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// randomToken is a prefix and 32 random bytes.
func randomToken(prefix string) string {
	var b [32]byte
	rand.Read(b[:])
	return prefix + hex.EncodeToString(b[:])
}

// completionCmd prints a completion script.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is the long help of the command.
func (*completionCmd) Help() string {
	return `Example:
  source <(egret completion bash)`
}

// Run prints the script.
func (c *completionCmd) Run(w *world) error {
	words, err := completions()
	if err != nil {
		return err
	}
	switch c.Shell {
	case "bash":
		bashCompletion(w.stdout, words)
	case "zsh":
		fmt.Fprintln(w.stdout, "autoload -U +X bashcompinit && bashcompinit")
		bashCompletion(w.stdout, words)
	case "fish":
		for _, c := range words {
			under := "__fish_use_subcommand"
			if c.path != "" {
				under = "__fish_seen_subcommand_from " + strings.ReplaceAll(c.path, " ", "; and __fish_seen_subcommand_from ")
			}
			for _, word := range c.words {
				if flag, ok := strings.CutPrefix(word, "--"); ok {
					fmt.Fprintf(w.stdout, "complete -c egret -n '%s' -l %s\n", under, flag)
				} else {
					fmt.Fprintf(w.stdout, "complete -c egret -n '%s' -a %s -f\n", under, word)
				}
			}
		}
	}
	return nil
}
