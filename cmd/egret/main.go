// Command egret is an egress gateway for AI models. `egret quickstart` serves
// the whole system on loopback; `egret --help` lists the rest.
package main

import (
	"os"

	"github.com/egret-gateway/egret/cmd/egret/command"
)

func main() { os.Exit(command.Main(os.Args)) }
