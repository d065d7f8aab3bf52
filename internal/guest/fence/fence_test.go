package fence

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/host"
	"github.com/bot-bottle/bot-bottle/internal/need"
)

// The test binary is also the process that fences itself in.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "landlocked" {
		os.Exit(landlocked(os.Args[2], os.Args[3]))
	}
	os.Exit(m.Run())
}

func landlocked(writable, other string) int {
	abi, err := Landlock(writable)
	if err == nil && abi > 0 {
		err = os.WriteFile(filepath.Join(writable, "f"), []byte("x"), 0o600)
	}
	if err != nil {
		fmt.Println("inside:", err)
		return 1
	}
	err = os.WriteFile(filepath.Join(other, "f"), []byte("x"), 0o600)
	if errors.Is(err, unix.EACCES) {
		fmt.Println("held")
	} else {
		fmt.Println("outside:", err)
	}
	return 0
}

func TestLandlockConfinesWriting(t *testing.T) {
	if host.Gather().Landlock == 0 {
		need.Require(t, need.Native, errors.New("the kernel has no Landlock"))
	}
	out, err := exec.Command("/proc/self/exe", "landlocked", t.TempDir(), t.TempDir()).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "held" {
		t.Errorf("%s %v", out, err)
	}
}
