package supervisor_test

import (
	"runtime"
	"strconv"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"singularity/supervisor"
)

// crowd is how many children live at a time in the benchmarks.
const crowd = 10_000

// BenchmarkPool measures a child's way through a pool, from StartChild to its end,
// and the memory of one that idles.
func BenchmarkPool(b *testing.B) {
	system := newSystem()
	pool := system.Root.Spawn(supervisor.PoolProps(supervisor.PoolConfig{Logger: silent}))
	churn(b, system, pool, func(c supervisor.Child) any { return supervisor.StartChild{Child: c} })
}

// BenchmarkBareParent is the same without supervision: a parent that spawns its
// children the way protoactor means it.
func BenchmarkBareParent(b *testing.B) {
	system := newSystem()
	parent := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if c, ok := ctx.Message().(supervisor.Child); ok {
			if _, err := ctx.SpawnNamed(c.Props(0), c.Name); err != nil {
				b.Error(err)
			}
		}
	}))
	churn(b, system, parent, func(c supervisor.Child) any { return c })
}

// churn has parent start crowds of children, each of which is stopped before the
// next.
func churn(b *testing.B, system *actor.ActorSystem, parent *actor.PID, start func(supervisor.Child) any) {
	b.Helper()
	started, stopped := make(chan struct{}, crowd), make(chan struct{}, crowd)
	props := func(int) *actor.Props {
		return actor.PropsFromFunc(func(ctx actor.Context) {
			switch ctx.Message().(type) {
			case *actor.Started:
				started <- struct{}{}
			case *actor.Stopped:
				stopped <- struct{}{}
			}
		})
	}
	names := make([]string, crowd)
	for i := range names {
		names[i] = "run/" + strconv.Itoa(i)
	}
	before := heap()
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		i := n % crowd
		system.Root.Send(parent, start(supervisor.Child{Name: names[i], Props: props, Restart: supervisor.Transient}))
		if i < crowd-1 {
			continue
		}
		drain(started)
		if n == i {
			b.StopTimer()
			b.ReportMetric(float64(heap()-before)/crowd, "B/child")
			b.StartTimer()
		}
		for _, name := range names {
			system.Root.Stop(system.NewLocalPID(parent.Id + "/" + name))
		}
		drain(stopped)
	}
}

func drain(events <-chan struct{}) {
	for range crowd {
		<-events
	}
}

// heap returns the bytes in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
