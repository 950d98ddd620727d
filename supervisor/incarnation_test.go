package supervisor_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"singularity/supervisor"
)

// Not in a bubble, where goroutines take turns too well to meet.
func TestNoMessageByNameOvertakesTheStart(t *testing.T) {
	t.Parallel()
	system := newSystem()
	tree, err := supervisor.Start(t.Context(), system, "root", supervisor.Config{Logger: silent},
		supervisor.Child{Name: "pool", Props: func(int) *actor.Props {
			return supervisor.PoolProps(supervisor.PoolConfig{Logger: silent})
		}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		name, first, sent := fmt.Sprintf("actor/%d", i), make(chan any, 1), make(chan struct{})
		// The name is registered by then, and the mailbox knows nobody yet.
		sendAmidTheSpawn := func(actor.Context) {
			sending := make(chan struct{})
			go func() {
				close(sending)
				system.Root.Send(system.NewLocalPID(name), "hello")
				close(sent)
			}()
			<-sending
			for range 100 {
				runtime.Gosched()
			}
		}
		answer, err := system.Root.RequestFuture(tree.Child("pool"), supervisor.StartChild{Child: supervisor.Child{
			Name: name, PID: name, Restart: supervisor.Temporary,
			Props: func(int) *actor.Props {
				return actor.PropsFromFunc(func(ctx actor.Context) {
					select {
					case first <- ctx.Message():
					default:
					}
				}, actor.WithOnInit(sendAmidTheSpawn))
			},
		}}, time.Minute).Result()
		if err != nil {
			t.Fatal(err)
		}
		if started := answer.(supervisor.ChildStarted); started.Err != nil {
			t.Fatal(started.Err)
		}
		if message, isStart := (<-first).(*actor.Started); !isStart {
			t.Fatalf("actor %d: the first message is %v, want *actor.Started", i, message)
		}
		<-sent
	}
	if err := tree.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
