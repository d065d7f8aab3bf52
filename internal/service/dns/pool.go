package dns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
)

// reserved addresses at the start of each range belong to the sidecar.
const reserved = 256

var errExhausted = errors.New("there are no synthetic addresses left for names below wildcards")

// pool gives each name one number, and with it one address of each family, for the whole run.
// A number is never given to a second name: what holds an address of a name that is gone could
// otherwise end at another one.
type pool struct {
	base4, base6 netip.Addr
	maxWildcard  int
	size         int

	mu        sync.Mutex
	numbers   map[string]int
	names     []string // by number
	wildcards int
}

func newPool(range4, range6 netip.Prefix, maxWildcard int) (*pool, error) {
	if !range4.Addr().Is4() || !range6.Addr().Is6() || range6.Addr().Is4In6() {
		return nil, errors.New("the synthetic ranges need one of each family")
	}
	if range4.Bits() > 20 || range4.Bits() < 8 || range6.Bits() > 96 {
		return nil, fmt.Errorf("the synthetic ranges %s and %s have an unusable size", range4, range6)
	}
	size := 1<<(32-range4.Bits()) - reserved - 1
	if maxWildcard < 0 || maxWildcard > size/2 {
		return nil, fmt.Errorf("%d names below wildcards do not fit into %s", maxWildcard, range4)
	}
	return &pool{
		base4: range4.Masked().Addr(), base6: range6.Masked().Addr(),
		maxWildcard: maxWildcard, size: size, numbers: map[string]int{},
	}, nil
}

// number returns the number of name, and whether it is new. named says that a route spells the
// name out, so that it does not count against the names below wildcards.
func (p *pool) number(name string, named bool) (n int, fresh bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n, ok := p.numbers[name]; ok {
		return n, false, nil
	}
	if len(p.names) >= p.size || (!named && p.wildcards >= p.maxWildcard) {
		return 0, false, errExhausted
	}
	n = len(p.names)
	p.names = append(p.names, name)
	p.numbers[name] = n
	if !named {
		p.wildcards++
	}
	return n, true, nil
}

func (p *pool) address4(n int) netip.Addr {
	b := p.base4.As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+uint32(n)+reserved)
	return netip.AddrFrom4(b)
}

func (p *pool) address6(n int) netip.Addr {
	b := p.base6.As16()
	binary.BigEndian.PutUint32(b[12:], uint32(n)+reserved)
	return netip.AddrFrom16(b)
}

func (p *pool) nameOf(addr netip.Addr) (string, bool) {
	var offset uint32
	if addr.Is4() {
		b, base := addr.As4(), p.base4.As4()
		offset = binary.BigEndian.Uint32(b[:]) - binary.BigEndian.Uint32(base[:])
	} else {
		b, base := addr.As16(), p.base6.As16()
		if [12]byte(b[:12]) != [12]byte(base[:12]) {
			return "", false
		}
		offset = binary.BigEndian.Uint32(b[12:])
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if offset < reserved || offset-reserved >= uint32(len(p.names)) {
		return "", false
	}
	return p.names[offset-reserved], true
}
