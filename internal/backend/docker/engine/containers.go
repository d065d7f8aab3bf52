package engine

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Container describes a container to make; the fields are the API's.
type Container struct {
	Hostname     string            `json:",omitempty"`
	User         string            `json:",omitempty"`
	AttachStdin  bool              `json:",omitempty"`
	AttachStdout bool              `json:",omitempty"`
	AttachStderr bool              `json:",omitempty"`
	OpenStdin    bool              `json:",omitempty"`
	StdinOnce    bool              `json:",omitempty"`
	Env          []string          `json:",omitempty"`
	Cmd          []string          `json:",omitempty"`
	Entrypoint   []string          `json:",omitempty"`
	Image        string            `json:",omitempty"`
	WorkingDir   string            `json:",omitempty"`
	Labels       map[string]string `json:",omitempty"`
	Healthcheck  *Healthcheck      `json:",omitempty"`
	HostConfig   Host
}

// Healthcheck replaces an image's own.
type Healthcheck struct{ Test []string }

// Host is the part of a container that concerns its host.
type Host struct {
	NetworkMode    string            `json:",omitempty"`
	ReadonlyRootfs bool              `json:",omitempty"`
	CapDrop        []string          `json:",omitempty"`
	CapAdd         []string          `json:",omitempty"`
	SecurityOpt    []string          `json:",omitempty"`
	PidsLimit      int64             `json:",omitempty"`
	Memory         int64             `json:",omitempty"`
	MemorySwap     int64             `json:",omitempty"`
	CPUShares      int64             `json:"CpuShares,omitempty"`
	NanoCPUs       int64             `json:"NanoCpus,omitempty"`
	Tmpfs          map[string]string `json:",omitempty"`
	Mounts         []Mount           `json:",omitempty"`
	LogConfig      *LogConfig        `json:",omitempty"`
	Sysctls        map[string]string `json:",omitempty"`
	IpcMode        string            `json:",omitempty"`
	CgroupnsMode   string            `json:",omitempty"`
	Runtime        string            `json:",omitempty"`
	Init           *bool             `json:",omitempty"`
	AutoRemove     bool              `json:",omitempty"`
}

// LogConfig says where a container's output goes.
type LogConfig struct {
	Type   string
	Config map[string]string `json:",omitempty"`
}

// Mount brings a path or a volume into a container.
type Mount struct {
	Type          string // bind or volume
	Source        string
	Target        string
	ReadOnly      bool           `json:",omitempty"`
	BindOptions   *BindOptions   `json:",omitempty"`
	VolumeOptions *VolumeOptions `json:",omitempty"`
}

// BindOptions of a bind mount.
type BindOptions struct {
	Propagation string `json:",omitempty"`
}

// VolumeOptions of a volume that is made with its first container.
type VolumeOptions struct {
	NoCopy bool              `json:",omitempty"`
	Labels map[string]string `json:",omitempty"`
}

// Create makes a container and returns its id. A name that is taken is a refusal with status 409,
// a missing image one with 404.
func (c *Client) Create(ctx context.Context, name string, spec Container) (string, error) {
	var made struct {
		ID string `json:"Id"`
	}
	err := c.call(ctx, http.MethodPost, "/containers/create?name="+url.QueryEscape(name), spec, &made)
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusInternalServerError && strings.Contains(e.Message, "is already in use") {
		e.Status = http.StatusConflict // Podman has one status for all that is wrong
	}
	return made.ID, err
}

// Start runs a container.
func (c *Client) Start(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, "/containers/"+id+"/start", nil, nil)
}

// Remove ends and removes a container with its anonymous volumes. One that is gone is success.
func (c *Client) Remove(ctx context.Context, id string) error {
	remove := func() error { return c.call(ctx, http.MethodDelete, "/containers/"+id+"?force=1&v=1", nil, nil) }
	err := remove()
	if IsStatus(err, http.StatusInternalServerError) { // Podman's word for one that ends just now
		if _, werr := c.Wait(ctx, id, "not-running"); werr == nil {
			err = remove()
		}
	}
	switch {
	case IsStatus(err, http.StatusNotFound):
		return nil
	case IsStatus(err, http.StatusConflict): // somebody else removes it: wait until that is done
		_, err = c.Wait(ctx, id, "removed")
		if IsStatus(err, http.StatusNotFound) {
			return nil
		}
	}
	return err
}

// Found is a container in a list.
type Found struct {
	ID      string `json:"Id"`
	Names   []string
	State   string
	Created int64
	Labels  map[string]string
	ImageID string
}

// List finds containers, running or not, that have all of the labels.
func (c *Client) List(ctx context.Context, labels ...string) ([]Found, error) {
	var found []Found
	err := c.call(ctx, http.MethodGet, "/containers/json?all=1&"+byLabels(labels), nil, &found)
	return found, err
}

// Volume in a list.
type Volume struct {
	Name   string
	Labels map[string]string
}

// Volumes finds volumes that have all of the labels.
func (c *Client) Volumes(ctx context.Context, labels ...string) ([]Volume, error) {
	var found struct{ Volumes []Volume }
	err := c.call(ctx, http.MethodGet, "/volumes?"+byLabels(labels), nil, &found)
	return found.Volumes, err
}

// VolumesNamed finds volumes whose names begin so. Podman gives none of them the labels that it was
// told with a container.
func (c *Client) VolumesNamed(ctx context.Context, prefix string) ([]Volume, error) {
	raw, err := json.Marshal(map[string][]string{"name": {prefix}})
	if err != nil {
		return nil, err
	}
	var found struct{ Volumes []Volume }
	err = c.call(ctx, http.MethodGet, "/volumes?filters="+url.QueryEscape(string(raw)), nil, &found)
	// A filter is a part of the name, or a pattern; who removes what comes back relies on more.
	return slices.DeleteFunc(found.Volumes, func(v Volume) bool { return !strings.HasPrefix(v.Name, prefix) }), err
}

// Holders are the containers, running or not, that have a volume.
func (c *Client) Holders(ctx context.Context, volume string) ([]Found, error) {
	raw, err := json.Marshal(map[string][]string{"volume": {volume}})
	if err != nil {
		return nil, err
	}
	var found []Found
	err = c.call(ctx, http.MethodGet, "/containers/json?all=1&filters="+url.QueryEscape(string(raw)), nil, &found)
	return found, err
}

// RemoveVolume removes a volume. One that is gone is success.
func (c *Client) RemoveVolume(ctx context.Context, name string) error {
	err := c.call(ctx, http.MethodDelete, "/volumes/"+url.PathEscape(name), nil, nil)
	if IsStatus(err, http.StatusNotFound) {
		return nil
	}
	return err
}

// Wait returns a container's exit code when it has reached the condition: not-running, next-exit
// or removed.
func (c *Client) Wait(ctx context.Context, id, condition string) (int, error) {
	var ended struct{ StatusCode int }
	err := c.call(ctx, http.MethodPost, "/containers/"+id+"/wait?condition="+condition, nil, &ended)
	return ended.StatusCode, err
}

// Attach takes over the standard streams of a container that is not running yet. What the
// container says on its standard error goes to errs as it is read.
func (c *Client) Attach(ctx context.Context, id string, errs io.Writer) (net.Conn, error) {
	raw, reader, err := c.hijack(ctx, "/containers/"+id+"/attach?stream=1&stdin=1&stdout=1&stderr=1", "tcp", nil)
	if err != nil {
		return nil, err
	}
	return &streams{Conn: raw, from: reader, errs: errs}, nil
}

// hijack makes a request after whose answer the connection speaks another protocol. What was
// read of that already is in the reader.
func (c *Client) hijack(ctx context.Context, path, protocol string, head http.Header) (net.Conn, *bufio.Reader, error) {
	base, err := c.base(ctx)
	if err != nil {
		return nil, nil, err
	}
	var d net.Dialer
	raw, err := d.DialContext(ctx, "unix", c.socket)
	if err != nil {
		return nil, nil, c.unreachable(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	reader := bufio.NewReader(raw)
	if err := upgrade(raw, reader, base+path, protocol, head); err != nil {
		_ = raw.Close()
		return nil, nil, err
	}
	return raw, reader, nil
}

func upgrade(raw net.Conn, reader *bufio.Reader, path, protocol string, head http.Header) error {
	var ask bytes.Buffer
	fmt.Fprintf(&ask, "POST %s HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\nUpgrade: %s\r\nContent-Length: 0\r\n", path, protocol)
	if err := head.Write(&ask); err != nil {
		return err
	}
	ask.WriteString("\r\n")
	if _, err := raw.Write(ask.Bytes()); err != nil {
		return err
	}
	resp, err := http.ReadResponse(reader, &http.Request{Method: http.MethodPost})
	if err != nil {
		return fmt.Errorf("cannot attach: %w", err)
	}
	if resp.StatusCode >= 400 {
		return refusal(resp)
	}
	_ = resp.Body.Close() // of 101 and of podman's 200 there is none that is not the stream
	return nil
}

// streams is an attached container: what is written is its input, what is read its output.
type streams struct {
	net.Conn
	from *bufio.Reader
	errs io.Writer

	mu   sync.Mutex // one reader at a time
	left int        // of the current frame of output
}

// Read takes the engine's frames apart: a kind, three zeros, four bytes of size.
func (s *streams) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.left == 0 {
		var head [8]byte
		if _, err := io.ReadFull(s.from, head[:]); err != nil {
			return 0, io.EOF
		}
		size := int(binary.BigEndian.Uint32(head[4:]))
		switch head[0] {
		case 1:
			s.left = size
		case 2:
			if _, err := io.CopyN(s.errs, s.from, int64(size)); err != nil {
				return 0, io.EOF
			}
		default:
			return 0, fmt.Errorf("cannot read the container's output: a frame of kind %d", head[0])
		}
	}
	n, err := s.from.Read(p[:min(len(p), s.left)])
	s.left -= n
	return n, err
}
