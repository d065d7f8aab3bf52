package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
)

func (a *App) scanCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "scan [file|-]",
		Short: "Look for secrets in a file, as the sidecar does in what leaves",
		Long: "scan runs the sidecar's own engine over a file or over stdin, with all outbound detectors but entropy, and says\n" +
			"what it found and, step by step, how it decoded its way there. Known secrets are those of this machine's variables\n" +
			"that BOT_BOTTLE_SENSITIVE_PREFIXES names, as for a bottle. It never prints a secret. Offsets are bytes of the file;\n" +
			"a fingerprint is the same for the same secret within one run. Memory does not grow with the file.\n\n" +
			"Exit codes: 0 clean; 12 found, or not to be looked at to the end; 10 no such file; 1 it cannot be read; 2 usage.",
		Example: "  bot-bottle scan notes.md\n  git diff | bot-bottle scan --json -",
		Args:    atMostOne,
		RunE: func(_ *cobra.Command, args []string) error {
			in, name := a.In, "stdin"
			if len(args) == 1 && args[0] != "-" {
				file, err := scannable(args[0])
				if err != nil {
					return err
				}
				defer file.Close()
				in, name = file, args[0]
			}
			found, err := scan(in, name, a.knownHere())
			if err != nil {
				return err
			}
			return a.found(found, name, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "for programs")
	return c
}

func scannable(path string) (*os.File, error) {
	file, err := os.Open(path)
	if err != nil {
		kind := fault.Invalid
		if errors.Is(err, os.ErrNotExist) {
			kind = fault.NotFound
		}
		return nil, fault.New(kind, "cannot scan %s: %w", path, reason(err))
	}
	if info, err := file.Stat(); err == nil && info.IsDir() {
		_ = file.Close()
		return nil, fault.WithHint(fault.New(fault.Invalid, "cannot scan %s: it is a directory", path),
			"name a file, or pack it: tar -c %s | bot-bottle scan -", path)
	}
	return file, nil
}

// knownHere are the secrets of this machine that a bottle's sidecar would be told of too.
func (a *App) knownHere() []dlp.Known {
	var known []dlp.Known
	for name, value := range a.sensitive() {
		known = append(known, dlp.Known{Name: name, Value: value})
	}
	return known
}

func scan(in io.Reader, name string, known []dlp.Known) ([]dlp.Finding, error) {
	s := dlp.New(known).Stream(name, dlp.Detectors{Patterns: true, Known: true})
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
			if err := a.explain(f, name); err != nil {
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

// explain says what a finding is and each step that led to it, outermost first.
func (a *App) explain(f dlp.Finding, name string) error {
	what := fmt.Sprintf("%s, %d bytes [%s]", f.Rule, f.Length, f.Fingerprint)
	if limit, ok := dlp.Limit(f.Rule); ok {
		what = f.Rule + ": " + limit
	}
	if f.Rule == dlp.RuleUnreadable {
		what = fmt.Sprintf("%s: it is encrypted, or packed in a way that is not read [%s]", f.Rule, f.Fingerprint)
	}
	text := fmt.Sprintf("%s:%d: %s\n", name, f.Offset, what)
	if f.Span > 0 && len(f.Steps) > 0 {
		text += fmt.Sprintf("  in %d bytes that begin there\n", f.Span)
	}
	for i, step := range f.Steps {
		text += fmt.Sprintf("  %d. read as %s\n", i+1, step)
	}
	if len(f.Steps) == 0 {
		text += "  as it stands\n"
	}
	_, err := io.WriteString(a.Out, text)
	return err
}
