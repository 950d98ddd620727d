package singularity

import (
	"time"

	"singularity/actors"
)

// centralCloudMetrics are those of an engine that has a hub.
var centralCloudMetrics = []metric[actors.CentralCloudStats]{
	counter("centralcloud_result_messages_total", "Messages with results that were sent to the hub.",
		func(s actors.CentralCloudStats) float64 { return float64(s.ResultMessages) }),
	gauge("centralcloud_results_sent_timestamp_seconds", "When results were sent last, in Unix seconds; 0 for never.",
		func(s actors.CentralCloudStats) float64 { return unixSeconds(s.ResultsSentAt) }),
	gauge("centralcloud_results_lag_seconds", "For how long there have been results to send; 0 when all are sent.",
		func(s actors.CentralCloudStats) float64 { return s.ResultsLag.Seconds() }),
	counter("centralcloud_results_failures_total", "Tries to send results that did not reach the hub.",
		func(s actors.CentralCloudStats) float64 { return float64(s.ResultsFailures) }),
	gauge("centralcloud_learnings_read_timestamp_seconds", "When the queue from the hub was read last, in Unix seconds; 0 for never.",
		func(s actors.CentralCloudStats) float64 { return unixSeconds(s.LearningsReadAt) }),
	counter("centralcloud_learnings_applied_total", "Messages of the hub that were applied.",
		func(s actors.CentralCloudStats) float64 { return float64(s.LearningsApplied) }),
	counter("centralcloud_learnings_ignored_total", "Messages of the hub that told nothing new.",
		func(s actors.CentralCloudStats) float64 { return float64(s.LearningsIgnored) }),
	counter("centralcloud_learnings_dead_total", "Messages of the hub that could not be applied, and are dead letters now.",
		func(s actors.CentralCloudStats) float64 { return float64(s.LearningsDead) }),
	counter("centralcloud_learnings_failures_total", "Tries to read the queue from the hub that did not reach it.",
		func(s actors.CentralCloudStats) float64 { return float64(s.LearningsFailures) }),
	gauge("centralcloud_policy_version", "Version of the policy by which models are chosen; 0 for none.",
		func(s actors.CentralCloudStats) float64 { return float64(s.PolicyVersion) }),
	gauge("centralcloud_policy_made_timestamp_seconds", "When that policy was made, in Unix seconds of the clock of the hub's database; 0 for none.",
		func(s actors.CentralCloudStats) float64 { return unixSeconds(s.PolicyMadeAt) }),
}

func unixSeconds(at time.Time) float64 {
	if at.IsZero() {
		return 0
	}
	return float64(at.UnixMilli()) / 1000
}
