package dlp

import (
	"strings"
	"time"
)

const (
	maxSlots  = 256
	maxSeries = 384 // bytes of one slot's values that are kept
	everySlot = ""  // the slot of all values that changed

	decodedSlot = " decoded" // behind a slot's name: what its values say in hex or base64
)

// series keeps the values of each slot in the order in which they were sent.
type series struct {
	slots map[string]*slot
}

type slot struct {
	text   []byte
	last   string
	varied bool // it had two values
	used   time.Time
}

// joinedText is a slot's values put together; those of the request at hand begin at fresh.
type joinedText struct {
	text  []byte
	fresh int
}

// add takes the values of one request and returns what is worth a look: the values that are not
// those of the last time, and the slots whose values change.
func (s *series) add(values []Value, now time.Time) (fresh []Value, out []joinedText) {
	var changed []byte
	for _, v := range values {
		if v.Text == "" || len(v.Text) > maxValue {
			continue
		}
		t := s.slot(v.Slot, now)
		differs := t.last != v.Text
		t.varied = t.varied || t.last != "" && differs
		t.last = v.Text
		if differs {
			fresh = append(fresh, v)
		}
		if strings.ContainsAny(v.Text, " \t\r\n") {
			continue // words are put together by nobody
		}
		if differs {
			changed = append(changed, v.Text...)
		}
		if text, ok := t.append([]byte(v.Text)); ok && t.varied {
			out = append(out, text)
		}
		if said := spells(v.Text); said != "" {
			if text, ok := s.slot(v.Slot+decodedSlot, now).append([]byte(said)); ok && t.varied {
				out = append(out, text)
			}
		}
	}
	if len(changed) > 0 && len(changed) <= maxSeries/2 {
		if text, ok := s.slot(everySlot, now).append(changed); ok {
			out = append(out, text)
		}
	}
	return fresh, out
}

// append is false where nothing stands before the value.
func (t *slot) append(value []byte) (joinedText, bool) {
	fresh := len(t.text)
	t.text = append(t.text, value...)
	if over := len(t.text) - maxSeries; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
		fresh = max(0, fresh-over)
	}
	return joinedText{append([]byte(nil), t.text...), fresh}, fresh > 0
}

// slot returns a slot; one that was not used for the window begins anew, and of too many the one
// that was not used for longest goes.
func (s *series) slot(name string, now time.Time) *slot {
	t := s.slots[name]
	if t == nil && len(s.slots) >= maxSlots {
		oldest := ""
		for other, o := range s.slots {
			if other != everySlot && (oldest == "" || o.used.Before(s.slots[oldest].used)) {
				oldest = other
			}
		}
		delete(s.slots, oldest)
	}
	if t == nil || now.Sub(t.used) >= MemoryTime {
		t = &slot{}
		s.slots[name] = t
	}
	t.used = now
	return t
}
