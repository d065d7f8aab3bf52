package build

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// heard are steps whose words are kept.
func heard() (*steps, *[]string) {
	var said []string
	return newSteps(func(line string) { said = append(said, line) }), &said
}

func TestABuildCannotDriveTheTerminal(t *testing.T) {
	s, said := heard()
	for _, part := range []string{"one\ntw", "o \x1b]0;evil\x07\n", "\n\u009bthree\n", "\x1b[91mred\x1b[0m\n", "10%\r20%\r30%\r\nno end"} {
		s.wrote("1", []byte(part))
	}
	s.failed("1", "RUN \x1b[2J\nmore")
	if got := strings.Join(*said, "|"); got != "  RUN ?[2J …|    one|    two ?]0;evil?|    ?three|    red|    30%|    no end" {
		t.Errorf("%q", got)
	}
}

func TestOnlyTheEndOfALogIsTold(t *testing.T) {
	s, said := heard()
	for i := range 1000 {
		s.wrote("1", fmt.Appendf(nil, "line %d\n", i))
	}
	if len(*said) != 0 {
		t.Errorf("before it failed: %q", *said)
	}
	s.failed("1", "RUN x")
	if len(*said) != 1+lastLines || (*said)[lastLines] != "    line 999" {
		t.Errorf("%q", *said)
	}
}

func TestALineWithoutAnEndIsKeptInPieces(t *testing.T) {
	s, _ := heard()
	for range 100 {
		s.wrote("1", []byte(strings.Repeat("x", maxLine)))
	}
	if l := s.logs["1"]; len(l.lines) > lastLines || len(l.open) > maxLine {
		t.Errorf("%d lines and %d bytes are kept", len(l.lines), len(l.open))
	}
}

func TestTheClassicBuildersWords(t *testing.T) {
	for name, c := range map[string]struct{ stream, want string }{
		"nothing is told of what is in the cache": {
			"Step 1/3 : FROM x\n ---> 914e\nStep 2/3 : RUN a\n ---> Using cache\n ---> 0b87\nStep 3/3 : COPY a /a\n ---> Using cache\n ---> 0b34\nSuccessfully built 0b34\nSuccessfully tagged a:b\n", "",
		},
		"a step that runs is told once, without its log": {
			"Step 1/2 : FROM x\n ---> 914e\nStep 2/2 : RUN a\n ---> Running in aa20\nhello\nRemoving intermediate container aa20\n ---> 0b87\nSuccessfully built 0b87\n", "  Step 2/2 : RUN a",
		},
		"a copy that is new is told": {
			"Step 1/2 : FROM x\n ---> 914e\nStep 2/2 : COPY a /a\n ---> 0b34\n", "  Step 2/2 : COPY a /a",
		},
		"so are Podman's": {
			"STEP 1/3: FROM x\nSTEP 2/3: RUN a\n--> Using cache 0b87\n--> 0b87\nSTEP 3/3: RUN b\nhello\n--> 0b88\nCOMMIT a:b\n", "  STEP 3/3: RUN b",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, said := heard()
			if err := (&classicLog{steps: s}).read(strings.NewReader(messages(c.stream))); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(*said, "|"); got != c.want {
				t.Errorf("%q", got)
			}
		})
	}
	t.Run("a step that fails tells the end of its log", func(t *testing.T) {
		s, said := heard()
		stream := messages("Step 1/1 : RUN a\n ---> Running in aa\n\x1b[91mbad\n\x1b[0mRemoving intermediate container aa\n") + `{"error":"it returned a non-zero code: 1"}`
		err := (&classicLog{steps: s}).read(strings.NewReader(stream))
		if err == nil || !strings.Contains(err.Error(), "non-zero code") || strings.Join(*said, "|") != "  Step 1/1 : RUN a|    bad" {
			t.Errorf("%q, %v", *said, err)
		}
	})
	t.Run("a base image that is fetched is told", func(t *testing.T) {
		s, said := heard()
		stream := messages("Step 1/1 : FROM x\n") + `{"status":"Downloading","progressDetail":{"current":1,"total":2},"id":"a"}` + `{"status":"Downloading"}`
		if err := (&classicLog{steps: s}).read(strings.NewReader(stream)); err != nil || strings.Join(*said, "|") != "  Step 1/1 : FROM x" {
			t.Errorf("%q, %v", *said, err)
		}
	})
}

// messages are a stream as the engine sends it, cut where no line ends.
func messages(stream string) string {
	var all strings.Builder
	for len(stream) > 0 {
		n := min(7, len(stream))
		fmt.Fprintf(&all, "{\"stream\":%q}\n", strings.ReplaceAll(stream[:n], "\x1b", "\u001b"))
		stream = stream[n:]
	}
	return strings.ReplaceAll(all.String(), `\x1b`, `\u001b`)
}

// vertex is one of BuildKit's steps, as its StatusResponse has it.
func vertex(digest, name string, cached, started bool, failed string) []byte {
	v := appendBytes(appendBytes(nil, 1, digest), 3, name)
	if cached {
		v = appendNumber(v, 4, 1)
	}
	if started {
		v = appendBytes(v, 5, "")
	}
	if failed != "" {
		v = appendBytes(v, 7, failed)
	}
	return appendBytes(nil, 1, v)
}

func TestBuildKitsWords(t *testing.T) {
	layer := appendBytes(nil, 2, appendNumber(appendBytes(nil, 2, "base"), 5, 100))
	said := func(digest, text string) []byte {
		return appendBytes(nil, 3, appendBytes(appendBytes(nil, 1, digest), 4, text))
	}
	always := [][]byte{vertex("i", "[internal] load metadata for x", false, true, ""), vertex("base", "[1/3] FROM x", false, true, "")}
	for name, c := range map[string]struct {
		statuses [][]byte
		want     string
	}{
		"nothing is told of what is in the cache": {
			[][]byte{vertex("a", "[2/3] RUN a", false, false, ""), vertex("a", "[2/3] RUN a", true, true, ""), vertex("e", "exporting to image", false, true, "")}, "",
		},
		"a step that runs is told once, and then the export": {
			[][]byte{vertex("a", "[2/3] RUN a", false, true, ""), said("a", "hello\n"), vertex("a", "[2/3] RUN a", false, true, ""), vertex("e", "exporting to image", false, true, "")},
			"  [2/3] RUN a|  exporting to image",
		},
		"a base image that is fetched is told": {[][]byte{layer}, "  [1/3] FROM x"},
		"a step that fails tells the end of its log, and those that end because of it do not": {
			[][]byte{
				vertex("a", "[2/3] RUN a", false, true, ""), said("a", "bad\n"), vertex("b", "[3/3] RUN b", false, true, "context canceled"),
				vertex("a", "[2/3] RUN a", false, true, "exit code: 1"),
			},
			"  [2/3] RUN a|    bad",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, told := heard()
			var stream strings.Builder
			for _, status := range append(always, c.statuses...) {
				fmt.Fprintf(&stream, "{\"id\":\"moby.buildkit.trace\",\"aux\":%q}\n", base64.StdEncoding.EncodeToString(status))
			}
			stream.WriteString(`{"id":"moby.image.id","aux":{"ID":"sha256:00"}}`)
			if err := (&trace{steps: s, names: map[string]string{}}).read(strings.NewReader(stream.String())); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(*told, "|"); got != c.want {
				t.Errorf("%q", got)
			}
		})
	}
	t.Run("a stream that ends without an image is no success", func(t *testing.T) {
		s, _ := heard()
		if err := (&trace{steps: s, names: map[string]string{}}).read(strings.NewReader("")); err == nil {
			t.Error("it was taken for one")
		}
	})
}
