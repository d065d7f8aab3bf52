package dlp

import "bytes"

// digests are the forms in which lock files hold what a package's bytes come to: a name, and base64 of just
// so many bytes.
var digests = []struct {
	name  string
	bytes int
}{
	{"sha512-", 64}, {"sha384-", 48}, {"sha256-", 32}, {"sha1-", 20}, {"h1:", 32},
}

// digest reports whether a piece is a digest as lock files hold it. Nothing reads on from one piece to the
// next across its name, which is no part of any number, at a place that is no multiple of four digits, and
// its padding; what it holds by itself is found where it stands. So it is left out of what is glued.
func digest(piece []byte) bool {
	for _, d := range digests {
		if !bytes.HasPrefix(piece, []byte(d.name)) {
			continue
		}
		value := piece[len(d.name):]
		full := d.bytes / 3 * 4
		if d.bytes%3 == 0 || len(value) != full+4 || value[len(value)-1] != '=' {
			return false
		}
		value = bytes.TrimRight(value, "=")
		if len(value) != full+d.bytes%3+1 {
			return false
		}
		for _, b := range value {
			if class[b]&in64 == 0 {
				return false
			}
		}
		return true
	}
	return false
}

// unnamed is where the digits of a run begin that may be a digest: behind its name.
func unnamed(p []byte, lo, hi int) int {
	if digest(p[lo:min(len(p), hi+1)]) || digest(p[lo:min(len(p), hi+2)]) {
		return lo + bytes.IndexByte(p[lo:hi], '-') + 1
	}
	return lo
}
