package singularity

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"singularity/cluster"
)

// clusterStats are what an engine counts of its cluster, and how that stands.
type clusterStats struct {
	cluster.Standing
	counts  *cluster.Counts
	letters *letterCounts
}

// stats are all zero, but for the counts, while the engine is in no cluster.
func (p *peers) stats() clusterStats {
	s := clusterStats{counts: &p.counts, letters: &p.letters}
	if m := p.membership(); m != nil {
		s.Standing = m.Standing()
	}
	return s
}

const (
	membersHelp = "Nodes of the cluster, this one among them, as its gossip sees them: alive, leaving, unreadable (of a later version), or missing (registered in the database, and not heard of)."
	hintsHelp   = "Hints for other nodes: sent by a stream, or dropped, since there was none or too many were on their way."
	lettersHelp = "Letters to actors on other nodes: answered, refused, moved (another node has the actor, and is written to next), unreachable, or unanswered (they may have arrived)."
)

var clusterMetrics = []metric[clusterStats]{
	gauge("cluster_complete", "1 while this node sees all nodes that are registered and has its streams to them; else it looks into the database more often.",
		func(s clusterStats) float64 { return oneIf(s.Complete) }),
	membersGauge("alive", func(s clusterStats) int { return s.Alive }),
	membersGauge("leaving", func(s clusterStats) int { return s.Leaving }),
	membersGauge("unreadable", func(s clusterStats) int { return s.Unreadable }),
	membersGauge("missing", func(s clusterStats) int { return s.Missing }),
	gauge("cluster_streams", "Open streams to other nodes.",
		func(s clusterStats) float64 { return float64(s.Streams) }),
	hintsCounter("sent", func(c *cluster.Counts) *atomic.Int64 { return &c.HintsSent }),
	hintsCounter("dropped", func(c *cluster.Counts) *atomic.Int64 { return &c.HintsDropped }),
	lettersCounter(letterAnswered),
	lettersCounter(letterRefused),
	lettersCounter(letterMoved),
	lettersCounter(letterUnreachable),
	lettersCounter(letterUnanswered),
	counter("cluster_refused_peers_total", "Connections, calls and streams that were not let in: none of the cluster's, or out of order.",
		func(s clusterStats) float64 { return float64(s.counts.RefusedPeers.Load()) }),
	counter("cluster_refused_messages_total", "Messages in streams of other nodes that were not let in: not from that node, not for this one, or not to be read.",
		func(s clusterStats) float64 { return float64(s.counts.RefusedMessages.Load()) }),
}

func membersGauge(state string, count func(clusterStats) int) metric[clusterStats] {
	return gauge("cluster_members", membersHelp,
		func(s clusterStats) float64 { return float64(count(s)) }, prometheus.Labels{"state": state})
}

func hintsCounter(outcome string, count func(*cluster.Counts) *atomic.Int64) metric[clusterStats] {
	return counter("cluster_hints_total", hintsHelp,
		func(s clusterStats) float64 { return float64(count(s.counts).Load()) }, prometheus.Labels{"outcome": outcome})
}

func lettersCounter(outcome letterOutcome) metric[clusterStats] {
	return counter("cluster_letters_total", lettersHelp,
		func(s clusterStats) float64 { return float64(s.letters[outcome].Load()) }, prometheus.Labels{"outcome": outcome.String()})
}
