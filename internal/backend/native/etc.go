package native

import (
	"fmt"
	"path/filepath"

	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// shownEtc is what programs read below /etc and what tells nothing about this host or its users:
// no accounts, keys, machine id, or settings that may hold a token.
func shownEtc() []string {
	return []string{
		"alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "timezone",
		"os-release", "lsb-release", "debian_version", "fedora-release", "redhat-release", "alpine-release",
		"ca-certificates", "ca-certificates.conf", "crypto-policies", "ssl/openssl.cnf", "ssl/certs/java", "pki/java", "gnutls",
		"java*", ".java", "python3*", "perl", "ruby", "php", "lua", "R", "maven/m2.conf", "maven/logging",
		"fonts", "ImageMagick-*", "terminfo", "inputrc", "mime.types", "magic", "magic.mime",
		"services", "protocols", "rpc", "ethertypes", "networks", "gai.conf", "host.conf",
		"locale.alias", "locale.conf", "bash.bashrc", "bash_completion.d", "profile", "skel",
		"vim", "nanorc", "less", "lesskey", "login.defs", "shells", "mke2fs.conf", "X11/rgb.txt", "texmf", "emacs",
	}
}

// etc is the bottle's own /etc: accounts and names that are its own, and a choice of the host's.
func (v *view) etc(p *plan.Plan) {
	for _, pattern := range shownEtc() {
		found, err := filepath.Glob("/etc/" + pattern)
		if err != nil { // only a malformed pattern
			panic(err)
		}
		for _, path := range found {
			v.show(path)
		}
	}
	name := string(p.ID)
	v.setup.Links = append(v.setup.Links, wire.Link{Path: "/etc/mtab", To: "/proc/self/mounts"})
	v.setup.Files = append(v.setup.Files,
		wire.File{Path: "/etc/passwd", Content: fmt.Sprintf("root:x:0:0:root:/:/usr/sbin/nologin\n%s:x:%d:%d::%s:/bin/bash\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n", plan.User, plan.UID, plan.UID, plan.Home)},
		wire.File{Path: "/etc/group", Content: fmt.Sprintf("root:x:0:\n%s:x:%d:\nnogroup:x:65534:\n", plan.User, plan.UID)},
		wire.File{Path: "/etc/hosts", Content: fmt.Sprintf("127.0.0.1 localhost %s\n::1 localhost ip6-localhost ip6-loopback %s\n", name, name)},
		wire.File{Path: "/etc/hostname", Content: name + "\n"},
		wire.File{Path: "/etc/resolv.conf", Content: "nameserver " + plan.SidecarIPv4 + "\noptions timeout:2 attempts:2\n"},
		wire.File{Path: "/etc/nsswitch.conf", Content: "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\nethers: files\nrpc: files\n"},
	)
}
