package soak

import (
	"context"
	"strings"
	"sync"
	"time"
)

// letters go to one boot all the time, from some nodes, whatever becomes of it.
type letters struct {
	boot    string
	stopped chan struct{}
	writers sync.WaitGroup

	arrived chan struct{} // closed with the first answer
	arrive  func()

	mu       sync.Mutex
	answered map[string]int // by the label of who answered
	stale    int            // refused by another boot at the address
	lost     int            // refused otherwise
}

// writeTo begins to write, and returns when the first letter was answered.
func (c *cluster) writeTo(boot string, from []*node) *letters {
	l := &letters{boot: boot, stopped: make(chan struct{}), arrived: make(chan struct{}), answered: map[string]int{}}
	l.arrive = sync.OnceFunc(func() { close(l.arrived) })
	for _, n := range from {
		l.writers.Go(func() { l.write(c.t.Context(), n) })
	}
	ctx, cancel := bounded(c.t)
	defer cancel()
	select {
	case <-l.arrived:
	case <-ctx.Done():
		c.t.Fatalf("waited %s in vain for the first answer of boot %s", patience, boot)
	}
	return l
}

func (l *letters) write(ctx context.Context, from *node) {
	next := time.NewTicker(lookEvery)
	defer next.Stop()
	for {
		select {
		case <-next.C:
			label, err := from.ping(ctx, l.boot)
			l.note(label, err)
		case <-l.stopped:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (l *letters) note(label string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.answered[label]++
		l.arrive()
	case strings.Contains(err.Error(), "otherBoot"), strings.Contains(err.Error(), "restarted"):
		l.stale++
	default:
		l.lost++
	}
}

// stop writes no more, and expects that nobody answered but the process that the
// letters were for.
func (l *letters) stop(c *cluster, label string) {
	c.t.Helper()
	close(l.stopped)
	l.writers.Wait()
	for other, count := range l.answered {
		if other != label {
			c.brokenly("%s answered %d letters that were for boot %s of %s", other, count, l.boot, label)
		}
	}
	c.verdict.Counts["letters_answered"] += l.answered[label]
	c.verdict.Counts["letters_refused_by_the_successor"] += l.stale
	c.verdict.Counts["letters_lost"] += l.lost
}

const labelOf = `SELECT instance_id FROM singularity.node_leases WHERE boot = $1`

// label is what people know a boot by.
func (c *cluster) label(boot string) string {
	c.t.Helper()
	label, err := one[string](c.t.Context(), c.audit, labelOf, boot)
	if err != nil {
		c.t.Fatal(err)
	}
	return label
}
