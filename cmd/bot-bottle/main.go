// Command bot-bottle runs coding agents in sandboxes. See the README.
package main

import (
	"os"

	"github.com/bot-bottle/bot-bottle/internal/cli"
)

// version is set by the build.
var version = "dev"

func main() { os.Exit(cli.Main(os.Args[1:], version)) }
