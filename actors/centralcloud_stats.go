package actors

import "time"

// CentralCloudStats is how a node stands with its hub.
type CentralCloudStats struct {
	ResultMessages int64     // that were sent
	ResultsSentAt  time.Time // when some were sent last; zero for never
	// ResultsLag is for how long something has been to send; zero when all is sent.
	ResultsLag      time.Duration
	ResultsFailures int64 // tries that did not reach the hub

	LearningsReadAt   time.Time // when the queue was read last; zero for never
	LearningsApplied  int64     // messages
	LearningsIgnored  int64     // messages that told nothing new
	LearningsDead     int64     // messages that could not be applied, and are dead letters now
	LearningsFailures int64     // tries that did not reach the hub
	PolicyVersion     int64     // of the policy for the choice of models; 0 for none
	PolicyMadeAt      time.Time // on the clock of the hub's database; zero for none
}

func (n *Node) centralCloudStats() *CentralCloudStats {
	if !n.results.on() {
		return nil
	}
	stats := &CentralCloudStats{
		ResultMessages:  n.results.sent.Load(),
		ResultsSentAt:   unixNano(n.results.sentAt.Load()),
		ResultsFailures: n.results.failures.Load(),

		LearningsReadAt:   unixNano(n.learningCounts.readAt.Load()),
		LearningsApplied:  n.learningCounts.applied.Load(),
		LearningsIgnored:  n.learningCounts.ignored.Load(),
		LearningsDead:     n.learningCounts.dead.Load(),
		LearningsFailures: n.learningCounts.failures.Load(),
	}
	if since := n.results.since.Load(); since != 0 {
		stats.ResultsLag = time.Since(unixNano(since))
	}
	if policy := n.Learned().Policy; policy != nil {
		stats.PolicyVersion, stats.PolicyMadeAt = policy.Version, policy.MadeAt
	}
	return stats
}

// unixNano is a time that was noted; zero for none.
func unixNano(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos)
}
