package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set by the linker for releases.
var version = "dev"

// cli is the command line.
type cli struct {
	Quickstart quickstartCmd `cmd:"" help:"Serve the whole system on loopback: gateways, MaaS API, simulated provider."`
	Run        runCmd        `cmd:"" help:"Serve manifests, reloaded when they change."`
	Check      checkCmd      `cmd:"" help:"Validate and compile manifests, print every condition."`
	Plan       planCmd       `cmd:"" help:"Print the plan that manifests compile to."`
	Explain    explainCmd    `cmd:"" help:"Say what a running Egret would do with a request."`
	Token      tokenCmd      `cmd:"" help:"Mint or revoke MaaS tokens."`
	Keys       keysCmd       `cmd:"" help:"Manage API keys."`
	Models     modelsCmd     `cmd:"" help:"List the models you may call."`
	Usage      usageCmd      `cmd:"" help:"Show who used how many tokens."`
	Users      usersCmd      `cmd:"" help:"Add people to a users file."`
	Maas       maasCmd       `cmd:"" help:"Serve the MaaS API of a Kubernetes cluster."`
	Sim        simCmd        `cmd:"" help:"Run the inference simulator."`
	Controller controllerCmd `cmd:"" help:"Run the controller of a Kubernetes cluster."`
	Proxy      proxyCmd      `cmd:"" help:"Run the native data plane in a pod of a Gateway's fleet."`
	Extproc    extprocCmd    `cmd:"" help:"Run the engine beside Envoy in a pod of a Gateway's fleet."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
	Completion completionCmd `cmd:"" help:"Print a completion script for your shell."`
}

// world is what commands touch beside their flags.
type world struct {
	ctx    context.Context
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

// Main runs one command line, args[0] being the program's name, until it ends
// or a signal ends it, and returns the exit status: 0 is success, 1 a failure,
// 2 a command line that makes no sense.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A file that may not grow is a full disk, which ends nobody.
	signal.Ignore(syscall.SIGXFSZ)
	// The second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	return run(world{ctx: ctx, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}, args)
}

// run is Main without the process.
func run(w world, args []string) int {
	if filepath.Base(args[0]) == "llm-d-inference-sim" {
		return report(w, (&simCmd{Args: args[1:]}).Run(&w))
	}
	if len(args) > 1 && args[1] == "sim" {
		return report(w, (&simCmd{Args: args[2:]}).Run(&w))
	}
	if len(args) > 1 && args[1] == "maas" {
		return report(w, (&maasCmd{Args: args[2:]}).Run(&w))
	}
	if len(args) < 2 {
		args = append(slices.Clone(args), "--help")
	}
	exit := -1
	parser, err := kong.New(&cli{}, kong.Name("egret"), kong.Description(description), kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Writers(w.stdout, w.stderr), kong.Exit(func(code int) { exit = code }),
		kong.Vars{"version": version})
	if err != nil {
		return report(w, fmt.Errorf("BUG: %w", err))
	}
	c, err := parser.Parse(args[1:])
	if exit >= 0 { // help was asked for and printed
		return exit
	}
	if err != nil {
		hint := "Try: egret --help"
		if strings.HasPrefix(err.Error(), "unexpected argument") && slices.Contains([]string{"run", "check", "plan"}, args[1]) {
			hint = "Manifests are named with -f PATH or -k DIR. " + hint
		}
		fmt.Fprintf(w.stderr, "egret: %v\n%s\n", err, hint)
		return 2
	}
	return report(w, c.Run(&w))
}

const description = `An egress gateway for AI models: who may call which model, how many tokens each may spend, with whose credential.

Begin with: egret quickstart`

// errSilent ends a command that has said everything already with status 1.
var errSilent = errors.New("")

func report(w world, err error) int {
	if err == nil {
		return 0
	}
	if !errors.Is(err, errSilent) {
		fmt.Fprintf(w.stderr, "egret: %v\n", err)
	}
	return 1
}

// logger writes JSON lines to stderr; verbose adds debug lines.
func logger(w io.Writer, verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}
