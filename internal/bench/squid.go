package bench

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// squid is Debian's squid-openssl as an explicit proxy that opens TLS, without a cache and
// without a log. It refuses to run as root, so its directory is its own user's.
func (w *world) squid(ctx context.Context, up upstreamIs) (*way, error) {
	program, helper := "/usr/sbin/squid", "/usr/lib/squid/security_file_certgen"
	for _, path := range []string{program, helper} {
		if _, err := os.Stat(path); err != nil {
			return nil, errors.New("squid: squid-openssl is not installed")
		}
	}
	_, to, err := net.SplitHostPort(up.Addr)
	if err != nil {
		return nil, err
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bot-bottle-bench-squid-*")
	if err != nil {
		return nil, err
	}
	w.undo = append(w.undo, func() error { return os.RemoveAll(dir) })
	as, err := squidUser()
	if err != nil {
		return nil, err
	}
	if err := squidFiles(dir, up.CA, port, helper); err != nil {
		return nil, err
	}
	if as != nil {
		if err := giveAway(dir, as); err != nil {
			return nil, err
		}
	}
	var said bytes.Buffer
	under := func(args ...string) *exec.Cmd {
		c := exec.CommandContext(ctx, args[0], args[1:]...)
		c.Dir, c.Stdout, c.Stderr = dir, &said, &said
		c.SysProcAttr = &syscall.SysProcAttr{Credential: as}
		return c
	}
	if err := under(helper, "-c", "-s", filepath.Join(dir, "certificates"), "-M", "4MB").Run(); err != nil {
		return nil, fmt.Errorf("squid: cannot make its store of certificates: %w: %s", err, lastLine(said.String()))
	}
	c := under(program, "-N", "-f", filepath.Join(dir, "squid.conf"))
	if err := c.Start(); err != nil {
		return nil, err
	}
	w.undo = append(w.undo, func() error { return stopProcess(c) })
	proxy := "127.0.0.1:" + strconv.Itoa(port)
	if err := answersOn(ctx, proxy); err != nil {
		return nil, fmt.Errorf("squid: %w: %s", err, lastLine(said.String()))
	}
	return &way{
		name: "squid", pid: c.Process.Pid, h1: true,
		note: strings.TrimPrefix(firstLine(ctx, program, "-v"), "Squid Cache: ") + " from Debian (squid-openssl) as explicit proxy, ssl-bump, no cache, no log; it speaks HTTP/1.1 only",
		client: func(ctx context.Context, args ...string) *exec.Cmd {
			return exec.CommandContext(ctx, w.self, append([]string{"load", "-url", "https://" + net.JoinHostPort(benchHost, to), "-proxy", "http://" + proxy,
				"-roots", filepath.Join(dir, "ca.pem")}, args...)...)
		},
	}, nil
}

// squidUser is whom it runs as where the caller is root, else nil.
func squidUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // no other user
	}
	u, err := user.Lookup("proxy")
	if err != nil {
		return nil, fmt.Errorf("squid: %w", err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err1, err2)
}

// giveAway makes a directory and the files in it another user's.
func giveAway(dir string, to *syscall.Credential) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := os.Lchown(filepath.Join(dir, f.Name()), int(to.Uid), int(to.Gid)); err != nil {
			return err
		}
	}
	return os.Lchown(dir, int(to.Uid), int(to.Gid))
}

// squidFiles writes its authority and its configuration.
func squidFiles(dir, upstreamCA string, port int, helper string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench squid"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})
	config := fmt.Sprintf(`http_port 127.0.0.1:%d ssl-bump generate-host-certificates=on dynamic_cert_mem_cache_size=4MB tls-cert=%[2]s/both.pem
sslcrtd_program %[3]s -s %[2]s/certificates -M 4MB
sslcrtd_children 2 startup=2
hosts_file %[2]s/hosts
tls_outgoing_options cafile=%[2]s/upstream.pem
ssl_bump bump all
http_access allow all
cache deny all
cache_mem 0
access_log none
cache_log /dev/null
cache_store_log none
pid_filename none
coredump_dir %[2]s
visible_hostname bench
shutdown_lifetime 0 seconds
pinger_enable off
`, port, dir, helper)
	for name, text := range map[string]string{
		"ca.pem": string(ca), "both.pem": string(ca) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
		"hosts": "127.0.0.1 " + benchHost + "\n", "upstream.pem": upstreamCA, "squid.conf": config,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}
