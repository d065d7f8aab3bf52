// Package e2e tests the program as its users run it: the built binary, real agents, a real
// terminal, real upstreams on loopback.
//
// Its one rule: it looks from outside. What it knows of a run it reads from the command's answers,
// the state directory, /proc, and what the upstream saw.
package e2e
