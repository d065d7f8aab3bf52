package dlp_test

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp/corpus"
)

var table = flag.Bool("table", false, "print the rates of each class, as docs/dlp.md has them")

type rate struct{ hits, of int }

func TestCorpus(t *testing.T) {
	stranger := dlp.New([]dlp.Known{{Name: "OWN", Value: secret.New("an-own-secret-that-is-not-there-4711")}})
	for _, set := range []struct {
		name  string
		cases []corpus.Case
		want  bool
	}{{"attacks", corpus.Attacks(7, 16), true}, {"benign", corpus.Benign(7, 24), false}} {
		rates, order, total := map[string]*rate{}, []string{}, rate{}
		for _, c := range set.cases {
			e := stranger
			if c.Known != "" {
				e = dlp.New([]dlp.Known{{Name: "OWN", Value: secret.New(c.Known)}})
			}
			s := e.Stream("body", all())
			s.Write(c.Body)
			found := s.Close()
			if rates[c.Class] == nil {
				rates[c.Class] = &rate{}
				order = append(order, c.Class)
			}
			rates[c.Class].of++
			total.of++
			if len(found) > 0 {
				rates[c.Class].hits++
				total.hits++
			}
			if (len(found) > 0) != set.want {
				t.Logf("%s: %s: %v (known: %v)", set.name, c.Class, found, c.Known != "")
			}
		}
		if *table {
			var b strings.Builder
			for _, class := range order {
				fmt.Fprintf(&b, "| %s | %d | %d |\n", class, rates[class].of, rates[class].hits)
			}
			fmt.Printf("%s| **%s** | %d | %d |\n\n", b.String(), set.name, total.of, total.hits)
		}
		share := float64(total.hits) / float64(total.of)
		if set.want && share < 0.99 || !set.want && share > 0.005 {
			t.Errorf("%s: %d of %d, %.2f %%", set.name, total.hits, total.of, 100*share)
		}
	}
}
