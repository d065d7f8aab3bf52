package backendtest

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// processors runs only where the backend says that it can limit them; where it cannot, a plan that asks is
// refused. What is busy on four processors for two seconds may have a tenth of one.
func (s *suite) processors(t *testing.T) {
	limit := func(p *plan.Plan) { p.Limits.MilliCPUs = 100 }
	if !s.limits(t, "limit-cpu", limit) {
		return
	}
	b := s.launch(t, limit)
	began := time.Now()
	out := b.sh("for i in 1 2 3 4; do timeout 2 sh -c 'while :; do :; done' & done; wait; cat /proc/$$/stat")
	wall := time.Since(began)
	fields := strings.Fields(out[strings.LastIndexByte(out, ')')+1:]) // from the third on; see proc_pid_stat(5)
	var ticks int
	for _, f := range fields[13:15] { // cutime and cstime, in hundredths
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		ticks += n
	}
	used, most := time.Duration(ticks)*10*time.Millisecond, wall/10+wall/40+100*time.Millisecond
	if s.o.OwnKernel != "" {
		most *= 2 // its account is of samples
	}
	if used > most {
		t.Errorf("%v of a processor were used in %v, where a tenth may be", used, wall)
	}
}
