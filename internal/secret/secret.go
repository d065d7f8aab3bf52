// Package secret holds values that must not be seen, and finds them where a reference points.
//
// Its one rule: a value leaves a String only through Reveal, so that every use can be found.
package secret

import (
	"fmt"
	"io"
)

const mask = "***"

// String is a secret in memory. It prints as *** with every verb and every marshaller.
type String struct{ value string }

// New wraps a value.
func New(value string) String { return String{value} }

// Reveal returns the value. Call it only where the value is handed to the one who needs it.
func (s String) Reveal() string { return s.value }

// Empty reports whether there is no value.
func (s String) Empty() bool { return s.value == "" }

func (s String) String() string { return mask }

// GoString implements fmt.GoStringer for %#v.
func (s String) GoString() string { return mask }

// Format implements fmt.Formatter, so that no verb reaches the field.
func (s String) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, mask) }

// MarshalJSON writes the mask.
func (s String) MarshalJSON() ([]byte, error) { return []byte(`"` + mask + `"`), nil }

// MarshalText writes the mask.
func (s String) MarshalText() ([]byte, error) { return []byte(mask), nil }
