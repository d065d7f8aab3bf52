package secret

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
)

// minRedacted keeps a value of a few letters from blotting out ordinary words.
const minRedacted = 6

// Redactor replaces known values in text, also where they are percent-encoded or base64. It is
// the second net: code that prints a value must be fixed. It does not change and is safe for
// concurrent use.
type Redactor struct{ replacer *strings.Replacer }

// NewRedactor knows the given values; those shorter than six bytes are left alone.
func NewRedactor(values ...String) *Redactor {
	var forms []string
	for _, v := range values {
		if len(v.value) < minRedacted {
			continue
		}
		raw := []byte(v.value)
		forms = append(forms, v.value, url.QueryEscape(v.value), url.PathEscape(v.value),
			base64.RawStdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw))
	}
	// Longest first: of two values of which one begins with the other, nothing may be left over.
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(forms))
	for _, form := range forms {
		pairs = append(pairs, form, mask)
	}
	return &Redactor{strings.NewReplacer(pairs...)}
}

// String returns s with every known value as ***.
func (r *Redactor) String(s string) string { return r.replacer.Replace(s) }

// Redact returns a handler that passes records on to next with every occurrence of the values
// replaced, in the message and in attributes of any kind.
func Redact(next slog.Handler, values ...String) slog.Handler {
	return &redacting{next, NewRedactor(values...)}
}

type redacting struct {
	next     slog.Handler
	redactor *Redactor
}

func (h *redacting) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h *redacting) Handle(ctx context.Context, record slog.Record) error {
	clean := slog.NewRecord(record.Time, record.Level, h.redactor.String(record.Message), record.PC)
	record.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(h.attr(a))
		return true
	})
	return h.next.Handle(ctx, clean)
}

func (h *redacting) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, 0, len(attrs))
	for _, a := range attrs {
		clean = append(clean, h.attr(a))
	}
	return &redacting{h.next.WithAttrs(clean), h.redactor}
}

func (h *redacting) WithGroup(name string) slog.Handler {
	return &redacting{h.next.WithGroup(h.redactor.String(name)), h.redactor}
}

func (h *redacting) attr(a slog.Attr) slog.Attr {
	a.Key = h.redactor.String(a.Key)
	a.Value = a.Value.Resolve()
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(h.redactor.String(a.Value.String()))
	case slog.KindGroup:
		var clean []slog.Attr
		for _, member := range a.Value.Group() {
			clean = append(clean, h.attr(member))
		}
		a.Value = slog.GroupValue(clean...)
	case slog.KindAny: // what the next handler would print of it is not ours to foresee
		a.Value = slog.StringValue(h.redactor.String(fmt.Sprintf("%+v", a.Value.Any())))
	}
	return a
}
