package servertest

import (
	"context"
	"fmt"
	"slices"

	"singularity/workflow"
)

// Batch implements [server.Engine].
func (e *Engine) Batch(_ context.Context, id string) (workflow.BatchStatus, error) {
	status, _, err := e.changeBatch(id, func(*workflow.BatchStatus) {})
	return status, err
}

// CloseBatch implements [server.Engine].
func (e *Engine) CloseBatch(_ context.Context, id string) (batch workflow.BatchStatus, changed bool, err error) {
	return e.changeBatch(id, func(batch *workflow.BatchStatus) {
		if batch.ClosedAt == nil {
			batch.ClosedAt = &Epoch
		}
	})
}

func (e *Engine) changeBatch(id string, change func(*workflow.BatchStatus)) (batch workflow.BatchStatus, changed bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.Err != nil {
		return workflow.BatchStatus{}, false, e.Err
	}
	at := slices.IndexFunc(e.BatchList, func(batch workflow.BatchStatus) bool { return batch.ID == id })
	if at < 0 {
		return workflow.BatchStatus{}, false, fmt.Errorf("batch %s: %w", id, workflow.ErrBatchNotFound)
	}
	before := e.BatchList[at].ClosedAt
	change(&e.BatchList[at])
	return e.BatchList[at], before != e.BatchList[at].ClosedAt, nil
}
