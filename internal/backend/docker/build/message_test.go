package build

import (
	"bytes"
	"testing"
)

func TestAMessageComesApartAsItWasPutTogether(t *testing.T) {
	message := appendBytes(appendNumber(appendBytes(nil, 1, "one"), 2, 300), 3, []byte{})
	message = append(message, 9<<3|wireFixed64, 1, 2, 3, 4, 5, 6, 7, 8, 9<<3|wireFixed32, 1, 2, 3, 4) // of no use here
	got, err := fields(appendNumber(message, 4, 0))
	if err != nil || len(got) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	if string(got[0].bytes) != "one" || got[1].value != 300 || got[2].number != 3 || len(got[2].bytes) != 0 {
		t.Errorf("%+v", got)
	}
	for cut := range message {
		if part, err := fields(message[:cut]); err == nil && len(part) > 3 {
			t.Errorf("%d bytes are %+v", cut, part)
		}
	}
}

// FuzzFields reads what an engine might send; it must come apart or be refused, and hold nothing
// that is not there.
func FuzzFields(f *testing.F) {
	f.Add(appendBytes(appendNumber(nil, 1, 3), 4, "text"))
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, message []byte) {
		got, err := fields(message)
		if err != nil {
			return
		}
		for _, one := range got {
			if len(one.bytes) > 0 && !bytes.Contains(message, one.bytes) {
				t.Errorf("field %d holds what is not in %x", one.number, message)
			}
		}
		tr := &trace{steps: newSteps(func(string) {}), names: map[string]string{}}
		_ = tr.status(message)
	})
}
