package docker_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/backend/backendtest"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker/enginetest"
	"github.com/bot-bottle/bot-bottle/internal/guest"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire/mux"
	"github.com/bot-bottle/bot-bottle/internal/need"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
	"github.com/bot-bottle/bot-bottle/internal/stdio"
)

// world is the engine of this package's tests, or why there is none.
type world struct {
	engine  *enginetest.Engine
	missing error
	runsc   error // why its engine has none
}

var shared world

// The test binary is the program in both containers.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "guest":
			os.Exit(guest.Main(os.Args[2:]))
		case "sidecar":
			os.Exit(testSidecar())
		case callsMode:
			os.Exit(makeCalls())
		}
	}
	var with []enginetest.Runtime
	path, err := need.RunscPath()
	if shared.runsc = err; err == nil {
		with = append(with, enginetest.Runtime{Name: "runsc", Path: path})
	}
	if os.Getenv(enginetest.Variable) != "" {
		shared.runsc = errors.New("the engine that " + enginetest.Variable + " names is not known to have runsc")
	}
	shared.engine, shared.missing = enginetest.Start(with...)
	code := m.Run()
	if shared.engine != nil {
		shared.engine.Stop()
	}
	os.Exit(code)
}

// getenv is the environment of a caller whose engine is the tests' own.
func getenv(t *testing.T) func(string) string {
	t.Helper()
	need.Require(t, need.Docker, shared.missing)
	return onRuntime("runc")
}

// onRuntime is the environment of a caller who chose a runtime; "" chooses none.
func onRuntime(name string) func(string) string {
	return func(variable string) string {
		switch variable {
		case "DOCKER_HOST":
			return "unix://" + shared.engine.Socket
		case "BOT_BOTTLE_DOCKER_RUNTIME":
			return name
		}
		return ""
	}
}

func open(t *testing.T, root string) backend.Driver {
	t.Helper()
	return docker.New(docker.Config{Program: os.Executable, Root: root, Getenv: getenv(t), Image: enginetest.Image})
}

// contract is how containers deviate, whatever kernel is below them.
func contract() backendtest.Options {
	return backendtest.Options{
		Shell: true, Sealed: true,
		HostUsers:  "an engine without userns-remap maps no users; with it a home on the host would belong to nobody",
		ImageRoot:  "the root is the image that the user chose",
		MountFlags: "the engine decides the flags of what it mounts",
		EmptyMasks: "the engine masks files of /proc with the null device",
	}
}

func TestContract(t *testing.T) { backendtest.Run(t, open, contract()) }

// testSidecar answers every TCP connection with where it meant to go, and every name with
// NXDOMAIN. It lives as long as its owner.
func testSidecar() int {
	streams, err := stdio.Take()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	outside, err := mux.Guest(streams)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	owner, err := outside.Accept()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() {
		if err := serveListeners(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			_ = owner.Close()
		}
	}()
	_, _ = io.Copy(io.Discard, owner)
	return 0
}

// meet waits until the guest is there; a real sidecar is only told to come when it is.
func meet() (*net.UnixConn, error) {
	watch, err := unix.InotifyInit()
	if err != nil {
		return nil, err
	}
	defer unix.Close(watch)
	if _, err := unix.InotifyAddWatch(watch, wire.HandoverDir, unix.IN_CREATE|unix.IN_ATTRIB); err != nil {
		return nil, err
	}
	for {
		conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: wire.HandoverSocket, Net: "unix"})
		if err == nil {
			return conn, nil
		}
		if _, err := unix.Read(watch, make([]byte, 4096)); err != nil {
			return nil, err
		}
	}
}

func serveListeners() error {
	conn, err := meet()
	if err != nil {
		return err
	}
	buf, oob := make([]byte, 4096), make([]byte, 1024)
	n, on, _, _, err := conn.ReadMsgUnix(buf, oob)
	if err != nil {
		return err
	}
	var names []string
	if err := json.Unmarshal(buf[:n], &names); err != nil {
		return err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:on])
	if err != nil || len(messages) != 1 {
		return errors.Join(err, errors.New("no descriptors"))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return err
	}
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), names[i])
		switch names[i] {
		case "dns-udp4", "dns-udp6":
			c, err := net.FilePacketConn(file)
			if err != nil {
				return err
			}
			go answerNames(c)
		default:
			l, err := net.FileListener(file)
			if err != nil {
				return err
			}
			go echoDestinations(l, names[i])
		}
	}
	_, err = io.Copy(io.Discard, conn) // it ends with the bottle
	return errors.Join(err, errors.New("the bottle has ended"))
}

func echoDestinations(l net.Listener, name string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			buf := make([]byte, 256)
			if _, err := c.Read(buf); err != nil {
				return
			}
			to, ok := egress.OriginalDestination(c)
			if !ok {
				to = netip.AddrPort{}
			}
			fmt.Fprintf(c, "%s %s\n", name, to)
		}()
	}
}

func answerNames(c net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:n]) != nil {
			continue
		}
		m.Response, m.RCode, m.Additionals = true, dnsmessage.RCodeNameError, nil
		if reply, err := m.Pack(); err == nil {
			_, _ = c.WriteTo(reply, from)
		}
	}
}
