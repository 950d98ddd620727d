package soak

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// starvation gives a process a twentieth of a processor until it ends.
type starvation interface {
	// throttled is how often the process had to wait for its share.
	throttled() (int, error)
	end() error
}

// quota is a starvation by the kernel.
type quota struct{ *cpuGroup }

func starveByQuota(n *node) (starvation, error) {
	group, err := newCPUGroup(fmt.Sprintf("soak-%d", n.pid()))
	if err != nil {
		return nil, err
	}
	if err := group.take(n.pid()); err != nil {
		return nil, errors.Join(err, group.remove())
	}
	return quota{group}, nil
}

func (q quota) end() error { return q.remove() }

// pulse is a starvation by signals, where the kernel may not be asked for a
// quota: the process stands still for 95 ms in 100.
type pulse struct {
	node    *node
	stopped chan struct{}
	task    sync.WaitGroup
	stops   atomic.Int64
}

func starveBySignals(n *node) (starvation, error) {
	p := &pulse{node: n, stopped: make(chan struct{})}
	p.task.Go(p.run)
	return p, nil
}

func (p *pulse) run() {
	for p.sends(syscall.SIGSTOP, 95*time.Millisecond) && p.sends(syscall.SIGCONT, 5*time.Millisecond) {
		p.stops.Add(1)
	}
}

// sends sends a signal and waits, and reports whether to go on.
func (p *pulse) sends(signal syscall.Signal, wait time.Duration) bool {
	_ = p.node.cmd.Process.Signal(signal) // an error says that it has ended
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.stopped:
		return false
	}
}

func (p *pulse) throttled() (int, error) { return int(p.stops.Load()), nil }

func (p *pulse) end() error {
	close(p.stopped)
	p.task.Wait()
	return p.node.cmd.Process.Signal(syscall.SIGCONT)
}
