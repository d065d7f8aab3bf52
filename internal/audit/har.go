package audit

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// WriteHAR writes those of the events that are HTTP requests as an HTTP Archive 1.2. It streams,
// so that a log of any length takes the same memory. What the log does not hold is not in it: bodies, the
// values of headers and queries, and, unless the bottle logs in full, paths.
// An error of the events ends it, and leaves an archive that is whole up to there.
func WriteHAR(out io.Writer, version string, events iter.Seq2[Event, error]) error {
	creator, err := json.Marshal(map[string]string{"name": "bot-bottle", "version": version})
	if err != nil {
		return err
	}
	w := &failing{to: out}
	w.print(`{"log":{"version":"1.2","creator":`, string(creator),
		`,"comment":"no bodies, no values of headers and queries; paths only where they were logged","entries":[`)
	first := true
	var failed error
	for e, err := range events {
		if err != nil {
			failed = err
			break
		}
		if e.Kind != "request" {
			continue
		}
		entry, err := json.Marshal(entryOf(e))
		if err != nil {
			return fmt.Errorf("cannot write an archive: %w", err)
		}
		if !first {
			w.print(",")
		}
		first = false
		w.print("\n", string(entry))
	}
	w.print("\n]}}\n")
	if w.err != nil {
		return fmt.Errorf("cannot write an archive: %w", w.err)
	}
	return failed
}

// failing remembers the first error of a writer.
type failing struct {
	to  io.Writer
	err error
}

func (f *failing) print(texts ...string) {
	for _, t := range texts {
		if f.err == nil {
			_, f.err = io.WriteString(f.to, t)
		}
	}
}

// The parts of an archive, as http://www.softwareishard.com/blog/har-12-spec names them.
type (
	harEntry struct {
		Started  string         `json:"startedDateTime"`
		Time     float64        `json:"time"`
		Request  harRequest     `json:"request"`
		Response harResponse    `json:"response"`
		Cache    map[string]any `json:"cache"`
		Timings  harTimings     `json:"timings"`
		Comment  string         `json:"comment,omitempty"`
	}
	harRequest struct {
		Method      string    `json:"method"`
		URL         string    `json:"url"`
		HTTPVersion string    `json:"httpVersion"`
		Cookies     []harPair `json:"cookies"`
		Headers     []harPair `json:"headers"`
		QueryString []harPair `json:"queryString"`
		HeadersSize int       `json:"headersSize"`
		BodySize    int64     `json:"bodySize"`
	}
	harResponse struct {
		Status      int        `json:"status"`
		StatusText  string     `json:"statusText"`
		HTTPVersion string     `json:"httpVersion"`
		Cookies     []harPair  `json:"cookies"`
		Headers     []harPair  `json:"headers"`
		Content     harContent `json:"content"`
		RedirectURL string     `json:"redirectURL"`
		HeadersSize int        `json:"headersSize"`
		BodySize    int64      `json:"bodySize"`
	}
	harPair struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	harContent struct {
		Size     int64  `json:"size"`
		MimeType string `json:"mimeType"`
	}
	harTimings struct {
		Send    float64 `json:"send"`
		Wait    float64 `json:"wait"`
		Receive float64 `json:"receive"`
	}
)

func entryOf(e Event) harEntry {
	took := time.Duration(e.Millis * float64(time.Millisecond))
	headers := make([]harPair, 0, len(e.Headers))
	for _, name := range e.Headers {
		headers = append(headers, harPair{Name: name})
	}
	var said []string
	for _, s := range []string{e.Verdict, e.Layer, e.Rule, e.Reason, e.Message} {
		if s != "" {
			said = append(said, s)
		}
	}
	return harEntry{
		Started: e.Time.Add(-took).UTC().Format(time.RFC3339Nano), Time: e.Millis,
		Request: harRequest{
			Method: e.Method, URL: urlOf(e), HTTPVersion: e.Proto, Cookies: []harPair{}, Headers: headers,
			QueryString: []harPair{}, HeadersSize: -1, BodySize: e.Sent,
		},
		Response: harResponse{
			Status: e.Status, StatusText: http.StatusText(e.Status), HTTPVersion: e.Proto, Cookies: []harPair{}, Headers: []harPair{},
			Content: harContent{e.Received, "x-unknown"}, HeadersSize: -1, BodySize: e.Received,
		},
		Cache: map[string]any{}, Timings: harTimings{Wait: e.Millis}, Comment: strings.Join(said, "; "),
	}
}

// urlOf is the request's URL as far as it is known. Logs of older versions do not tell the
// scheme; then the port does.
func urlOf(e Event) string {
	u := url.URL{Scheme: e.Scheme, Host: e.Host, Path: "/"}
	if u.Scheme == "" {
		u.Scheme = "https"
		if e.Port == 80 {
			u.Scheme = "http"
		}
	}
	usual := u.Scheme == "https" && e.Port == 443 || u.Scheme == "http" && e.Port == 80
	switch {
	case e.Port != 0 && !usual:
		u.Host = net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
	case strings.Contains(e.Host, ":"):
		u.Host = "[" + e.Host + "]"
	}
	base := u.Scheme + "://" + u.Host
	if strings.HasPrefix(e.Path, "/") {
		return base + e.Path // as it went out, escapes and all
	}
	return base + "/"
}
