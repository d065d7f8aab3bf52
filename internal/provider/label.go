package provider

import (
	"maps"
	"slices"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// MaxLabel is how long a label may be, in characters.
const MaxLabel = 64

// ValidLabel reports whether a text can be shown on a line: printable, and not long.
func ValidLabel(label string) bool {
	if !utf8.ValidString(label) || utf8.RuneCountInString(label) > MaxLabel {
		return false
	}
	for _, r := range label {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

func colors() map[string]int {
	return map[string]int{"red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36, "white": 37, "orange": 33, "purple": 35, "pink": 35}
}

// Colors are the names that ColorCode knows, sorted.
func Colors() []string { return slices.Sorted(maps.Keys(colors())) }

// ColorCode is the parameter of the terminal's escape sequence (ECMA-48 section 8.3.117) for a
// colour's name or #rrggbb, "" for anything else.
func ColorCode(color string) string {
	if n, ok := colors()[color]; ok {
		return strconv.Itoa(n)
	}
	if len(color) != 7 || color[0] != '#' {
		return ""
	}
	n, err := strconv.ParseUint(color[1:], 16, 32)
	if err != nil {
		return ""
	}
	out := "38;2"
	for _, shift := range []int{16, 8, 0} {
		out += ";" + strconv.Itoa(int(n>>shift)&0xff)
	}
	return out
}
