package docker_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/build"
	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// registryServer is a registry on loopback with one small image under two names, of which one needs a
// login. Like Docker's own it wants a token for both.
type registryServer struct {
	*httptest.Server
	user, password string
	blobs          map[string][]byte
	manifest       []byte
}

func newRegistry(t *testing.T) *registryServer {
	t.Helper()
	r := &registryServer{user: "team", password: strings.Join([]string{"p4ss", "w0rd"}, "-"), blobs: map[string][]byte{}}
	var layer, packed bytes.Buffer
	w := tar.NewWriter(&layer)
	// Of each test its own, so that no cache has it.
	text := []byte(t.Name() + t.TempDir())
	must(t, w.WriteHeader(&tar.Header{Name: "of-registry", Mode: 0o644, Size: int64(len(text))}))
	_, err := w.Write(text)
	must(t, err)
	must(t, w.Close())
	z := gzip.NewWriter(&packed)
	_, err = z.Write(layer.Bytes())
	must(t, err)
	must(t, z.Close())
	config, err := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux", "config": map[string]any{}, "history": []any{map[string]any{"created_by": "test"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest(layer.Bytes())}},
	})
	must(t, err)
	const kind = "application/vnd.docker."
	r.manifest, err = json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": kind + "distribution.manifest.v2+json", "config": r.blob(kind+"container.image.v1+json", config),
		"layers": []any{r.blob(kind+"image.rootfs.diff.tar.gzip", packed.Bytes())},
	})
	must(t, err)
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (r *registryServer) blob(kind string, content []byte) map[string]any {
	r.blobs[digest(content)] = content
	return map[string]any{"mediaType": kind, "size": len(content), "digest": digest(content)}
}

func (r *registryServer) host() string { return strings.TrimPrefix(r.URL, "http://") }

// ServeHTTP is what a registry has to say to who pulls, and where it sends them for a token.
func (r *registryServer) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if q.URL.Path == "/token" {
		scope := q.FormValue("scope")
		user, password, _ := q.BasicAuth()
		if q.Method == http.MethodPost {
			user, password = q.FormValue("username"), q.FormValue("password")
		}
		if strings.Contains(scope, "private") && (user != r.user || password != r.password) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, `{"token":%q,"access_token":%q,"expires_in":300}`, "t."+scope, "t."+scope)
		return
	}
	repo, _, _ := strings.Cut(strings.TrimPrefix(q.URL.Path, "/v2/"), "/")
	if auth := q.Header.Get("Authorization"); !strings.HasPrefix(auth, "Bearer t.") || !strings.Contains(auth, repo) {
		scope := ""
		if repo != "" {
			scope = `,scope="repository:` + repo + `/base:pull"`
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+r.URL+`/token",service="test"`+scope)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	switch {
	case strings.Contains(q.URL.Path, "/manifests/"):
		w.Header().Set("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
		w.Header().Set("Docker-Content-Digest", digest(r.manifest))
		w.Header().Set("Content-Length", fmt.Sprint(len(r.manifest)))
		_, _ = w.Write(r.manifest)
	case strings.Contains(q.URL.Path, "/blobs/"):
		content := r.blobs[q.URL.Path[strings.LastIndexByte(q.URL.Path, '/')+1:]]
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = w.Write(content)
	}
}

func TestABaseImageIsFetched(t *testing.T) {
	for name, choice := range builders() {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t)
			login := func(password string) map[string]string {
				auth := base64.StdEncoding.EncodeToString([]byte(r.user + ":" + password))
				return map[string]string{
					"DOCKER_BUILDKIT": choice,
					"DOCKER_CONFIG":   folder(t, map[string]string{"config.json": fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, r.host(), auth)}),
				}
			}
			from := func(repo string) build.Request {
				return build.Request{Dockerfile: "FROM " + r.host() + "/" + repo + "/base:1\nCOPY a /a\n", Dir: folder(t, map[string]string{"a": "a"})}
			}
			t.Run("from a private repository not as nobody", func(t *testing.T) {
				said, err := made(limited(t), t, map[string]string{"DOCKER_BUILDKIT": choice}, from("private"))
				if err == nil || !strings.Contains(fault.HintOf(err), "docker login") {
					t.Errorf("%v, hint %q\n%s", err, fault.HintOf(err), said)
				}
			})
			t.Run("nor with a wrong login", func(t *testing.T) {
				if said, err := made(limited(t), t, login("wrong"), from("private")); err == nil || strings.Contains(said+err.Error(), r.password) {
					t.Errorf("%v\n%s", err, said)
				}
			})
			t.Run("but with docker's login", func(t *testing.T) {
				said, err := made(limited(t), t, login(r.password), from("private"))
				if err != nil || !strings.Contains(said, "FROM "+r.host()) || !strings.Contains(said, "COPY a /a") || strings.Contains(said, r.password) {
					t.Errorf("%v\n%s", err, said)
				}
			})
			t.Run("and from a public one without", func(t *testing.T) {
				if said, err := made(limited(t), t, map[string]string{"DOCKER_BUILDKIT": choice}, from("public")); err != nil {
					t.Errorf("%v\n%s", err, said)
				}
			})
		})
	}
}
