// Command bot-bottle-bench measures bot-bottle beside its peers; `make bench` runs it.
package main

import (
	"os"

	"github.com/bot-bottle/bot-bottle/internal/bench"
)

func main() { os.Exit(bench.Main(os.Args[1:])) }
