package audit

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/idna"
)

// shown is how much of one field a person sees.
const shown = 200

// Render is one line of text about e for a person at a terminal, without a newline and with the
// time in zone. Whatever the agent wrote is escaped and cut, and hosts are in punycode.
func Render(e Event, zone *time.Location) string {
	var b strings.Builder
	b.WriteString(e.Time.In(zone).Format("15:04:05"))
	word := func(s string) {
		if s = Escape(s, shown); s != "" {
			b.WriteString(" " + s)
		}
	}
	fmt.Fprintf(&b, " %-5s %-9s", Escape(e.Verdict, shown), Escape(e.Kind, shown))
	word(e.Method)
	word(target(e))
	if e.Status != 0 {
		fmt.Fprintf(&b, " → %d", e.Status)
	}
	word(e.Message)
	for _, r := range e.Before {
		word("[- " + r + "]")
	}
	for _, r := range e.After {
		word("[+ " + r + "]")
	}
	if details := details(e); len(details) > 0 {
		b.WriteString(" (" + strings.Join(details, ", ") + ")")
	}
	if e.Reason != "" {
		b.WriteString(" —")
		word(e.Reason)
	}
	return b.String()
}

func target(e Event) string {
	host := Punycode(e.Host)
	switch {
	case host == "":
		return Escape(e.Path, shown)
	case e.Port != 0:
		host = net.JoinHostPort(host, strconv.Itoa(int(e.Port)))
	}
	return host + Escape(e.Path, shown)
}

func details(e Event) []string {
	var out []string
	add := func(label, value string) {
		if value != "" {
			out = append(out, label+Escape(value, shown))
		}
	}
	add("", e.Layer)
	add("", e.Via)
	add("", e.Proto)
	if e.Would != "" {
		add("would be refused, ", "observing")
	}
	add("rule ", e.Rule)
	add("credential ", e.Injected)
	add("headers ", strings.Join(e.Headers, " "))
	if e.Sent > 0 {
		add("", fmt.Sprintf("%d bytes out", e.Sent))
	}
	if e.Received > 0 {
		add("", fmt.Sprintf("%d bytes in", e.Received))
	}
	if e.Millis > 0 {
		add("", fmt.Sprintf("%.0f ms", e.Millis))
	}
	return out
}

// Punycode returns host as a person should read it: no letter that looks like another one.
// What is not a name stays, with every rune outside ASCII escaped.
func Punycode(host string) string {
	if ascii, err := idna.Punycode.ToASCII(host); err == nil {
		host = ascii
	}
	var b strings.Builder
	for _, r := range Escape(host, shown) {
		if r < 0x80 {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
