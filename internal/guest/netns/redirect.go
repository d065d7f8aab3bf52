package netns

import (
	"encoding/binary"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Offsets of destination addresses and ports in their headers.
const (
	offIPv4Daddr = 16
	offIPv6Daddr = 24
	offDport     = 2
)

const (
	ctStatusDNAT    = 1 << 5
	dnsPort         = 53
	icmpUnreachable = 3
	icmp6Max        = 4 // ICMPv6 errors are 1 to 4
)

// Redirect installs the rules. Of what a process sends, loopback's own stays what it is; TCP and
// DNS end at the listeners; other UDP is rejected at once; all else is dropped.
func Redirect(ls Listeners) error {
	t, err := newTable()
	if err != nil {
		return err
	}
	add := t.add
	nat := t.chain("redirect", nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest, nil)
	add(nat, toLoopback4(), accept())
	add(nat, toLoopback6(), accept())
	t.redirects(nat, ls)
	drop := nftables.ChainPolicyDrop
	filter := t.chain("reject", nftables.ChainTypeFilter, nftables.ChainHookOutput, nftables.ChainPriorityFilter, &drop)
	add(filter, toLoopback4(), accept())
	add(filter, toLoopback6(), accept())
	add(filter, redirected(), accept())
	add(filter, established(), accept())
	add(filter, family(unix.NFPROTO_IPV4), protocol(unix.IPPROTO_ICMP), icmpType(expr.CmpOpEq, icmpUnreachable), accept())
	add(filter, family(unix.NFPROTO_IPV6), protocol(unix.IPPROTO_ICMPV6), icmpType(expr.CmpOpLte, icmp6Max), accept())
	add(filter, protocol(unix.IPPROTO_UDP), reject())
	return t.install()
}

// table is the one of a bottle, as it is being written.
type table struct {
	conn  *nftables.Conn
	table *nftables.Table
}

func newTable() (*table, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("cannot open nftables: %w", err)
	}
	return &table{conn, conn.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "bottle"})}, nil
}

func (t *table) chain(name string, kind nftables.ChainType, hook *nftables.ChainHook, priority *nftables.ChainPriority, policy *nftables.ChainPolicy) *nftables.Chain {
	return t.conn.AddChain(&nftables.Chain{Name: name, Table: t.table, Type: kind, Hooknum: hook, Priority: priority, Policy: policy})
}

func (t *table) add(chain *nftables.Chain, parts ...[]expr.Any) {
	var all []expr.Any
	for _, p := range parts {
		all = append(all, p...)
	}
	t.conn.AddRule(&nftables.Rule{Table: t.table, Chain: chain, Exprs: all})
}

func (t *table) install() error {
	if err := t.conn.Flush(); err != nil {
		return fmt.Errorf("cannot install the redirect: %w", err)
	}
	return nil
}

// redirects lead TCP and DNS to the listeners.
func (t *table) redirects(nat *nftables.Chain, ls Listeners) {
	for _, r := range []struct {
		family, protocol byte
		port             uint16
		listener         string
	}{
		{unix.NFPROTO_IPV4, unix.IPPROTO_UDP, dnsPort, DNS4},
		{unix.NFPROTO_IPV6, unix.IPPROTO_UDP, dnsPort, DNS6},
		{unix.NFPROTO_IPV4, unix.IPPROTO_TCP, dnsPort, DNST4},
		{unix.NFPROTO_IPV6, unix.IPPROTO_TCP, dnsPort, DNST6},
		{unix.NFPROTO_IPV4, unix.IPPROTO_TCP, 0, TCP4},
		{unix.NFPROTO_IPV6, unix.IPPROTO_TCP, 0, TCP6},
	} {
		t.add(nat, family(r.family), protocol(r.protocol), toPort(r.port), redirectTo(ls.port(r.listener)))
	}
}

func accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }

func equal(data ...byte) *expr.Cmp { return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data} }

func family(f byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, equal(f)}
}

func protocol(p byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, equal(p)}
}

// toPort matches a destination port; 0 matches all.
func toPort(port uint16) []expr.Any {
	if port == 0 {
		return nil
	}
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offDport, Len: 2},
		equal(binary.BigEndian.AppendUint16(nil, port)...),
	}
}

func toLoopback4() []expr.Any {
	return append(family(unix.NFPROTO_IPV4),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offIPv4Daddr, Len: 1},
		equal(127))
}

func toLoopback6() []expr.Any {
	return append(family(unix.NFPROTO_IPV6),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offIPv6Daddr, Len: 16},
		equal(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1))
}

func redirectTo(port uint16) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: binary.BigEndian.AppendUint16(nil, port)},
		&expr.Redir{RegisterProtoMin: 1},
	}
}

// redirected matches both directions of a connection that the first chain redirected.
func redirected() []expr.Any { return conntrack(expr.CtKeySTATUS, ctStatusDNAT) }

// established matches answers, and errors about what was sent.
func established() []expr.Any {
	return conntrack(expr.CtKeySTATE, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED)
}

func conntrack(key expr.CtKey, bits uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: key, Register: 1},
		&expr.Bitwise{
			SourceRegister: 1, DestRegister: 1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4),
		},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

func icmpType(op expr.CmpOp, t byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
		&expr.Cmp{Op: op, Register: 1, Data: []byte{t}},
	}
}

func reject() []expr.Any {
	return []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_PORT_UNREACH}}
}
