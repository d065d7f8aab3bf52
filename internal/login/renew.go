package login

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"golang.org/x/sys/unix"
)

// Way is how an issuer is reached where the plain way does not do.
type Way struct {
	ConnectTo string // dial here; the name and the certificate check stay
	CA        string // PEM, trusted besides the system's roots
}

// renewTime bounds one renewal.
const renewTime = 30 * time.Second

// Renew exchanges the file's refresh token for a new login and writes it back, unless the file has
// another token than was: then somebody else has renewed it, and that is the answer. Renewals of
// several bottles wait for each other; a harness on the host does not know of that, so a refusal
// is looked at again with the file of then.
func (f Format) Renew(ctx context.Context, file string, was secret.String, way Way) (Login, error) {
	ctx, cancel := context.WithTimeout(ctx, renewTime)
	defer cancel()
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real // so that a link stays one
	}
	unlock, err := lock(ctx, filepath.Dir(file))
	if err != nil {
		return Login{}, fault.New(fault.Internal, "cannot renew the login of %s: %w", f.Name, err)
	}
	defer unlock()
	now, err := f.Read(file)
	if err != nil || now.Access.Reveal() != was.Reveal() {
		return now, err
	}
	if !now.Renewable {
		return Login{}, fault.WithHint(fault.New(fault.Invalid, "cannot renew the login of %s: %s has no refresh token", f.Name, file), "%s", f.logIn)
	}
	got, err := f.exchange(ctx, now.Refresh, way)
	if err != nil {
		if again, rerr := f.Read(file); rerr == nil && again.Access.Reveal() != was.Reveal() {
			return again, nil
		}
		return Login{}, err
	}
	if err := f.writeBack(file, got); err != nil {
		return Login{}, fault.New(fault.Internal, "cannot keep the renewed login of %s in %s: %w", f.Name, file, err)
	}
	return f.Read(file)
}

func (f Format) exchange(ctx context.Context, refresh secret.String, way Way) (answer, error) {
	failed := func(err error) error {
		return fault.WithHint(fault.New(fault.Unavailable, "cannot renew the login of %s at %s: %w", f.Name, f.Issuer, err), "%s", f.logIn)
	}
	client, err := way.client()
	if err != nil {
		return answer{}, failed(err)
	}
	defer client.CloseIdleConnections()
	body, err := json.Marshal(map[string]string{"grant_type": "refresh_token", "client_id": f.client, "refresh_token": refresh.Reveal()})
	if err != nil {
		return answer{}, failed(err)
	}
	defer clear(body)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+f.Issuer+f.tokenPath, bytes.NewReader(body))
	if err != nil {
		return answer{}, failed(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return answer{}, failed(plain(err))
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxFile))
	if err != nil {
		return answer{}, failed(err)
	}
	defer clear(raw)
	if response.StatusCode != http.StatusOK {
		return answer{}, failed(refused(response.Status, raw))
	}
	var a answer
	if json.Unmarshal(raw, &a) != nil || a.AccessToken == "" || !oneLine(a.AccessToken) {
		return answer{}, failed(errors.New("the answer has no token"))
	}
	return a, nil
}

// refused repeats of an issuer's answer nothing but a code of the known form (RFC 6749 section 5.2).
func refused(status string, raw []byte) error {
	var e struct {
		Error json.RawMessage `json:"error"`
	}
	var code string
	if json.Unmarshal(raw, &e) == nil && json.Unmarshal(e.Error, &code) != nil {
		var inner struct {
			Code string `json:"code"`
		}
		if json.Unmarshal(e.Error, &inner) == nil {
			code = inner.Code
		}
	}
	if regexp.MustCompile(`^[a-z_]{1,40}$`).MatchString(code) {
		status += " " + code
	}
	return errors.New("it answered " + status)
}

// plain leaves the URL out, which the message has already.
func plain(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

func (w Way) client() (*http.Client, error) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	if w.CA != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM([]byte(w.CA)) {
			return nil, errors.New("its upstream_ca holds no certificate")
		}
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	}
	if w.ConnectTo != "" {
		transport.Proxy = nil
		dialer := &net.Dialer{}
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, w.ConnectTo)
		}
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// writeBack replaces the file in one step; a reader sees the old or the new one, its owner alone.
func (f Format) writeBack(file string, a answer) error {
	raw, err := readFile(file)
	if err != nil {
		return err
	}
	defer clear(raw)
	merged, err := f.merge(raw, a, time.Now())
	if err != nil {
		return err
	}
	defer clear(merged)
	tmp, err := os.CreateTemp(filepath.Dir(file), ".bot-bottle-*") // mode 0600
	if err != nil {
		return reason(err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already where all went well
	_, err = tmp.Write(append(merged, '\n'))
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}

// lock waits for the directory's lock, which ends with the process at the latest.
func lock(ctx context.Context, dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, reason(err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = d.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(err, d.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(errors.New("another renewal does not end"), d.Close())
		case <-tick.C:
		}
	}
}
