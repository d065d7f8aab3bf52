package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// way is one way to the upstream, with the process whose work it costs.
type way struct {
	name   string
	pid    int // 0: nobody's
	note   string
	h1     bool  // it speaks nothing newer
	most   int64 // bytes of a large body where it is slow; 0: as many as the others
	client func(context.Context, ...string) *exec.Cmd
}

// load runs the client once.
func (v *way) load(ctx context.Context, args ...string) (out loaded, cpu time.Duration, err error) {
	c := v.client(ctx, args...)
	var said bytes.Buffer
	c.Stderr = &said
	var before, after time.Duration
	if v.pid != 0 {
		if before, err = cpuTime(v.pid); err != nil {
			return out, 0, err
		}
	}
	raw, err := c.Output()
	if err != nil {
		return out, 0, fmt.Errorf("%s: %w: %s", v.name, err, strings.TrimSpace(said.String()))
	}
	if v.pid != 0 {
		if after, err = cpuTime(v.pid); err != nil {
			return out, 0, err
		}
	}
	err = json.Unmarshal(raw, &out)
	return out, after - before, err
}

func measureTraffic(ctx context.Context, w *world, r *report) error {
	up, err := w.upstream(ctx)
	if err != nil {
		return err
	}
	direct := &way{name: "direct", note: "the same client, outside, straight to the same upstream", client: func(ctx context.Context, args ...string) *exec.Cmd {
		return exec.CommandContext(ctx, w.self, append([]string{"load", "-url", "https://" + up.Addr, "-roots", w.path("home/bottles/upstream-ca.pem")}, args...)...)
	}}
	ours, end, err := w.sidecar(ctx)
	if err != nil {
		return err
	}
	defer end()
	ways := []*way{direct, ours}
	for _, peer := range []func(context.Context, upstreamIs) (*way, error){w.mitmproxy, w.squid} {
		theirs, err := peer(ctx, up)
		if err != nil {
			progress("%v", err)
			r.note("Not measured: %s.", err)
			continue
		}
		ways = append(ways, theirs)
	}
	idle, err := memory(ours.pid, "VmRSS")
	if err != nil {
		return err
	}
	if err := errors.Join(w.small(ctx, r, ways), w.fresh(ctx, r, ways)); err != nil {
		return err
	}
	streamed, err := w.large(ctx, r, ways)
	if err != nil {
		return err
	}
	more, err := w.gigabyte(ctx, r, ways)
	if err != nil {
		return err
	}
	if err := w.memoryOf(ctx, r, ours, idle, streamed+more); err != nil {
		return err
	}
	if err := w.sse(ctx, r, ways); err != nil {
		return err
	}
	for _, v := range ways {
		r.note("%s: %s.", v.name, v.note)
	}
	return nil
}

// tally is what one way did over all rounds of one setting.
type tally struct {
	times    sample
	rates    []float64
	requests int
	cpu      time.Duration
}

// speaking leaves out the ways that do not know a protocol.
func speaking(ways []*way, proto string) []*way {
	return slices.DeleteFunc(slices.Clone(ways), func(v *way) bool { return v.h1 && proto != "h1" })
}

// turns lets each way carry the same requests, round by round.
func (w *world) turns(ctx context.Context, ways []*way, args ...string) ([]tally, error) {
	tallies := make([]tally, len(ways))
	for range w.rounds {
		for i, v := range ways {
			out, cpu, err := v.load(ctx, append(args, "-round", w.round.String())...)
			if err != nil {
				return nil, err
			}
			t := &tallies[i]
			t.times = append(t.times, out.Times...)
			t.rates = append(t.rates, float64(len(out.Times))/out.Seconds)
			t.requests, t.cpu = t.requests+out.All, t.cpu+cpu
		}
	}
	return tallies, nil
}

func (t tally) perCore() float64 { return float64(t.requests) / max(t.cpu.Seconds(), 0.01) }

// small is the kept-alive comparison: 1 KB answers, for every protocol and number of clients.
func (w *world) small(ctx context.Context, r *report, ways []*way) error {
	rows := [][]string{{"kept-alive HTTPS, 1 KB", "p50", "p99", "added p50", "requests/s", "requests per second and core of the proxy", "added p50, mitmproxy to sidecar", "per core, sidecar to mitmproxy"}}
	for _, proto := range []string{"h1", "h2"} {
		ways := speaking(ways, proto)
		for _, clients := range []int{1, 16} {
			progress("kept-alive %s, %d clients: %d rounds of %s each, taking turns", proto, clients, w.rounds, w.round)
			tallies, err := w.turns(ctx, ways, "-mode", "small", "-proto", proto, "-clients", strconv.Itoa(clients))
			if err != nil {
				return err
			}
			rows = append(rows, smallRows(fmt.Sprintf("%s, %d", proto, clients), ways, tallies)...)
		}
	}
	r.table("Requests", rows)
	return nil
}

// fresh is the same with a connection for each request: one client, whole handshakes.
func (w *world) fresh(ctx context.Context, r *report, ways []*way) error {
	rows := [][]string{{"a new connection for each request, 1 KB", "p50", "p99", "added p50", "requests per second and core of the proxy"}}
	for _, proto := range []string{"h1", "h2"} {
		ways := speaking(ways, proto)
		progress("new connections %s", proto)
		tallies, err := w.turns(ctx, ways, "-mode", "fresh", "-proto", proto)
		if err != nil {
			return err
		}
		for i, v := range ways {
			row := []string{proto + ": " + v.name, us(tallies[i].times.p50()), us(tallies[i].times.p99()), "", ""}
			if i > 0 {
				row[3], row[4] = us(tallies[i].times.p50()-tallies[0].times.p50()), fmt.Sprintf("%.0f", tallies[i].perCore())
			}
			rows = append(rows, row)
		}
	}
	r.table("New connections", rows)
	return nil
}

// smallRows compares the ways; the second is ours, and mitmproxy the one with a budget.
func smallRows(setting string, ways []*way, tallies []tally) [][]string {
	base := tallies[0].times.p50()
	peer := slices.IndexFunc(ways, func(v *way) bool { return v.name == "mitmproxy" })
	var rows [][]string
	for i, v := range ways {
		t := tallies[i]
		row := []string{setting + ": " + v.name, us(t.times.p50()), us(t.times.p99()), "", fmt.Sprintf("%.0f", median(t.rates)), "", "", ""}
		if i > 0 {
			row[3], row[5] = us(t.times.p50()-base), fmt.Sprintf("%.0f", t.perCore())
		}
		if i == 1 && peer > 0 {
			row[6] = times((tallies[peer].times.p50() - base).Seconds(), (t.times.p50() - base).Seconds())
			row[7] = times(t.perCore(), tallies[peer].perCore())
		}
		if i == 1 && strings.HasSuffix(setting, ", 1") {
			row[3] += " (" + held(t.times.p50()-base <= 300*time.Microsecond) + ")"
		}
		rows = append(rows, row)
	}
	return rows
}

// large streams big bodies both ways, and returns how much went through the sidecar.
func (w *world) large(ctx context.Context, r *report, ways []*way) (streamed int64, err error) {
	rows := [][]string{{"large bodies", "MB/s", "of direct", "MB per second and core of the proxy"}}
	for _, proto := range []string{"h1", "h2"} {
		ways := speaking(ways, proto)
		for _, mode := range []string{"down", "up"} {
			progress("large bodies %s %s", proto, mode)
			rates := make([][]float64, len(ways))
			bytes, cpus := make([]int64, len(ways)), make([]time.Duration, len(ways))
			for range w.rounds {
				for i, v := range ways {
					size := int64(256 << 20)
					if v.most > 0 {
						size = v.most
					}
					out, cpu, err := v.load(ctx, "-mode", mode, "-proto", proto, "-bytes", strconv.FormatInt(size, 10))
					if err != nil {
						return 0, err
					}
					rates[i] = append(rates[i], float64(out.Bytes)/1e6/out.Seconds)
					bytes[i], cpus[i] = bytes[i]+out.Bytes, cpus[i]+cpu
				}
			}
			for i, v := range ways {
				rate := median(rates[i])
				row := []string{proto + " " + mode + ": " + v.name, fmt.Sprintf("%.0f", rate), fmt.Sprintf("%.0f %%", 100*rate/median(rates[0])), ""}
				if i > 0 {
					row[3] = fmt.Sprintf("%.0f", float64(bytes[i])/1e6/max(cpus[i].Seconds(), 0.01))
				}
				rows = append(rows, row)
			}
			streamed += bytes[1]
		}
	}
	r.table("Large bodies", rows)
	return streamed, nil
}

// gigabyte streams one body of that size each way, and watches how much the proxy holds.
func (w *world) gigabyte(ctx context.Context, r *report, ways []*way) (streamed int64, err error) {
	rows := [][]string{{"one body of 1 GiB", "MB/s", "resident before, MiB", "highest while it streams, MiB", "grown by, MiB"}}
	for _, proto := range []string{"h1", "h2"} {
		for _, mode := range []string{"down", "up"} {
			for i, v := range speaking(ways, proto) {
				if i > 1 && proto != "h1" {
					continue // too slow to wait for
				}
				progress("1 GiB %s %s: %s", proto, mode, v.name)
				row := []string{proto + " " + mode + ": " + v.name, "", "", "", ""}
				var before, highest float64
				done := func() (float64, error) { return 0, nil }
				if v.pid != 0 {
					if before, done, err = watchMemory(v.pid); err != nil {
						return 0, err
					}
				}
				out, _, err := v.load(ctx, "-mode", mode, "-proto", proto, "-bytes", strconv.FormatInt(1<<30, 10))
				highest, watching := done()
				if err := errors.Join(err, watching); err != nil {
					return 0, err
				}
				row[1] = fmt.Sprintf("%.0f", float64(out.Bytes)/1e6/out.Seconds)
				if v.pid != 0 {
					row[2], row[3], row[4] = fmt.Sprintf("%.1f", before), fmt.Sprintf("%.1f", highest), fmt.Sprintf("%.1f", highest-before)
				}
				if i == 1 {
					streamed += out.Bytes
				}
				rows = append(rows, row)
			}
		}
	}
	r.table("One gigabyte", rows)
	return streamed, nil
}

func (w *world) memoryOf(_ context.Context, r *report, ours *way, idle float64, streamed int64) error {
	now, err1 := memory(ours.pid, "VmRSS")
	peak, err2 := memory(ours.pid, "VmHWM")
	anon, err3 := memory(ours.pid, "RssAnon")
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	r.table("Memory of the sidecar", [][]string{
		{"resident", "MiB", "budget 20 MiB"},
		{"idle, before the first request", fmt.Sprintf("%.1f", idle), held(idle <= 20)},
		{fmt.Sprintf("after all requests above and %.1f GB streamed", float64(streamed)/1e9), fmt.Sprintf("%.1f, of which anonymous %.1f", now, anon), ""},
		{"at its peak", fmt.Sprintf("%.1f", peak), ""},
	})
	return nil
}

// sse measures how long events take, and the first one from its request on.
func (w *world) sse(ctx context.Context, r *report, ways []*way) error {
	rows := [][]string{{"server-sent events, one each 2 ms", "event on its way p50", "p99", "request to first event"}}
	for _, proto := range []string{"h1", "h2"} {
		ways := speaking(ways, proto)
		progress("events %s", proto)
		delays, firsts := make([]sample, len(ways)), make([]sample, len(ways))
		for range w.rounds {
			for i, v := range ways {
				out, _, err := v.load(ctx, "-mode", "sse", "-proto", proto)
				if err != nil {
					return err
				}
				delays[i], firsts[i] = append(delays[i], out.Times...), append(firsts[i], out.First)
			}
		}
		for i, v := range ways {
			rows = append(rows, []string{proto + ": " + v.name, us(delays[i].p50()), us(delays[i].p99()), us(firsts[i].p50())})
		}
	}
	r.table("Events", rows)
	return nil
}

// upstream starts the server as a process of its own and lets the bottle know it.
func (w *world) upstream(ctx context.Context) (is upstreamIs, err error) {
	c := exec.CommandContext(ctx, w.self, "upstream")
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		return is, err
	}
	if err := c.Start(); err != nil {
		return is, err
	}
	w.undo = append(w.undo, func() error { return stopProcess(c) })
	if err := json.NewDecoder(out).Decode(&is); err != nil {
		return is, fmt.Errorf("cannot learn where the upstream is: %w", err)
	}
	if err := os.WriteFile(w.path("home/bottles/upstream-ca.pem"), []byte(is.CA), 0o600); err != nil {
		return is, err
	}
	return is, w.manifest(is.Addr, "upstream-ca.pem")
}

func stopProcess(c *exec.Cmd) error {
	_ = c.Process.Signal(syscall.SIGTERM)
	_ = c.Wait() // the signal is its reason to end
	return nil
}

// sidecar starts a bottle that holds the client.
func (w *world) sidecar(ctx context.Context) (v *way, end func(), err error) {
	c := w.bottle(ctx, "traffic", "start", "bench", "--headless", "--yes", "--prompt", "hold")
	var said bytes.Buffer
	c.Stderr = &said
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := c.Start(); err != nil {
		return nil, nil, err
	}
	end = func() { _ = stopProcess(c) }
	var identity, program string
	if _, err := fmt.Fscan(out, &identity, &program); err != nil {
		end()
		return nil, nil, fmt.Errorf("the bottle does not start: %w: %s", err, said.String())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	pid, err := sidecarOf(identity)
	if err != nil {
		end()
		return nil, nil, err
	}
	return &way{
		name: "sidecar", pid: pid, note: "the client runs in the bottle and takes the transparent way; every request is decided on, scanned with the default detectors, and logged",
		client: func(ctx context.Context, args ...string) *exec.Cmd {
			return w.bottle(ctx, "traffic", append([]string{"exec", identity, "--", program, "load", "-url", "https://" + benchHost}, args...)...)
		},
	}, end, nil
}

// mitmproxy is Debian's mitmdump as an explicit proxy, without scripts and without a log.
func (w *world) mitmproxy(ctx context.Context, up upstreamIs) (*way, error) {
	path, err := exec.LookPath("mitmdump")
	if err != nil {
		return nil, errors.New("mitmproxy: mitmdump is not installed")
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	conf := w.path("mitmproxy")
	c := exec.CommandContext(ctx, path, "-q", "--listen-host", "127.0.0.1", "-p", strconv.Itoa(port),
		"--set", "confdir="+conf, "--set", "ssl_verify_upstream_trusted_ca="+w.path("home/bottles/upstream-ca.pem"), "--set", "stream_large_bodies=1m")
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	if err := c.Start(); err != nil {
		return nil, err
	}
	w.undo = append(w.undo, func() error { return stopProcess(c) })
	proxy := "127.0.0.1:" + strconv.Itoa(port)
	if err := answersOn(ctx, proxy); err != nil {
		return nil, fmt.Errorf("mitmproxy: %w: %s", err, said.String())
	}
	return &way{
		name: "mitmproxy", pid: c.Process.Pid, most: 32 << 20,
		note: firstLine(ctx, path, "--version") + " from Debian as explicit proxy, intercepting, no script, no log, bodies over 1 MB streamed",
		client: func(ctx context.Context, args ...string) *exec.Cmd {
			return exec.CommandContext(ctx, w.self, append([]string{"load", "-url", "https://" + up.Addr, "-proxy", "http://" + proxy,
				"-roots", conf + "/mitmproxy-ca-cert.pem"}, args...)...)
		},
	}, nil
}
