package fake_test

import (
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/backend/backendtest"
	"github.com/bot-bottle/bot-bottle/internal/backend/fake"
)

func TestContract(t *testing.T) {
	backendtest.Run(t, func(*testing.T, string) backend.Driver { return fake.New(fake.Config{}) }, backendtest.Options{})
}
