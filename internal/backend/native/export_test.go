package native

import (
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/instance"
)

// CutLifeline closes the owner's end of a guest's setup socket, as the owner's death does.
func CutLifeline(t *testing.T, d backend.Driver, id instance.ID) {
	t.Helper()
	if err := d.(*Driver).life(id).owner.conn.Close(); err != nil {
		t.Fatal(err)
	}
}

// Title is what the driver's processes of a bottle are called.
func Title(t *testing.T, d backend.Driver, id instance.ID) string {
	t.Helper()
	return title(d.(*Driver).root, id)
}
