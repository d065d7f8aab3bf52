package e2e_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

const hello = "the upstream says hello"

// saysHello answers with the sentence on every path.
func saysHello() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, hello) })
}

// npmRegistry has one package, "tiny", that holds the sentence.
func npmRegistry(t *testing.T) http.Handler {
	t.Helper()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	w := tar.NewWriter(z)
	for name, text := range map[string]string{"package/package.json": `{"name":"tiny","version":"1.0.0","main":"hello.txt"}`, "package/hello.txt": hello} {
		check(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}))
		_, err := io.WriteString(w, text)
		check(t, err)
	}
	check(t, w.Close())
	check(t, z.Close())
	sum := sha1.Sum(packed.Bytes())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /tiny", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"name":"tiny","dist-tags":{"latest":"1.0.0"},"versions":{"1.0.0":{"name":"tiny","version":"1.0.0",
			"dist":{"tarball":"https://npm.test.example/tiny/-/tiny-1.0.0.tgz","shasum":%q}}}}`, hex.EncodeToString(sum[:]))
	})
	mux.HandleFunc("GET /tiny/-/tiny-1.0.0.tgz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(packed.Bytes()) })
	return mux
}

func zipped(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	for name, text := range files {
		f, err := z.Create(name)
		check(t, err)
		_, err = io.WriteString(f, text)
		check(t, err)
	}
	check(t, z.Close())
	return packed.Bytes()
}

// pythonIndex has one wheel, "tiny".
func pythonIndex(t *testing.T) http.Handler {
	wheel := zipped(t, map[string]string{
		"tiny.py": "print('" + hello + "')\n", "tiny-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
		"tiny-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n", "tiny-1.0.dist-info/RECORD": "",
	})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /simple/tiny/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<a href="/files/tiny-1.0-py3-none-any.whl">tiny-1.0-py3-none-any.whl</a>`)
	})
	mux.HandleFunc("GET /files/tiny-1.0-py3-none-any.whl", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(wheel) })
	return mux
}

// goProxy has one module, test.example/tiny.
func goProxy(t *testing.T) http.Handler {
	const mod = "module test.example/tiny\n\ngo 1.21\n"
	module := zipped(t, map[string]string{"test.example/tiny@v1.0.0/go.mod": mod, "test.example/tiny@v1.0.0/hello.go": "package tiny\n\n// " + hello + "\n"})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /test.example/tiny/@v/v1.0.0.info", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"Version":"v1.0.0","Time":"2026-01-01T00:00:00Z"}`)
	})
	mux.HandleFunc("GET /test.example/tiny/@v/v1.0.0.mod", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, mod) })
	mux.HandleFunc("GET /test.example/tiny/@v/v1.0.0.zip", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(module) })
	return mux
}

// gitServer serves one repository, app.git, by git's own program.
func gitServer(t *testing.T) http.Handler {
	t.Helper()
	root := t.TempDir()
	for _, args := range [][]string{
		{"init", "-q", "-b", "main", root + "/work"},
		{"-C", root + "/work", "-c", "user.name=t", "-c", "user.email=t@test.example", "commit", "-q", "--allow-empty", "-m", hello},
		{"clone", "-q", "--bare", root + "/work", root + "/app.git"},
	} {
		out, err := exec.Command("git", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
	dir, err := exec.Command("git", "--exec-path").Output()
	check(t, err)
	return &cgi.Handler{
		Path: filepath.Join(string(bytes.TrimSpace(dir)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	}
}

// grpcServer answers with the sentence, with five messages, or with each message that it gets as
// soon as it has it; how many it sent and the status are in the trailers.
func grpcServer() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status, Test-Count")
		flush, sent := http.NewResponseController(w), 0
		send := func(text string) {
			sent++
			_, _ = w.Write(append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(text))), text...))
			_ = flush.Flush()
		}
		switch r.URL.Path {
		case "/test.Test/Echo":
			_ = flush.EnableFullDuplex()
			_ = flush.Flush()
			for {
				var head [5]byte
				if _, err := io.ReadFull(r.Body, head[:]); err != nil {
					break
				}
				text := make([]byte, binary.BigEndian.Uint32(head[1:]))
				if _, err := io.ReadFull(r.Body, text); err != nil {
					break
				}
				send(string(text))
			}
		case "/test.Test/Tell":
			_, _ = io.Copy(io.Discard, r.Body)
			for range 5 {
				send(hello)
			}
		default:
			_, _ = io.Copy(io.Discard, r.Body)
			send(hello)
		}
		w.Header().Set("Grpc-Status", "0")
		w.Header().Set("Test-Count", strconv.Itoa(sent))
	})
}

// postgres plays as much of PostgreSQL's protocol as psql needs for one query.
func postgres(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = postgresSession(c)
			}()
		}
	}()
	return l.Addr().String()
}

func postgresSession(c net.Conn) error {
	const sslRequest, gssRequest = 80877103, 80877104
	for {
		var head [8]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return err
		}
		size, code := binary.BigEndian.Uint32(head[:4]), binary.BigEndian.Uint32(head[4:])
		if code == sslRequest || code == gssRequest {
			if _, err := c.Write([]byte("N")); err != nil {
				return err
			}
			continue
		}
		if _, err := io.CopyN(io.Discard, c, int64(size)-8); err != nil {
			return err
		}
		break
	}
	message := func(kind byte, body string) string {
		return string(kind) + string(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))) + body
	}
	ready := message('Z', "I")
	parameter := message('S', "server_version\x0015.0\x00") + message('S', "client_encoding\x00UTF8\x00")
	if _, err := io.WriteString(c, message('R', "\x00\x00\x00\x00")+parameter+ready); err != nil {
		return err
	}
	for {
		var head [5]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(head[1:]))-4); err != nil || head[0] == 'X' {
			return err
		}
		value := string(binary.BigEndian.AppendUint32(nil, uint32(len(hello)))) + hello
		row := message('T', "\x00\x01says\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x19\xff\xff\xff\xff\xff\xff\x00\x00") + message('D', "\x00\x01"+value)
		if _, err := io.WriteString(c, row+message('C', "SELECT 1\x00")+ready); err != nil {
			return err
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
