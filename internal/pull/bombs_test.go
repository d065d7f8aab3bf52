package pull_test

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// deltaBomb is a pack of some kilobytes with an object of size bytes in it.
func deltaBomb(size uint64) []byte {
	packed := func(p []byte) []byte {
		var out bytes.Buffer
		w := zlib.NewWriter(&out)
		_, _ = w.Write(p)
		_ = w.Close()
		return out.Bytes()
	}
	header := func(kind, n uint64) []byte {
		b := []byte{byte(kind<<4 | n&15)}
		for n >>= 4; n > 0; n >>= 7 {
			b[len(b)-1] |= 0x80
			b = append(b, byte(n&0x7f))
		}
		return b
	}
	varint := func(n uint64) []byte { return binary.AppendUvarint(nil, n) }
	base := bytes.Repeat([]byte{0}, 1<<20)
	var pack bytes.Buffer
	pack.WriteString("PACK")
	_ = binary.Write(&pack, binary.BigEndian, []uint32{2, 2})
	start := pack.Len()
	pack.Write(header(3, uint64(len(base))))
	pack.Write(packed(base))
	delta := append(varint(uint64(len(base))), varint(size)...)
	for left := size; left > 0; {
		n := min(left, 0xffffff)
		delta = append(delta, 0x80|0x10|0x20|0x40, byte(n), byte(n>>8), byte(n>>16)) // copy n bytes from 0
		left -= n
	}
	offset := uint64(pack.Len() - start)
	pack.Write(header(6, uint64(len(delta))))
	back := []byte{byte(offset & 0x7f)}
	for offset >>= 7; offset > 0; offset >>= 7 {
		offset--
		back = append([]byte{byte(offset&0x7f) | 0x80}, back...)
	}
	pack.Write(back)
	pack.Write(packed(delta))
	sum := sha1.Sum(pack.Bytes())
	pack.Write(sum[:])
	return pack.Bytes()
}

func TestAPackThatUnpacksToGigabytesIsRefused(t *testing.T) {
	w := newWorld(t)
	if err := os.MkdirAll(filepath.Join(w.agent, ".git", "objects", "pack"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.write(w.agent, ".git/objects/pack/pack-"+strings.Repeat("b", 40)+".pack", string(deltaBomb(6<<30)))
	if _, err := w.take(); !fault.Is(err, fault.Denied) {
		t.Errorf("got %v", err)
	}
}

func TestBranchesWhoseNamesDoNotShowAreLeft(t *testing.T) {
	w := newWorld(t)
	w.write(w.agent, "x", "x\n")
	w.git(w.agent, "add", ".")
	w.git(w.agent, "commit", "-qm", "x")
	id := w.git(w.agent, "rev-parse", "HEAD")
	for _, name := range []string{"x\u009b31mRED\u202egnp", "y\u200b", "line\nbreak", "esc\x1b]0;owned\a"} {
		w.write(w.agent, ".git/refs/heads/"+name, id+"\n")
	}
	work := w.pulled()
	if got := names(work); !slices.Equal(got, []string{"bottle/claude-abcde/main"}) {
		t.Errorf("taken: %q", got)
	}
	if len(work.Left) != 4 || strings.ContainsAny(strings.Join(work.Left, ""), "\x1b\a\n\u009b\u202e") {
		t.Errorf("left: %q", work.Left)
	}
}

func TestNamesThatClashAreToldApart(t *testing.T) {
	w := newWorld(t)
	w.git(w.agent, "commit", "-q", "--allow-empty", "-m", "one")
	w.git(w.agent, "branch", "uncommitted/x")
	w.git(w.agent, "branch", "bottle/claude-abcde/main")
	w.write(w.agent, "loose", "loose\n")
	got := names(w.pulled())
	slices.Sort(got)
	want := []string{"bottle/claude-abcde/main", "bottle/claude-abcde/main-other", "bottle/claude-abcde/uncommitted-work", "bottle/claude-abcde/uncommitted/x"}
	if !slices.Equal(got, want) {
		t.Errorf("taken: %q, want %q", got, want)
	}
	for _, b := range got {
		w.git(w.host, "rev-parse", "--verify", b)
	}
}
