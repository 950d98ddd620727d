package actors

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

func TestNoMessageByNameOvertakesTheStart(t *testing.T) {
	t.Parallel()
	system := newActorSystem(slog.New(slog.DiscardHandler))
	const spawned = 2_000
	for i := range spawned {
		first := make(chan any, 1)
		name := fmt.Sprintf("actor/%d", i)
		pid := system.NewLocalPID(name)
		spawning, found := make(chan struct{}), make(chan struct{})
		var sender sync.WaitGroup
		sender.Go(func() {
			<-spawning
			for {
				if _, there := system.ProcessRegistry.GetLocal(name); there {
					system.Root.Send(pid, "hello")
					close(found)
					return
				}
			}
		})
		close(spawning)
		_, err := system.Root.SpawnNamed(newProps(func() actor.Actor {
			return actor.ReceiveFunc(func(ctx actor.Context) {
				select {
				case first <- ctx.Message():
				default:
				}
			})
		}), name)
		if err != nil {
			t.Fatal(err)
		}
		<-found
		if message, isStart := (<-first).(*actor.Started); !isStart {
			t.Fatalf("actor %d: the first message is %v, want *actor.Started", i, message)
		}
		sender.Wait()
		system.Root.Stop(pid)
	}
}
