package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"egret": main, "llm-d-inference-sim": main})
}

// TestScripts runs egret as its users do, one script per habit.
func TestScripts(t *testing.T) {
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("EXAMPLES", examples)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"source": source, "until": until, "capture": capture},
	})
}

const patience = 60 * time.Second

// poll waits until ok says yes.
func poll(ts *testscript.TestScript, what string, ok func() bool) {
	late := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			ts.Fatalf("not within %s: %s", patience, what)
		}
	}
}

var export = regexp.MustCompile(`(?m)^export ([A-Z_]+)='(.*)'$`)

// source FILE waits for an env file and takes its variables, as a shell does.
func source(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: source FILE")
	}
	file := ts.MkAbs(args[0])
	poll(ts, file+" is there", func() bool {
		_, err := os.Stat(file)
		return err == nil
	})
	for _, m := range export.FindAllStringSubmatch(ts.ReadFile(args[0]), -1) {
		ts.Setenv(m[1], m[2])
	}
}

// until FILE REGEXP waits until a file has a line.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: until FILE REGEXP")
	}
	line := regexp.MustCompile("(?m)" + args[1])
	poll(ts, args[0]+" has "+args[1], func() bool {
		b, _ := os.ReadFile(ts.MkAbs(args[0]))
		return line.Match(b)
	})
}

// capture NAME REGEXP sets a variable to what the group in the regexp matches
// in the standard output of the last command.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture NAME REGEXP")
	}
	m := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if m == nil {
		ts.Fatalf("nothing matches %s", args[1])
	}
	ts.Setenv(args[0], m[1])
}
