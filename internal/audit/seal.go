package audit

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"golang.org/x/sys/unix"
)

// Closing is the message of the last event of a writer that ended in good order.
const Closing = "sidecar ended"

// AgentStarted is the message of the event after which what is asked for is the agent's doing. What
// is refused between the sidecar's start and it is the self-check's.
const AgentStarted = "agent started"

// Reopen readies the log of a run that is there already for another writer, and returns where its
// chain stands. A line that a crash broke off is ended; what does not hold is recorded in the log
// as an alarm, and returned, and does not keep the run from going on. Nobody else may be writing.
func Reopen(ctx context.Context, path string, proof Proof, said ...Event) (Head, []Break, error) {
	report, err := Verify(ctx, path, proof)
	if fault.Is(err, fault.NotFound) && proof.Sealed == nil {
		return Genesis(proof.ID), nil, nil
	}
	if fault.Is(err, fault.NotFound) {
		report = Report{Head: Genesis(proof.ID), Breaks: []Break{{0, "it is missing as a whole: it was sealed, and is not there"}}}
	} else if err != nil {
		return Head{}, nil, err
	}
	var alarms []Event
	for _, b := range report.Breaks {
		alarms = append(alarms, Event{Kind: "alarm", Layer: "audit", Message: "the audit log did not hold: " + b.String()})
	}
	head, err := add(path, report.Head, append(alarms, said...)...)
	return head, report.Breaks, err
}

// Seal ends the log of a run that has ended: it adds a line that says how many there are and
// whether the sidecar wrote all of its own. The head it returns is to be kept beside the log, and is
// what a later Verify takes as Proof.Sealed. Without a log there is nothing to seal, and no error.
func Seal(ctx context.Context, path string, proof Proof, said ...Event) (Head, error) {
	report, err := Verify(ctx, path, proof)
	if fault.Is(err, fault.NotFound) {
		return Head{}, nil
	}
	if err != nil {
		return Head{}, err
	}
	seal := Event{Kind: "seal", Message: "the log of this run is complete"}
	if report.Last.Message != Closing || report.Cut {
		seal.Message = "the log of this run is not complete"
		seal.Reason = "the sidecar did not end in good order: its last events may be missing"
	}
	if len(report.Breaks) > 0 {
		seal.Message = "the log of this run is damaged"
		seal.Reason = report.Breaks[0].String()
	}
	return add(path, report.Head, append(said, seal)...)
}

// add appends events to a log whose chain stands at head, after ending a line that is not ended.
func add(path string, head Head, events ...Event) (Head, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return head, fmt.Errorf("cannot write the audit log: %w", err)
	}
	if err := endLine(file); err != nil {
		return head, errors.Join(fmt.Errorf("cannot write the audit log: %w", err), file.Close())
	}
	l := NewLog(file, head, nil)
	for _, e := range events {
		l.Record(e)
	}
	err = l.Close()
	return l.chain.Head, err
}

func endLine(file *os.File) error {
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	var last [1]byte
	if _, err := file.ReadAt(last[:], info.Size()-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err = file.WriteString("\n")
	return err
}
