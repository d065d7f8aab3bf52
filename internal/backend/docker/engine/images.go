package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// HasImage tells whether an image is there.
func (c *Client) HasImage(ctx context.Context, ref string) (bool, error) {
	err := c.call(ctx, http.MethodGet, "/images/"+ref+"/json", nil, nil)
	if IsStatus(err, http.StatusNotFound) {
		return false, nil
	}
	return err == nil, err
}

// ImageID is the content's own name of an image.
func (c *Client) ImageID(ctx context.Context, ref string) (string, error) {
	var i struct {
		ID string `json:"Id"`
	}
	err := c.call(ctx, http.MethodGet, "/images/"+ref+"/json", nil, &i)
	return i.ID, err
}

// Image in a list. Size counts what it shares with others too.
type Image struct {
	ID       string `json:"Id"`
	RepoTags []string
	Labels   map[string]string
	Size     int64
}

// Images finds images, but for those between two lines of a Dockerfile, that have all of the labels.
func (c *Client) Images(ctx context.Context, labels ...string) ([]Image, error) {
	var found []Image
	err := c.call(ctx, http.MethodGet, "/images/json?"+byLabels(labels), nil, &found)
	return found, err
}

// Tag gives an image one more name.
func (c *Client) Tag(ctx context.Context, image, repo, tag string) error {
	return c.call(ctx, http.MethodPost, "/images/"+image+"/tag?"+url.Values{"repo": {repo}, "tag": {tag}}.Encode(), nil, nil)
}

// RemoveImage takes a name from an image, and with its last name the image. One that is gone is
// success; what a container uses is a refusal with status 409.
func (c *Client) RemoveImage(ctx context.Context, ref string) error {
	err := c.call(ctx, http.MethodDelete, "/images/"+ref, nil, nil)
	if IsStatus(err, http.StatusNotFound) {
		return nil
	}
	return err
}

// PutArchive unpacks a tar stream into a container, which need not run, with its owners and modes.
func (c *Client) PutArchive(ctx context.Context, id, dir string, tar io.Reader) error {
	base, err := c.base(ctx)
	if err != nil {
		return err
	}
	resp, err := c.send(ctx, http.MethodPut, base+"/containers/"+id+"/archive?path="+url.QueryEscape(dir), tar, http.Header{"Content-Type": {"application/x-tar"}})
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}

// Commit makes an image of what a container has been given. Changes are lines of a Dockerfile.
func (c *Client) Commit(ctx context.Context, id, repo, tag string, changes []string) error {
	query := url.Values{"container": {id}, "repo": {repo}, "tag": {tag}, "changes": {strings.Join(changes, "\n")}}
	return c.call(ctx, http.MethodPost, "/commit?"+query.Encode(), struct{}{}, nil) // Podman reads a body even where it says nothing
}

// ImportImage makes an image of one layer from a tar stream. Changes are lines of a Dockerfile.
func (c *Client) ImportImage(ctx context.Context, repo, tag string, changes []string, tar io.Reader) error {
	// The tag goes along with the repository: Podman knows it there only.
	query := url.Values{"fromSrc": {"-"}, "repo": {repo + ":" + tag}, "changes": changes}
	return c.progress(ctx, "/images/create?"+query.Encode(), tar)
}

// progress reads an answer that is a stream of messages, the last of which may be an error.
func (c *Client) progress(ctx context.Context, path string, tar io.Reader) error {
	base, err := c.base(ctx)
	if err != nil {
		return err
	}
	resp, err := c.send(ctx, http.MethodPost, base+path, tar, http.Header{"Content-Type": {"application/x-tar"}})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	d := json.NewDecoder(bufio.NewReader(resp.Body))
	for {
		var m struct {
			Error string `json:"error"`
		}
		switch err := d.Decode(&m); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("cannot read the engine's progress: %w", err)
		case m.Error != "":
			return errors.New(m.Error)
		}
	}
}
