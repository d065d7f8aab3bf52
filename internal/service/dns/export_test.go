package dns

// Answer is what both transports send.
func (s *Server) Answer(query []byte, proto string) []byte { return s.answer(query, proto) }
