package sidecar_test

import (
	"testing"
)

// BenchmarkReady measures from the start of the process to a sidecar that serves.
func BenchmarkReady(b *testing.B) {
	addr, ca := upstream(b)
	for b.Loop() {
		r := start(b)
		r.hand(b)
		if _, err := r.client.Configure(b.Context(), config(addr, ca), secrets()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		r.conn.Close()
		r.ends(b)
		b.StartTimer()
	}
}
