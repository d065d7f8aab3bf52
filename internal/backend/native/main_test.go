package native_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/backend/backendtest"
	"github.com/bot-bottle/bot-bottle/internal/backend/native"
	"github.com/bot-bottle/bot-bottle/internal/guest"
)

// The test binary is the program that the driver starts again, in all its parts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "guest":
			os.Exit(guest.Main(os.Args[2:]))
		case "sidecar":
			os.Exit(testSidecar())
		case "owner":
			os.Exit(testOwner(os.Args[2]))
		}
	}
	os.Exit(m.Run())
}

// testSidecar answers every TCP connection with where it meant to go, and every name with
// NXDOMAIN. It lives as long as its control socket.
func testSidecar() int {
	control, err := net.FileConn(os.NewFile(3, "control"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() {
		if err := serveListeners(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			_ = control.Close()
		}
	}()
	_, _ = io.Copy(io.Discard, control)
	return 0
}

func serveListeners() error {
	f, err := net.FileConn(os.NewFile(4, "listeners"))
	if err != nil {
		return err
	}
	buf, oob := make([]byte, 4096), make([]byte, 1024)
	n, on, _, _, err := f.(*net.UnixConn).ReadMsgUnix(buf, oob)
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
	return nil
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
			if _, err := c.Read(buf); err == nil {
				fmt.Fprintf(c, "%s %s\n", name, destination(c.(*net.TCPConn)))
			}
		}()
	}
}

func destination(c *net.TCPConn) (to netip.AddrPort) {
	const soOriginalDst = 80
	raw, err := c.SyscallConn()
	if err != nil {
		return to
	}
	_ = raw.Control(func(fd uintptr) {
		var a [unix.SizeofSockaddrInet6]byte
		size := uint32(len(a))
		level := uintptr(unix.SOL_IP)
		if c.LocalAddr().(*net.TCPAddr).IP.To4() == nil {
			level = unix.SOL_IPV6
		}
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, level, soOriginalDst,
			uintptr(unsafe.Pointer(&a)), uintptr(unsafe.Pointer(&size)), 0)
		if errno != 0 {
			return
		}
		port := uint16(a[2])<<8 | uint16(a[3])
		if level == unix.SOL_IP {
			to = netip.AddrPortFrom(netip.AddrFrom4([4]byte(a[4:8])), port)
		} else {
			to = netip.AddrPortFrom(netip.AddrFrom16([16]byte(a[8:24])), port)
		}
	})
	return to
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

// testOwner prepares and launches a bottle below root, says its identity and waits to be killed.
func testOwner(root string) int {
	d := native.New(native.Config{Self: []string{"/proc/self/exe"}, Root: root})
	p := backendtest.Plan(root)
	h, err := d.Prepare(context.Background(), p)
	if err == nil {
		_, err = d.Launch(context.Background(), h)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(p.ID)
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}
