package dns

import (
	"errors"

	"golang.org/x/net/dns/dnsmessage"
)

// maxUDP is what we say we take in one datagram; no answer of ours comes near it.
const maxUDP = 1232

// rcodeBadVersion is BADVERS (RFC 6891 §9): 16, of which the upper bits stand in the OPT record.
const rcodeBadVersion dnsmessage.RCode = 16

const headerSize = 12

// answer returns the response to one query message, or nil where none is due: what is too short
// to have an id, and what is itself a response (two resolvers would talk forever).
// proto is "udp" or "tcp" and stands in the audit log.
func (s *Server) answer(query []byte, proto string) []byte {
	if len(query) < headerSize || query[2]&0x80 != 0 {
		return nil
	}
	head := dnsmessage.Header{
		ID: uint16(query[0])<<8 | uint16(query[1]), Response: true,
		OpCode: dnsmessage.OpCode(query[2] >> 3 & 0xf), RecursionDesired: query[2]&1 != 0, RecursionAvailable: true,
	}
	if head.OpCode != 0 {
		head.RCode = dnsmessage.RCodeNotImplemented
		return respond(head, nil, nil, nil)
	}
	question, edns, err := parse(query)
	if err != nil {
		head.RCode = dnsmessage.RCodeFormatError
		return respond(head, nil, nil, nil)
	}
	if edns != nil && edns.version != 0 {
		head.RCode = rcodeBadVersion
		return respond(head, &question, nil, edns)
	}
	if question.Class != dnsmessage.ClassINET {
		head.RCode = dnsmessage.RCodeRefused
		return respond(head, &question, nil, edns)
	}
	v := s.decide(question, proto)
	head.RCode = v.code
	return respond(head, &question, v.body, edns)
}

// extension is what the query's OPT record said (RFC 6891 §6.1).
type extension struct{ version uint8 }

// parse takes exactly one question, no answers, and in the additional section one OPT record and
// otherwise nothing that would mean something to us.
func parse(query []byte) (q dnsmessage.Question, edns *extension, err error) {
	var p dnsmessage.Parser
	if _, err := p.Start(query); err != nil {
		return q, nil, err
	}
	questions := int(query[4])<<8 | int(query[5])
	others := query[6] | query[7] | query[8] | query[9]
	if questions != 1 || others != 0 {
		return q, nil, errors.New("want one question and nothing else")
	}
	if q, err = p.Question(); err != nil {
		return q, nil, err
	}
	if err := errors.Join(p.SkipAllQuestions(), p.SkipAllAnswers(), p.SkipAllAuthorities()); err != nil {
		return q, nil, err
	}
	for {
		head, err := p.AdditionalHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return q, edns, nil
		}
		if err != nil {
			return q, nil, err
		}
		if head.Type == dnsmessage.TypeOPT {
			if edns != nil || head.Name.String() != "." {
				return q, nil, errors.New("want one OPT record at the root")
			}
			edns = &extension{version: uint8(head.TTL >> 16)}
		}
		if err := p.SkipAdditional(); err != nil {
			return q, nil, err
		}
	}
}

// respond builds a message. The question goes back as it came, letter case included.
func respond(head dnsmessage.Header, q *dnsmessage.Question, body dnsmessage.ResourceBody, edns *extension) []byte {
	msg := dnsmessage.Message{Header: head}
	msg.RCode = head.RCode & 0xf
	if q != nil {
		msg.Questions = []dnsmessage.Question{*q}
	}
	if body != nil {
		msg.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: ttl},
			Body:   body,
		}}
	}
	if edns != nil {
		var opt dnsmessage.ResourceHeader
		if opt.SetEDNS0(maxUDP, head.RCode, false) == nil {
			msg.Additionals = []dnsmessage.Resource{{Header: opt, Body: &dnsmessage.OPTResource{}}}
		}
	}
	out, err := msg.Pack()
	if err != nil { // a name that was parsed can be packed; without an answer the client asks again
		return nil
	}
	return out
}
