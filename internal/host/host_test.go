package host

import (
	"strings"
	"testing"
)

// good are the facts of a machine that can.
func good() Facts {
	return Facts{Kernel: Version{6, 8}, Release: "6.8.0", MaxUserNS: 15000, UserNSClone: true, Landlock: 4, Seccomp: true}
}

func TestNamespaces(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*Facts)
		what string // "" where nothing is wrong
		fix  string
	}{
		{"a good machine", func(*Facts) {}, "", ""},
		{"an old kernel", func(f *Facts) { f.Kernel, f.Release = Version{5, 10}, "5.10.0-30" }, "5.10.0-30", "upgrade"},
		{"none in the kernel", func(f *Facts) { f.MaxUserNS = -1 }, "no user namespaces", "CONFIG_USER_NS"},
		{"none allowed", func(f *Facts) { f.MaxUserNS = 0 }, "max_user_namespaces", "sysctl -w user.max_user_namespaces="},
		{"Debian's switch", func(f *Facts) { f.UserNSClone = false }, "unprivileged_userns_clone", "sysctl -w kernel.unprivileged_userns_clone=1"},
		{"Ubuntu's AppArmor", func(f *Facts) { f.AppArmorUserNS = true }, "AppArmor", "apparmor_parser -r /etc/apparmor.d/bot-bottle"},
		{"Ubuntu's AppArmor for root", func(f *Facts) { f.AppArmorUserNS, f.Root = true, true }, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := good()
			c.edit(&f)
			p, found := f.Namespaces()
			if found != (c.what != "") || !strings.Contains(p.What, c.what) || !strings.Contains(p.Fix, c.fix) {
				t.Errorf("%v %+v", found, p)
			}
		})
	}
}

func TestParseVersion(t *testing.T) {
	for in, want := range map[string]Version{"6.8.0-31-generic": {6, 8}, "5.14": {5, 14}, "": {}, "x": {}} {
		if got := ParseVersion(in); got != want {
			t.Errorf("%q: %v", in, got)
		}
	}
}

func TestGatherReadsThisMachine(t *testing.T) {
	f := Gather()
	if f.Kernel == (Version{}) || f.Release == "" {
		t.Errorf("%+v", f)
	}
}
