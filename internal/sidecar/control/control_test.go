package control_test

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers one end of a pipe and returns a client at the other.
func serve(t *testing.T, methods map[string]control.Handler) (*control.Client, func() error) {
	t.Helper()
	ours, theirs := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- control.Serve(t.Context(), theirs, methods) }()
	client := control.NewClient(ours)
	t.Cleanup(func() { client.Close() })
	return client, func() error {
		select {
		case err := <-done:
			return err
		case <-time.After(10 * time.Second):
			t.Fatal("Serve does not end")
			return nil
		}
	}
}

func TestFaultsKeepTheirKindAndHint(t *testing.T) {
	client, _ := serve(t, map[string]control.Handler{
		control.MethodRoutes: func(context.Context, []byte) (any, error) {
			return nil, fault.WithHint(fault.New(fault.Denied, "cannot tell"), "ask again")
		},
	})
	_, err := client.Routes(t.Context())
	if !fault.Is(err, fault.Denied) || fault.HintOf(err) != "ask again" || err.Error() != "cannot tell" {
		t.Errorf("got %v, kind %v, hint %q", err, fault.KindOf(err), fault.HintOf(err))
	}
	if err := client.Stop(t.Context()); !fault.Is(err, fault.Unsupported) {
		t.Errorf("a method that is not there gives %v", err)
	}
}

func TestWaitingHandlerEndsWithItsClient(t *testing.T) {
	entered := make(chan struct{})
	client, ended := serve(t, map[string]control.Handler{
		control.MethodRoutes: func(ctx context.Context, _ []byte) (any, error) {
			close(entered)
			<-ctx.Done()
			return control.Live{}, nil
		},
	})
	go func() {
		<-entered
		client.Close()
	}()
	if _, err := client.Routes(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
	if err := ended(); err != nil {
		t.Errorf("Serve says %v", err)
	}
}

func TestClientThatGaveUpTrustsNoLaterAnswer(t *testing.T) {
	client, _ := serve(t, map[string]control.Handler{
		control.MethodRoutes: func(ctx context.Context, _ []byte) (any, error) {
			<-ctx.Done()
			return control.Live{}, nil
		},
		control.MethodStats: func(context.Context, []byte) (any, error) { return control.Stats{Routes: 7}, nil },
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := client.Routes(ctx); err == nil {
		t.Fatal("there was an answer")
	}
	if stats, err := client.Stats(t.Context()); err == nil {
		t.Errorf("the next call was answered with %+v", stats)
	}
}

func TestParamsAreWipedAfterTheHandler(t *testing.T) {
	var seen []byte
	client, _ := serve(t, map[string]control.Handler{
		control.MethodSetRoutes: func(_ context.Context, params []byte) (any, error) {
			seen = params
			return nil, nil
		},
	})
	if _, err := client.SetRoutes(t.Context(), control.Live{Egress: policy.Set{Log: "full"}}); err != nil {
		t.Fatal(err)
	}
	if len(seen) == 0 || strings.Trim(string(seen), "\x00") != "" {
		t.Errorf("left in memory: %q", seen)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"config":{"identity":"a-12345","egress":{"routes":[]},"secret_names":[]},"secrets":{"A":"b"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var setup control.Setup
		if control.Decode(data, &setup) != nil {
			return
		}
		again, err := json.Marshal(setup)
		if err != nil {
			t.Fatal(err)
		}
		if err := control.Decode(again, &setup); err != nil {
			t.Errorf("%s was taken, %s is not: %v", data, again, err)
		}
	})
}
