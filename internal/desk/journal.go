package desk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
)

// The events of the journal. Each is a line that is on the disk before anything follows from it.
const (
	eventAsked     = "asked"
	eventDecided   = "decided"
	eventApplied   = "applied" // a decision for the run is in force
	eventFailed    = "failed"
	eventFiled     = "filed"   // a decision for always is in the bottle's file
	eventRevoked   = "revoked" // the operator took it back
	eventExpired   = "expired"
	eventWithdrawn = "withdrawn"
)

// entry is one line.
type entry struct {
	Time   time.Time `json:"time"`
	Event  string    `json:"event"`
	Number int       `json:"number"`
	// Question, Expires and Lasting are set with asked.
	Question *ask.Question `json:"question,omitempty"`
	Expires  time.Time     `json:"expires,omitzero"`
	Lasting  bool          `json:"lasting,omitempty"`
	// Answer and Effect are set with decided.
	Answer  *ask.Answer `json:"answer,omitempty"`
	Effect  []ask.Fact  `json:"effect,omitempty"` // what was seen and approved
	Problem string      `json:"problem,omitempty"`
}

// maxLine bounds a line that is read back.
const maxLine = 1 << 20

// journal appends entries to a file, each with one write and on the disk when append returns. An
// entry that could not be written whole leaves nothing behind; where even that fails, nothing is
// written any more.
type journal struct {
	file   *os.File
	size   int64 // of the whole lines
	broken error
}

// openJournal reads what the file holds, and ends a line that a killed writer left unfinished.
// The file must be open for reading and appending.
func openJournal(file *os.File) (*journal, []entry, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot look at the proposals: %w", err)
	}
	raw := make([]byte, info.Size())
	if _, err := io.ReadFull(io.NewSectionReader(file, 0, info.Size()), raw); err != nil {
		return nil, nil, fmt.Errorf("cannot read the proposals: %w", err)
	}
	j := &journal{file: file, size: info.Size()}
	if len(raw) > 0 && raw[len(raw)-1] != '\n' {
		// The mark keeps a line that lacked nothing but its end from being read the next time.
		n, err := file.WriteString(" cut short\n")
		if err != nil {
			return nil, nil, fmt.Errorf("cannot write the proposals: %w", err)
		}
		j.size += int64(n)
	}
	return j, entries(raw), nil
}

// entries reads whole lines. What cannot be read was cut short by the death of its writer, so that
// nothing followed from it.
func entries(raw []byte) []entry {
	var all []entry
	for line := range bytes.Lines(raw) {
		var e entry
		if len(line) > maxLine || !bytes.HasSuffix(line, []byte("\n")) || json.Unmarshal(line, &e) != nil || e.Number < 1 {
			continue
		}
		all = append(all, e)
	}
	return all
}

func (j *journal) append(e entry) error {
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false) // a candidate is kept byte for byte
	if err := enc.Encode(e); err != nil {
		return fmt.Errorf("cannot write the proposals: %w", err)
	}
	if line.Len() > maxLine {
		return errors.New("cannot write the proposals: the entry is too long")
	}
	if j.broken != nil {
		return j.broken
	}
	n, err := j.file.Write(line.Bytes())
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		err = fmt.Errorf("cannot write the proposals: %w", err)
		if undo := errors.Join(j.file.Truncate(j.size), j.file.Sync()); undo != nil {
			j.broken = fmt.Errorf("%w; nor can the unfinished line be taken back: %w", err, undo)
		}
		return err
	}
	j.size += int64(n)
	return nil
}
