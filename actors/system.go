package actors

import (
	"log/slog"
	"slices"

	"github.com/asynkron/protoactor-go/actor"
)

// registryBuckets is how many maps the registry of actors has, each of which
// has 32 locks. The 1,024 of protoactor cost a node 3 MiB from the start and
// 8 MiB more, for good, once many runs have been in memory one after the other.
const registryBuckets = 8

func newActorSystem(log *slog.Logger) *actor.ActorSystem {
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(warnings{log.Handler()})
	}))
	shrinkRegistry(system.ProcessRegistry)
	return system
}

// shrinkRegistry keeps the first maps of a registry that nobody else uses yet,
// and what was registered.
func shrinkRegistry(registry *actor.ProcessRegistryValue) {
	registered := map[string]any{}
	for _, bucket := range registry.LocalPIDs.LocalPIDs {
		bucket.IterCb(func(id string, process any) { registered[id] = process })
	}
	for id := range registered {
		registry.LocalPIDs.GetBucket(id).Remove(id)
	}
	// A copy, so that the others are not kept alive.
	registry.LocalPIDs.LocalPIDs = slices.Clone(registry.LocalPIDs.LocalPIDs[:registryBuckets])
	for id, process := range registered {
		registry.LocalPIDs.GetBucket(id).Set(id, process)
	}
}
