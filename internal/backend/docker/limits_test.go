package docker_test

import (
	"net/http"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend/backendtest"
)

// TestTheEngineIsToldEveryLimit and a bottle that asks for none has the usual ones.
func TestTheEngineIsToldEveryLimit(t *testing.T) {
	root := t.TempDir()
	d := open(t, root)
	p := backendtest.Plan(root)
	p.Limits.MilliCPUs, p.Limits.MemoryBytes, p.Limits.Processes = 1500, 512<<20, 333
	h, err := d.Prepare(limited(t), p)
	must(t, err)
	defer func() { must(t, d.Teardown(limited(t), h)) }()
	found, err := shared.engine.Client.List(limited(t), "bot-bottle.identity="+string(p.ID), "bot-bottle.role=agent")
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("%v", found)
	}
	type limits struct{ NanoCpus, Memory, MemorySwap, PidsLimit int64 }
	var is struct{ HostConfig limits }
	must(t, shared.engine.Call(limited(t), http.MethodGet, "/containers/"+found[0].ID+"/json", nil, &is))
	if want := (limits{1_500_000_000, 512 << 20, 512 << 20, 333}); is.HostConfig != want {
		t.Errorf("%+v, want %+v", is.HostConfig, want)
	}
}
