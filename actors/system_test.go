package actors

import (
	"log/slog"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

func TestSmallerRegistryFindsWhatWasRegisteredBefore(t *testing.T) {
	t.Parallel()
	whole := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	var names []string
	for _, bucket := range whole.ProcessRegistry.LocalPIDs.LocalPIDs {
		names = append(names, bucket.Keys()...)
	}
	if len(names) == 0 {
		t.Fatal("a new actor system has registered nothing: the test has lost its object")
	}
	system := newActorSystem(slog.New(slog.DiscardHandler))
	if got := len(system.ProcessRegistry.LocalPIDs.LocalPIDs); got != registryBuckets {
		t.Errorf("the registry has %d maps, want %d", got, registryBuckets)
	}
	for _, name := range names {
		if _, found := system.ProcessRegistry.GetLocal(name); !found {
			t.Errorf("%s is not found any more", name)
		}
	}
}
