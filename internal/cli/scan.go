package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
)

func (a *App) scanCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "scan [file|-]",
		Short: "Look for secrets in a file, as the sidecar does in what leaves",
		Long: "scan runs the sidecar's own engine over a file or over stdin, and says what it found and which decodings led to it.\n" +
			"It never prints a secret. Offsets are bytes of the file; a fingerprint is the same for the same secret within one run.\n\n" +
			"Exit codes: 0 clean; 12 found; 10 no such file; 2 usage.",
		Example: "  bot-bottle scan notes.md\n  git diff | bot-bottle scan --json -",
		Args:    atMostOne,
		RunE: func(_ *cobra.Command, args []string) error {
			in, name := a.In, "stdin"
			if len(args) == 1 && args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return fault.New(fault.NotFound, "cannot scan %s: %w", args[0], reason(err))
				}
				defer file.Close()
				in, name = file, args[0]
			}
			found, err := scan(in, name)
			if err != nil {
				return err
			}
			return a.found(found, name, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "for programs")
	return c
}

func scan(in io.Reader, name string) ([]dlp.Finding, error) {
	s := dlp.New(nil).Stream(name, dlp.Detectors{Patterns: true, Known: true})
	buf := make([]byte, 64<<10)
	for {
		n, err := in.Read(buf)
		s.Write(buf[:n])
		if errors.Is(err, io.EOF) {
			return s.Close(), nil
		}
		if err != nil {
			s.Abort()
			return nil, fault.New(fault.Invalid, "cannot scan %s: %w", name, reason(err))
		}
	}
}

func (a *App) found(found []dlp.Finding, name string, asJSON bool) error {
	if asJSON {
		if found == nil {
			found = []dlp.Finding{}
		}
		if err := a.json(map[string]any{"file": name, "findings": found}); err != nil {
			return err
		}
	} else {
		for _, f := range found {
			how := "as it stands"
			if len(f.Steps) > 0 {
				how = "after " + strings.Join(f.Steps, ", then ")
			}
			if _, err := fmt.Fprintf(a.Out, "%s:%d: %s, %d bytes, %s [%s]\n", name, f.Offset, f.Rule, f.Length, how, f.Fingerprint); err != nil {
				return err
			}
		}
	}
	if len(found) > 0 {
		return exit{12}
	}
	if !asJSON {
		a.say("nothing was found in %s", name)
	}
	return nil
}
