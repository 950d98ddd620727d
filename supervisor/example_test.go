package supervisor_test

import (
	"context"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"singularity/supervisor"
)

// A journal that crashes takes the dispatcher that was started after it along, and
// both come back in order.
func Example() {
	started := make(chan string, 4)
	worker := func(name string) supervisor.Child {
		return supervisor.Child{
			Name:    name,
			Backoff: supervisor.Backoff{Min: time.Millisecond},
			Props: func(start int) *actor.Props {
				return actor.PropsFromFunc(func(ctx actor.Context) {
					switch ctx.Message().(type) {
					case *actor.Started:
						started <- fmt.Sprintf("%s, start %d", name, start)
					case string:
						panic("disk full")
					}
				})
			},
		}
	}
	ctx := context.Background()
	system := newSystem()
	tree, err := supervisor.Start(ctx, system, "singularity",
		supervisor.Config{Strategy: supervisor.RestForOne, Logger: silent},
		worker("journal"), worker("dispatcher"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(<-started)
	fmt.Println(<-started)
	system.Root.Send(tree.Child("journal"), "write this")
	fmt.Println(<-started)
	fmt.Println(<-started)
	fmt.Println(tree.Stop(ctx))

	// Output:
	// journal, start 0
	// dispatcher, start 0
	// journal, start 1
	// dispatcher, start 1
	// <nil>
}

// A pool restarts a run that crashes, tells it that it is not the first, and forgets
// it when it has finished.
func ExamplePoolProps() {
	run := func(id string, done chan<- int) supervisor.Child {
		return supervisor.Child{
			Name:    id,
			PID:     "run/" + id,
			Restart: supervisor.Transient,
			Props: func(start int) *actor.Props {
				return actor.PropsFromFunc(func(ctx actor.Context) {
					if _, ok := ctx.Message().(*actor.Started); !ok {
						return
					}
					if start == 0 {
						panic("out of luck")
					}
					done <- start
					ctx.Stop(ctx.Self())
				})
			},
		}
	}
	system := newSystem()
	runs := system.Root.Spawn(supervisor.PoolProps(supervisor.PoolConfig{
		Backoff: supervisor.Backoff{Min: time.Millisecond},
		Logger:  silent,
	}))
	done := make(chan int)
	system.Root.Send(runs, supervisor.StartChild{Child: run("17", done)})
	fmt.Println("finished after", <-done, "restart")
	fmt.Println(system.Root.PoisonFuture(runs).Wait())

	// Output:
	// finished after 1 restart
	// <nil>
}
