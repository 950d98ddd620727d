package actors

import (
	"math/bits"
	"sync/atomic"
	"time"

	"singularity/persistence"
)

// Stats is what a node did since it was made, and how it stands.
type Stats struct {
	JournalStats
	Takeovers    map[persistence.Ground]TakeoverStats // of nodes that this one declared dead
	Runs         int64                                // in memory
	LostSlots    int64                                // to steps that ignore their cancelled context
	Pruned       int64                                // runs that were deleted because they had been kept long enough
	Outage       bool                                 // the store takes no writes
	Leased       bool                                 // the node may begin runs and steps
	Draining     bool
	CentralCloud *CentralCloudStats // nil without a hub
	// RetentionWaits is for how long the run that deletes has waited for a slot,
	// as of the last look.
	RetentionWaits time.Duration
}

// Stats returns the counts so far.
func (n *Node) Stats() Stats {
	return Stats{
		JournalStats: n.journal.Stats(),
		Takeovers:    n.takeovers.read(),
		Runs:         n.load.Load(),
		LostSlots:    n.lostSlots.Load(),
		Pruned:       n.pruned.Load(),
		Outage:       n.journal.Outage() != nil,
		Leased:       n.standing.good(),
		Draining:     n.draining.Load(),
		CentralCloud: n.centralCloudStats(),

		RetentionWaits: time.Duration(n.retentionWaits.Load()),
	}
}

// BatchSizes is a histogram of the sizes of batches.
type BatchSizes struct {
	// Counts are the batches of 1 write, of 2, of 3 to 4, 5 to 8 and so on, up
	// to 256.
	Counts [9]int64
	Larger int64 // batches
	Sum    int64 // of all sizes
}

func (s BatchSizes) batches() int64 {
	all := s.Larger
	for _, some := range s.Counts {
		all += some
	}
	return all
}

// batchSizes counts into [BatchSizes].
type batchSizes struct {
	counts [len(BatchSizes{}.Counts) + 1]atomic.Int64
	sum    atomic.Int64
}

func (s *batchSizes) add(size int) {
	s.counts[min(bits.Len(uint(size-1)), len(s.counts)-1)].Add(1)
	s.sum.Add(int64(size))
}

func (s *batchSizes) read() BatchSizes {
	sizes := BatchSizes{Larger: s.counts[len(s.counts)-1].Load(), Sum: s.sum.Load()}
	for i := range sizes.Counts {
		sizes.Counts[i] = s.counts[i].Load()
	}
	return sizes
}
