package memory

import (
	"time"

	"singularity/workflow"
)

// JobResult is what the table job_results holds of a run in a database.
type JobResult struct {
	Run         workflow.RunID
	Instance    string
	JobType     string
	Success     bool
	ErrorReason string
	Duration    time.Duration
	Summary     workflow.Summary
}

// JobResult returns the result of a run that ended with a summary.
func (s *Store) JobResult(id workflow.RunID) (JobResult, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	result, ok := s.results[id]
	return result, ok
}

func (s *Store) summarize(r *run, summary workflow.Summary, at time.Time) {
	s.results[r.ID] = JobResult{
		Run:         r.ID,
		Instance:    s.label(r.boot),
		JobType:     r.Workflow,
		Success:     r.State == workflow.Completed,
		ErrorReason: r.Error,
		Duration:    at.Sub(*r.StartedAt),
		Summary:     summary,
	}
}
