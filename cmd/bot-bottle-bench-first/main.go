// Command bot-bottle-bench-first is the program whose start is measured: it writes the monotonic
// clock to its stdout and ends. It is small, so that the time is the sandbox's and not its own.
package main

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

func main() {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		os.Exit(1)
	}
	_, _ = os.Stdout.WriteString(strconv.FormatInt(now.Nano(), 10) + "\n")
}
