package egress

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// maxFields bounds the lines of one head, beside its bytes.
const maxFields = 200

var (
	errHeadTooLarge = errors.New("the head is too large")
	errBareLine     = errors.New("a line of the head does not end in CRLF")
	errFold         = errors.New("a header line is folded")
	errFieldName    = errors.New("a header name is no token")
	errFieldValue   = errors.New("a header value has a control byte")
	errFieldCount   = errors.New("the head has too many fields")
	errFraming      = errors.New("the length of the body is ambiguous")
	errExpect       = errors.New("the expectation is unknown")
	errStartLine    = errors.New("the first line is malformed")
)

// readHead reads up to and including the empty line that ends a head. io.EOF is returned only
// where nothing came at all. first, which may be nil, judges the first line as soon as it is
// there, so that what speaks another protocol is not waited for.
func readHead(br *bufio.Reader, scratch []byte, limit int, first func(line string) error) ([]byte, error) {
	head := scratch[:0]
	for {
		line, err := br.ReadSlice('\n')
		if len(head)+len(line) > limit {
			return nil, errHeadTooLarge
		}
		head = append(head, line...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF && len(head) > 0:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		}
		if len(head) >= 2 && head[len(head)-2] != '\r' || len(head) < 2 {
			return nil, errBareLine
		}
		if first != nil {
			if err := first(string(head[:len(head)-2])); err != nil {
				return nil, err
			}
			first = nil
		}
		if len(line) == 2 && line[0] == '\r' && (len(head) == 2 || head[len(head)-3] == '\n') {
			return head, nil
		}
	}
}

// parseHead splits a head into its first line and its fields, as strictly as RFC 9112 allows:
// CRLF only, no folding, no space before the colon, no control bytes.
func parseHead(head string) (start string, fields Header, err error) {
	start, rest, err := cutLine(head)
	if err != nil {
		return "", nil, err
	}
	if start == "" {
		return "", nil, errStartLine
	}
	fields, err = parseFields(rest)
	return start, fields, err
}

func parseFields(rest string) (Header, error) {
	fields := make(Header, 0, 24)
	for {
		line, after, err := cutLine(rest)
		if err != nil {
			return nil, err
		}
		if line == "" {
			if after != "" {
				return nil, errStartLine
			}
			return fields, nil
		}
		rest = after
		if line[0] == ' ' || line[0] == '\t' {
			return nil, errFold
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !policy.ValidFieldName(name) {
			return nil, errFieldName
		}
		if len(fields) == maxFields {
			return nil, errFieldCount
		}
		fields = append(fields, Field{name, strings.Trim(value, " \t")})
	}
}

func cutLine(s string) (line, rest string, err error) {
	i := strings.IndexByte(s, '\n')
	if i < 1 || s[i-1] != '\r' {
		return "", "", errBareLine
	}
	line = s[:i-1]
	for j := range len(line) {
		if c := line[j]; c < ' ' && c != '\t' || c == 0x7f {
			return "", "", errFieldValue
		}
	}
	return line, s[i+1:], nil
}

// requestLine is the first line of a request, in pieces.
type requestLine struct {
	method, target string
	minor          int // of HTTP/1.x
}

func parseRequestLine(start string) (requestLine, error) {
	method, rest, ok := strings.Cut(start, " ")
	target, version, ok2 := strings.Cut(rest, " ")
	if !ok || !ok2 || !policy.ValidFieldName(method) || target == "" {
		return requestLine{}, errStartLine
	}
	switch version {
	case "HTTP/1.1":
		return requestLine{method, target, 1}, nil
	case "HTTP/1.0":
		return requestLine{method, target, 0}, nil
	}
	return requestLine{}, fmt.Errorf("%w: the version is not HTTP/1.1 or HTTP/1.0", errStartLine)
}

func parseStatusLine(start string) (status, minor int, reason string, err error) {
	version, rest, ok := strings.Cut(start, " ")
	if !ok || version != "HTTP/1.1" && version != "HTTP/1.0" {
		return 0, 0, "", errStartLine
	}
	code, reason, _ := strings.Cut(rest, " ")
	status, err = strconv.Atoi(code)
	if err != nil || len(code) != 3 || status < 100 || status > 599 {
		return 0, 0, "", errStartLine
	}
	return status, int(version[7] - '0'), reason, nil
}

// bodyLength reads the framing fields (RFC 9112 §6): -1 means chunked, none means no framing
// field at all. Anything that two parsers might read differently is an error.
func bodyLength(fields Header, minor int) (length int64, none bool, err error) {
	codings, lengths := 0, 0
	var value string
	for i := range fields {
		switch name := fields[i].Name; {
		case strings.EqualFold(name, "Transfer-Encoding"):
			codings++
			if !strings.EqualFold(fields[i].Value, "chunked") {
				return 0, false, errFraming
			}
		case strings.EqualFold(name, "Content-Length"):
			lengths++
			value = fields[i].Value
		case framingAlias(name):
			return 0, false, errFraming
		}
	}
	switch {
	case codings > 1, lengths > 1, codings == 1 && lengths == 1, codings == 1 && minor == 0:
		return 0, false, errFraming
	case codings == 1:
		return -1, false, nil
	case lengths == 0:
		return 0, true, nil
	}
	for i := range len(value) {
		if value[i] < '0' || value[i] > '9' {
			return 0, false, errFraming
		}
	}
	length, err = strconv.ParseInt(value, 10, 63)
	if err != nil {
		return 0, false, errFraming
	}
	return length, false, nil
}

// framingAlias finds the names that a CGI-like upstream reads as a framing field.
func framingAlias(name string) bool {
	if !strings.Contains(name, "_") {
		return false
	}
	alias := strings.ReplaceAll(name, "_", "-")
	return strings.EqualFold(alias, "Transfer-Encoding") || strings.EqualFold(alias, "Content-Length")
}
